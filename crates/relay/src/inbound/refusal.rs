//! What a sender hears of the spool's and the policy's refusals.

use std::net::IpAddr;

use smtp::{EnhancedCode, Reply};
use spool::Refusal;

/// Bad destination mailbox address (RFC 3463 section 3.2).
const UNKNOWN: EnhancedCode = EnhancedCode::new(5, 1, 1);

/// The one place where a refusal becomes a reply. Each is a 4xx: the sender keeps the message and
/// goes to another MX host or comes again. The cause in full is for our own log.
pub(super) fn reply(refusal: &Refusal, hostname: &str) -> Reply {
    let transient = |code, subject, detail, text: &str| {
        Reply::new(code, EnhancedCode::new(4, subject, detail), text)
    };
    match refusal {
        Refusal::NoQuorum => transient(
            451,
            3,
            0,
            "Error: not enough nodes confirmed the message, try again later",
        ),
        Refusal::StorageFailed | Refusal::StageGone => transient(
            451,
            3,
            0,
            "Error: the message could not be stored, try again later",
        ),
        Refusal::EnvelopeTooLarge => transient(
            452,
            5,
            3,
            "Error: too many recipients, send the message again for some of them at a time",
        ),
        Refusal::Busy => transient(451, 3, 0, "Error: too busy, try again later"),
        Refusal::DiskFull => transient(452, 3, 1, "Error: insufficient storage, try again later"),
        Refusal::ShuttingDown => {
            let text = format!("{hostname} Service not available, try another host or later");
            transient(421, 3, 2, &text)
        }
    }
}

/// There is no policy yet to say whose mail is taken.
pub(super) fn no_policy() -> Reply {
    let text = "Error: this node has no policy yet, try again later";
    Reply::new(451, EnhancedCode::new(4, 3, 0), text)
}

/// The recipient's domain is not ours.
pub(super) fn not_ours() -> Reply {
    let text = "Relaying denied: this host does not relay mail for that domain";
    Reply::new(550, EnhancedCode::new(5, 7, 1), text)
}

/// The domain is ours, and has no such recipient.
pub(super) fn unknown() -> Reply {
    Reply::new(550, UNKNOWN, "User unknown")
}

/// Whether a reply says that there is no such recipient.
pub(super) fn is_of_unknown(reply: &Reply) -> bool {
    reply.enhanced == Some(UNKNOWN)
}

/// The sentry of the recipient's domain sends the sender to the primary.
pub(super) fn primary_is_up() -> Reply {
    let text = "The primary server of this domain is up: deliver there, or try again later";
    Reply::new(450, EnhancedCode::new(4, 7, 1), text)
}

/// A block list names the client.
pub(super) fn listed(client: IpAddr, zone: &str) -> Reply {
    let client = client.to_canonical();
    let text =
        format!("Service unavailable; client host [{client}] is listed at {zone}; try again later");
    Reply::new(450, EnhancedCode::new(4, 7, 1), text)
}

/// Whether there is such a recipient can not be found out now.
pub(super) fn not_verified() -> Reply {
    let text = "Error: the recipient can not be verified now, try again later";
    Reply::new(450, EnhancedCode::new(4, 1, 1), text)
}

/// As much of the domain's mail is queued as its policy lets be.
pub(super) fn quota_reached() -> Reply {
    let text = "Error: too much mail for this domain is queued already, try again later";
    Reply::new(452, EnhancedCode::new(4, 2, 2), text)
}

/// There are too many connections, in all or from this client.
pub(super) fn too_many_connections(hostname: &str) -> Reply {
    sent_away(hostname, "too many connections")
}

/// This client has sent too much in the last minute.
pub(super) fn too_many_messages(hostname: &str) -> Reply {
    sent_away(hostname, "too many messages in a minute, come again later")
}

/// This client has asked for too many recipients that are not ours.
pub(super) fn too_many_guesses(hostname: &str) -> Reply {
    sent_away(hostname, "too many recipients that do not exist here")
}

/// The end of a session for what its client did (RFC 5321 section 3.8).
fn sent_away(hostname: &str, why: &str) -> Reply {
    let text = format!("{hostname} Error: {why}");
    Reply::new(421, EnhancedCode::new(4, 7, 0), text)
}

/// This client has named too many recipients in the last minute, or too many that there are not.
pub(super) fn too_many_recipients() -> Reply {
    let text = "Error: too many recipients in a minute, try again later";
    Reply::new(450, EnhancedCode::new(4, 7, 1), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spools_condition_is_never_a_verdict_on_the_message() {
        for refusal in [
            Refusal::NoQuorum,
            Refusal::DiskFull,
            Refusal::Busy,
            Refusal::StorageFailed,
            Refusal::ShuttingDown,
            Refusal::StageGone,
            Refusal::EnvelopeTooLarge,
        ] {
            let reply = reply(&refusal, "mx.example.net");
            assert!(reply.is_transient(), "{refusal:?}");
            assert_eq!(reply.enhanced.map(|code| code.class), Some(4));
        }
    }
}
