//! Messages and what stands beside them.

use api::spool::v1 as pb;
use smtp::{BodyType, ForwardPath, Mailbox, ReversePath};
use spool::{
    Body, Client, Destination, Digest, Fingerprint, Hold, KnownOffers, Message, MessageId, Offers,
    Pause, Reachability, Recipient, Remembered, Roster, Starttls, Status, Timestamp, Totals,
    view::{Known, Staged},
};

use super::{
    CodecError,
    alarm::{posted_from, posted_to},
    authentication::{authentication_from, authentication_to},
    dsn::{per_message_from, per_message_to, per_recipient_from, per_recipient_to},
    history::{try_from, try_to},
    learned_from, learned_to,
    notices::{kind_from, kind_to},
    recovery::{guard_from, guard_to},
    required,
};

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

pub(crate) fn destination_to(destination: Destination) -> pb::Destination {
    let down = match destination.reachability {
        Reachability::Up => None,
        Reachability::Down(words) => Some(words),
    };
    pb::Destination {
        down,
        since_ms: destination.since.0,
        flushed_at_ms: destination.flushed_at.0,
        waiting: destination.totals.waiting,
        deferred: destination.totals.deferred,
        rejected: destination.totals.rejected,
        bytes: destination.totals.bytes,
        learned: destination
            .learned
            .map(|learned| pb::destination::KnownOffers {
                offers: Some(offers_to(learned.offers)),
                since_ms: learned.since.0,
            }),
        valid: destination.roster.valid,
        unknown: destination.roster.unknown,
        nonsense: destination.roster.nonsense.map(learned_to),
        moved_at_ms: destination.moved_at.map(|at| at.0),
        moved_by: destination.moved_by,
        paused: destination.paused.map(|pause| pause_to(*pause)),
        revision: destination.revision,
        held: destination.totals.held,
        guard: destination.guard.map(|guard| guard_to(*guard)),
        posted: posted_to(destination.posted),
        starttls: destination.starttls.map(|known| pb::destination::Starttls {
            is_offered: known.is_offered,
            since_ms: known.since.0,
            host: known.host,
        }),
    }
}

fn pause_to(pause: Pause) -> pb::destination::Pause {
    pb::destination::Pause {
        since_ms: pause.since.0,
        until_ms: pause.until.map(|until| until.0),
        by: pause.by,
        reason: pause.reason,
    }
}

fn pause_from(stored: pb::destination::Pause) -> Pause {
    Pause {
        since: Timestamp(stored.since_ms),
        until: stored.until_ms.map(Timestamp),
        by: stored.by,
        reason: stored.reason,
    }
}

pub(crate) fn destination_from(destination: pb::Destination) -> Result<Destination, CodecError> {
    let nonsense = destination.nonsense.map(learned_from).transpose()?;
    Ok(Destination {
        reachability: destination
            .down
            .map_or(Reachability::Up, Reachability::Down),
        since: Timestamp(destination.since_ms),
        flushed_at: Timestamp(destination.flushed_at_ms),
        totals: Totals {
            waiting: destination.waiting,
            deferred: destination.deferred,
            held: destination.held,
            rejected: destination.rejected,
            bytes: destination.bytes,
        },
        learned: destination.learned.map(|learned| KnownOffers {
            offers: offers_from(&learned.offers.unwrap_or_default()),
            since: Timestamp(learned.since_ms),
        }),
        roster: Roster {
            valid: destination.valid,
            unknown: destination.unknown,
            nonsense,
        },
        moved_by: destination.moved_by,
        moved_at: destination.moved_at_ms.map(Timestamp),
        paused: destination.paused.map(pause_from).map(Box::new),
        revision: destination.revision,
        guard: destination.guard.map(guard_from).map(Box::new),
        posted: posted_from(destination.posted),
        starttls: destination.starttls.map(|known| {
            Box::new(Starttls {
                is_offered: known.is_offered,
                since: Timestamp(known.since_ms),
                host: known.host,
            })
        }),
    })
}

pub(super) const fn offers_to(offers: Offers) -> pb::PrimaryOffers {
    pb::PrimaryOffers {
        size_max: offers.size_max,
        eight_bit_mime: offers.eight_bit_mime,
        smtputf8: offers.smtputf8,
        chunking: offers.chunking,
        binary_mime: offers.binary_mime,
        dsn: offers.dsn,
    }
}

pub(super) const fn offers_from(offers: &pb::PrimaryOffers) -> Offers {
    Offers {
        size_max: offers.size_max,
        eight_bit_mime: offers.eight_bit_mime,
        smtputf8: offers.smtputf8,
        chunking: offers.chunking,
        binary_mime: offers.binary_mime,
        dsn: offers.dsn,
    }
}
