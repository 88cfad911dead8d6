//! Messages and what stands beside them.

use api::spool::v1 as pb;
use smtp::BodyType;
use spool::{
    Body, Hold, Message, Recipient, Remembered, Status, Timestamp,
    view::{Known, Staged},
};

use super::{
    CodecError,
    authentication::{authentication_from, authentication_to},
    dsn::{per_message_from, per_message_to, per_recipient_from, per_recipient_to},
    history::{try_from, try_to},
    notices::{kind_from, kind_to},
    required,
    values::{
        body_type_from, client_from, client_to, digest_from, fingerprint_from, fingerprint_to,
        forward_from, forward_to, id_from, id_to, reverse_from, reverse_to,
    },
};

pub(crate) fn message_to(message: Message) -> pb::Message {
    pb::Message {
        id: Some(id_to(message.id)),
        sequence: message.sequence,
        received_at_ms: message.received_at.0,
        reverse_path: reverse_to(message.reverse_path),
        eight_bit_mime: message.body_type != BodyType::SevenBit,
        binary_mime: message.body_type == BodyType::BinaryMime,
        smtputf8: message.smtputf8,
        dsn: per_message_to(message.dsn),
        recipients: message.recipients.into_iter().map(recipient_to).collect(),
        pieces: message.body.pieces,
        size: message.body.size,
        digest: bytes::Bytes::copy_from_slice(&message.body.digest.0),
        trace: message.trace,
        client: Some(client_to(message.client)),
        authentication: message.authentication.map(authentication_to),
        attempts: message.attempts,
        attempted_at_ms: message.attempted_at.map(|at| at.0),
        hold: message.hold.map(hold_to),
        tries: message.tries.into_iter().map(try_to).collect(),
        renewed_at_ms: message.renewed_at.map(|at| at.0),
        delay_told_at_ms: message.delay_told_at.map(|at| at.0),
    }
}

pub(crate) fn message_from(message: pb::Message) -> Result<Message, CodecError> {
    let recipients = message.recipients.into_iter().map(recipient_from);
    Ok(Message {
        id: id_from(message.id)?,
        sequence: message.sequence,
        received_at: Timestamp(message.received_at_ms),
        reverse_path: reverse_from(message.reverse_path),
        body_type: body_type_from(message.eight_bit_mime, message.binary_mime),
        smtputf8: message.smtputf8,
        dsn: per_message_from(message.dsn)?,
        recipients: recipients.collect::<Result<_, _>>()?,
        body: Body {
            pieces: message.pieces,
            size: message.size,
            digest: digest_from(&message.digest)?,
        },
        trace: message.trace,
        client: client_from(message.client)?,
        authentication: message
            .authentication
            .map(authentication_from)
            .transpose()?,
        attempts: message.attempts,
        attempted_at: message.attempted_at_ms.map(Timestamp),
        hold: message.hold.map(hold_from),
        tries: message.tries.into_iter().map(try_from).collect(),
        renewed_at: message.renewed_at_ms.map(Timestamp),
        delay_told_at: message.delay_told_at_ms.map(Timestamp),
    })
}

fn hold_to(hold: Hold) -> pb::message::Hold {
    pb::message::Hold {
        at_ms: hold.at.0,
        by: hold.by,
        reason: hold.reason,
    }
}

fn hold_from(stored: pb::message::Hold) -> Hold {
    Hold {
        at: Timestamp(stored.at_ms),
        by: stored.by,
        reason: stored.reason,
    }
}

fn recipient_to(recipient: Recipient) -> pb::Recipient {
    use pb::recipient::{Deferred, Final, Returned, Status as Kind};
    let status = match recipient.status {
        Status::Pending => None,
        Status::Deferred { until, reason } => Some(Kind::Deferred(Deferred {
            until_ms: until.0,
            reason,
        })),
        Status::Delivered { at, reply } => Some(Kind::Delivered(Final { at_ms: at.0, reply })),
        Status::Rejected { at, reply } => Some(Kind::Rejected(Final { at_ms: at.0, reply })),
        Status::Returned { at, reply, report } => Some(Kind::Returned(Returned {
            at_ms: at.0,
            reply,
            report: report.map(id_to),
        })),
    };
    pb::Recipient {
        path: forward_to(recipient.path),
        domain: recipient.domain,
        status,
        dsn: per_recipient_to(recipient.dsn),
        host: recipient.host,
        replayed_at_ms: recipient.replayed_at.map(|at| at.0),
        owed: kind_to(recipient.owed).into(),
    }
}

fn recipient_from(recipient: pb::Recipient) -> Result<Recipient, CodecError> {
    use pb::recipient::Status as Kind;
    let owed = kind_from(recipient.owed());
    let status = match recipient.status {
        None => Status::Pending,
        Some(Kind::Deferred(deferred)) => Status::Deferred {
            until: Timestamp(deferred.until_ms),
            reason: deferred.reason,
        },
        Some(Kind::Delivered(last)) => Status::Delivered {
            at: Timestamp(last.at_ms),
            reply: last.reply,
        },
        Some(Kind::Rejected(last)) => Status::Rejected {
            at: Timestamp(last.at_ms),
            reply: last.reply,
        },
        Some(Kind::Returned(last)) => Status::Returned {
            at: Timestamp(last.at_ms),
            reply: last.reply,
            report: last.report.map(|id| id_from(Some(id))).transpose()?,
        },
    };
    Ok(Recipient {
        path: forward_from(recipient.path),
        dsn: per_recipient_from(recipient.dsn)?,
        domain: recipient.domain,
        status,
        host: recipient.host,
        replayed_at: recipient.replayed_at_ms.map(Timestamp),
        owed,
    })
}

pub(crate) fn staged_to(staged: Staged) -> pb::Staged {
    pb::Staged {
        pieces: staged.pieces,
        size: staged.size,
        touched_at_ms: staged.touched_at.0,
    }
}

pub(crate) fn staged_from(staged: pb::Staged) -> Staged {
    Staged {
        pieces: staged.pieces,
        size: staged.size,
        touched_at: Timestamp(staged.touched_at_ms),
    }
}

pub(crate) fn known_to(known: Known) -> pb::Known {
    use pb::known::Kind;
    let kind = match known {
        Known::Queued(sequence) => Kind::Queued(sequence),
        Known::Departed(at) => Kind::DepartedAtMs(at.0),
        Known::Repeat { first, at } => Kind::Repeat(pb::known::Repeat {
            first: Some(id_to(first)),
            at_ms: at.0,
        }),
    };
    pb::Known { kind: Some(kind) }
}

pub(crate) fn known_from(known: pb::Known) -> Result<Known, CodecError> {
    use pb::known::Kind;
    Ok(match required(known.kind, "what is known of an id")? {
        Kind::Queued(sequence) => Known::Queued(sequence),
        Kind::DepartedAtMs(at) => Known::Departed(Timestamp(at)),
        Kind::Repeat(repeat) => Known::Repeat {
            first: id_from(repeat.first)?,
            at: Timestamp(repeat.at_ms),
        },
    })
}

pub(crate) fn unconfirmed_to(remembered: Remembered) -> pb::Unconfirmed {
    pb::Unconfirmed {
        fingerprint: fingerprint_to(remembered.fingerprint),
        at_ms: remembered.at.0,
    }
}

pub(crate) fn unconfirmed_from(stored: &pb::Unconfirmed) -> Result<Remembered, CodecError> {
    Ok(Remembered {
        fingerprint: fingerprint_from(&stored.fingerprint)?,
        at: Timestamp(stored.at_ms),
    })
}
