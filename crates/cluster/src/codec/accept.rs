//! Messages as they come in.

use api::spool::v1 as pb;
use smtp::{BodyType, Recipient};
use spool::{Accept, Timestamp};

use super::{
    CodecError,
    authentication::{authentication_from, authentication_to},
    dsn::{per_message_from, per_message_to, per_recipient_from, per_recipient_to},
    values::{
        body_type_from, client_from, client_to, digest_from, fingerprint_from, fingerprint_to,
        forward_from, forward_to, id_from, id_to, ids_from, ids_to, reverse_from, reverse_to,
    },
};

pub(super) fn accept_to(accept: Accept) -> pb::Accept {
    let recipient = |(recipient, domain): (Recipient, String)| pb::AcceptedRecipient {
        path: forward_to(recipient.path),
        domain,
        dsn: per_recipient_to(recipient.dsn),
    };
    pb::Accept {
        id: Some(id_to(accept.id)),
        received_at_ms: accept.received_at.0,
        reverse_path: reverse_to(accept.reverse_path),
        eight_bit_mime: accept.body_type != BodyType::SevenBit,
        binary_mime: accept.body_type == BodyType::BinaryMime,
        smtputf8: accept.smtputf8,
        dsn: per_message_to(accept.dsn),
        recipients: accept.recipients.into_iter().map(recipient).collect(),
        staged: accept.staged,
        tail: accept.tail,
        size: accept.size,
        digest: bytes::Bytes::copy_from_slice(&accept.digest.0),
        trace: accept.trace,
        client: Some(client_to(accept.client)),
        authentication: accept.authentication.map(authentication_to),
        confirmed: ids_to(accept.confirmed),
        fingerprint: accept.fingerprint.map(fingerprint_to),
    }
}

pub(super) fn accept_from(accept: pb::Accept) -> Result<Accept, CodecError> {
    let recipient = |recipient: pb::AcceptedRecipient| {
        let path = forward_from(recipient.path);
        let dsn = per_recipient_from(recipient.dsn)?;
        Ok((Recipient { path, dsn }, recipient.domain))
    };
    let recipients = accept.recipients.into_iter().map(recipient);
    Ok(Accept {
        id: id_from(accept.id)?,
        received_at: Timestamp(accept.received_at_ms),
        reverse_path: reverse_from(accept.reverse_path),
        body_type: body_type_from(accept.eight_bit_mime, accept.binary_mime),
        smtputf8: accept.smtputf8,
        dsn: per_message_from(accept.dsn)?,
        recipients: recipients.collect::<Result<_, CodecError>>()?,
        staged: accept.staged,
        tail: accept.tail,
        size: accept.size,
        digest: digest_from(&accept.digest)?,
        trace: accept.trace,
        client: client_from(accept.client)?,
        authentication: accept.authentication.map(authentication_from).transpose()?,
        fingerprint: accept
            .fingerprint
            .as_deref()
            .map(fingerprint_from)
            .transpose()?,
        confirmed: ids_from(accept.confirmed)?,
    })
}
