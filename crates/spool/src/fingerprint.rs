//! What tells that a message is the very same one, sent again.

use core::fmt;

use sha2::{Digest as _, Sha256};
use smtp::{BodyType, Envelope, ForwardPath, Mailbox, ReversePath, dsn};

use crate::Digest;

/// 128 bits of a SHA-256 over what a sender would send again: envelope and body.
///
/// Not over the id, the `Received` field, the client or the hour, which differ when the same message
/// comes to another node. To make two messages share one, a sender would have to hash 2^64 of its
/// own, and would lose one of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// The fingerprint of a message. The recipients count in the order in which they were given; the
    /// body by its octets and their SHA-256; the declared size not at all.
    ///
    /// What is not said adds nothing: so a message without it has the fingerprint that it had before
    /// this could be said.
    #[must_use]
    pub fn of(envelope: &Envelope, size: u64, digest: &Digest) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(digest.0);
        hasher.update(size.to_be_bytes());
        hasher.update([match envelope.body_type {
            BodyType::SevenBit => 0,
            BodyType::EightBitMime => 1,
            BodyType::BinaryMime => 2,
        }]);
        match &envelope.reverse_path {
            ReversePath::Null => hasher.update([0]),
            ReversePath::Mailbox(mailbox) => add(&mut hasher, mailbox),
        }
        for recipient in &envelope.recipients {
            match &recipient.path {
                ForwardPath::Postmaster => hasher.update([0]),
                ForwardPath::Mailbox(mailbox) => add(&mut hasher, mailbox),
            }
            add_wishes(&mut hasher, &recipient.dsn);
        }
        if envelope.smtputf8 {
            hasher.update([SMTPUTF8]);
        }
        if let Some(ret) = envelope.dsn.ret {
            add_text(&mut hasher, RET, &ret.to_string());
        }
        if let Some(envid) = &envelope.dsn.envid {
            add_text(&mut hasher, ENVID, envid.as_str());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let (first, _) = digest.split_at(16);
        Self(
            first
                .iter()
                .fold(0, |bits, octet| bits << 8 | u128::from(*octet)),
        )
    }
}

// What stands in front of a part that may be missing; 0 and 1 begin an address.
const NOTIFY: u8 = 2;
const ORCPT: u8 = 3;
const SMTPUTF8: u8 = 4;
const RET: u8 = 5;
const ENVID: u8 = 6;

/// Every part with its length, so that no two envelopes give the same octets.
fn add(hasher: &mut Sha256, mailbox: &Mailbox) {
    hasher.update([1]);
    for part in [&mailbox.local_part, &mailbox.domain] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
}

fn add_wishes(hasher: &mut Sha256, dsn: &dsn::PerRecipient) {
    if let Some(notify) = dsn.notify {
        add_text(hasher, NOTIFY, &notify.to_string());
    }
    if let Some(orcpt) = &dsn.orcpt {
        add_text(hasher, ORCPT, orcpt.as_str());
    }
}

fn add_text(hasher: &mut Sha256, tag: u8, text: &str) {
    hasher.update([tag]);
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text);
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use smtp::Recipient;

    use super::*;

    fn mailbox(text: &str) -> Mailbox {
        text.parse().unwrap()
    }

    fn to(recipients: &[&str]) -> Vec<Recipient> {
        let path = |text: &&str| ForwardPath::Mailbox(mailbox(text)).into();
        recipients.iter().map(path).collect()
    }

    fn envelope() -> Envelope {
        let from = ReversePath::Mailbox(mailbox("a@sender.example"));
        Envelope {
            recipients: to(&["b@example.com", "c@example.com"]),
            ..Envelope::new(from)
        }
    }

    /// Every envelope that differs in one thing from that one.
    fn variants() -> Vec<Envelope> {
        let mut variants = Vec::new();
        let mut vary = |change: &dyn Fn(&mut Envelope)| {
            let mut varied = envelope();
            change(&mut varied);
            variants.push(varied);
        };
        vary(&|e| e.reverse_path = ReversePath::Null);
        vary(&|e| e.body_type = BodyType::EightBitMime);
        vary(&|e| e.body_type = BodyType::BinaryMime);
        vary(&|e| e.smtputf8 = true);
        vary(&|e| e.dsn.ret = Some(dsn::Ret::Full));
        vary(&|e| e.dsn.ret = Some(dsn::Ret::Headers));
        vary(&|e| e.dsn.envid = Some("x".parse().unwrap()));
        for number in [0, 1] {
            vary(&|e| e.recipients[number].dsn.notify = Some(dsn::Notify::NEVER));
            vary(&|e| e.recipients[number].dsn.orcpt = Some("rfc822;x".parse().unwrap()));
        }
        for recipients in [
            to(&["c@example.com", "b@example.com"]),
            to(&["b@example.com"]),
            to(&["B@example.com", "c@example.com"]),
            to(&["b@example.com", "c@example.com", "c@example.com"]),
            vec![ForwardPath::Postmaster.into()],
            Vec::new(),
        ] {
            vary(&|e| e.recipients.clone_from(&recipients));
        }
        variants
    }

    #[test]
    fn everything_that_a_sender_sends_again_counts() {
        let digest = Digest([7; 32]);
        let same = Fingerprint::of(&envelope(), 9, &digest);
        assert_eq!(same, Fingerprint::of(&envelope(), 9, &digest));
        let mut changed = digest;
        changed.0[31] ^= 1;
        let mut all = vec![
            same,
            Fingerprint::of(&envelope(), 10, &digest),
            Fingerprint::of(&envelope(), 9, &changed),
        ];
        let of = |envelope: &Envelope| Fingerprint::of(envelope, 9, &digest);
        all.extend(variants().iter().map(of));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn it_is_a_stored_format_and_stays_as_it_is() {
        let mut envelope = envelope();
        envelope.recipients = to(&["b@example.com"]);
        let fingerprint = Fingerprint::of(&envelope, 9, &Digest([7; 32]));
        assert_eq!(
            format!("{fingerprint:?}"),
            "fa64bc1a58432a5b2f55f7ad53e1e4ff"
        );
    }
}
