//! What many of the others consist of: ids, paths, digests, clients.

use api::spool::v1 as pb;
use smtp::{BodyType, ForwardPath, Mailbox, ReversePath};
use spool::{Client, Digest, Fingerprint, MessageId};

use super::{CodecError, required};

pub(crate) fn id_to(id: MessageId) -> pb::MessageId {
    // Each half is cut off on purpose.
    pb::MessageId {
        high: (id.0 >> 64) as u64,
        low: id.0 as u64,
    }
}

pub(crate) fn id_from(id: Option<pb::MessageId>) -> Result<MessageId, CodecError> {
    let id = required(id, "message id")?;
    Ok(MessageId(u128::from(id.high) << 64 | u128::from(id.low)))
}

pub(super) fn ids_to(ids: Vec<MessageId>) -> Vec<pb::MessageId> {
    ids.into_iter().map(id_to).collect()
}

pub(super) fn ids_from(ids: Vec<pb::MessageId>) -> Result<Vec<MessageId>, CodecError> {
    ids.into_iter().map(|id| id_from(Some(id))).collect()
}

fn mailbox_to(mailbox: Mailbox) -> pb::Mailbox {
    pb::Mailbox {
        local_part: mailbox.local_part,
        domain: mailbox.domain,
    }
}

fn mailbox_from(mailbox: pb::Mailbox) -> Mailbox {
    Mailbox {
        local_part: mailbox.local_part,
        domain: mailbox.domain,
    }
}

pub(super) fn reverse_to(path: ReversePath) -> Option<pb::Mailbox> {
    match path {
        ReversePath::Null => None,
        ReversePath::Mailbox(mailbox) => Some(mailbox_to(mailbox)),
    }
}

pub(super) fn reverse_from(path: Option<pb::Mailbox>) -> ReversePath {
    path.map_or(ReversePath::Null, |mailbox| {
        ReversePath::Mailbox(mailbox_from(mailbox))
    })
}

pub(super) fn forward_to(path: ForwardPath) -> Option<pb::Mailbox> {
    match path {
        ForwardPath::Postmaster => None,
        ForwardPath::Mailbox(mailbox) => Some(mailbox_to(mailbox)),
    }
}

pub(super) fn forward_from(path: Option<pb::Mailbox>) -> ForwardPath {
    path.map_or(ForwardPath::Postmaster, |mailbox| {
        ForwardPath::Mailbox(mailbox_from(mailbox))
    })
}

pub(super) const fn body_type_from(eight_bit_mime: bool, binary_mime: bool) -> BodyType {
    match (eight_bit_mime, binary_mime) {
        (_, true) => BodyType::BinaryMime,
        (true, false) => BodyType::EightBitMime,
        (false, false) => BodyType::SevenBit,
    }
}

pub(super) fn digest_from(digest: &[u8]) -> Result<Digest, CodecError> {
    required(digest.try_into().ok().map(Digest), "SHA-256 of a body")
}

pub(super) fn fingerprint_to(fingerprint: Fingerprint) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&fingerprint.0.to_be_bytes())
}

pub(super) fn fingerprint_from(octets: &[u8]) -> Result<Fingerprint, CodecError> {
    let octets = octets.try_into().ok().map(u128::from_be_bytes);
    required(octets.map(Fingerprint), "fingerprint of a message")
}

pub(super) fn client_to(client: Client) -> pb::Client {
    pb::Client {
        address: client.address.to_string(),
        helo: client.helo,
        tls: client.tls,
    }
}

pub(super) fn client_from(client: Option<pb::Client>) -> Result<Client, CodecError> {
    let client = required(client, "client")?;
    let address = required(client.address.parse().ok(), "client address")?;
    Ok(Client {
        address,
        helo: client.helo,
        tls: client.tls,
    })
}
