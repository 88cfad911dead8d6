//! What tells that a message is the very same one, sent again.

use core::fmt;

use sha2::{Digest as _, Sha256};
use smtp::{BodyType, ForwardPath, Mailbox, ReversePath};

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
    /// body by its octets and their SHA-256.
    #[must_use]
    pub fn of<'p>(
        reverse_path: &ReversePath,
        recipients: impl IntoIterator<Item = &'p ForwardPath>,
        body_type: BodyType,
        size: u64,
        digest: &Digest,
    ) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(digest.0);
        hasher.update(size.to_be_bytes());
        hasher.update([match body_type {
            BodyType::SevenBit => 0,
            BodyType::EightBitMime => 1,
        }]);
        match reverse_path {
            ReversePath::Null => hasher.update([0]),
            ReversePath::Mailbox(mailbox) => add(&mut hasher, mailbox),
        }
        for recipient in recipients {
            match recipient {
                ForwardPath::Postmaster => hasher.update([0]),
                ForwardPath::Mailbox(mailbox) => add(&mut hasher, mailbox),
            }
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

/// Every part with its length, so that no two envelopes give the same octets.
fn add(hasher: &mut Sha256, mailbox: &Mailbox) {
    hasher.update([1]);
    for part in [&mailbox.local_part, &mailbox.domain] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(text: &str) -> Mailbox {
        text.parse().unwrap()
    }

    fn to(recipients: &[&str]) -> Vec<ForwardPath> {
        let path = |text: &&str| ForwardPath::Mailbox(mailbox(text));
        recipients.iter().map(path).collect()
    }

    #[test]
    fn everything_that_a_sender_sends_again_counts() {
        let from = ReversePath::Mailbox(mailbox("a@sender.example"));
        let digest = Digest([7; 32]);
        let of = |from: &ReversePath, to: &[ForwardPath], body_type, size, digest: &Digest| {
            Fingerprint::of(from, to, body_type, size, digest)
        };
        let first = to(&["b@example.com", "c@example.com"]);
        let same = of(&from, &first, BodyType::SevenBit, 9, &digest);
        assert_eq!(same, of(&from, &first, BodyType::SevenBit, 9, &digest));
        let mut changed = digest;
        changed.0[31] ^= 1;
        let mut all = vec![
            same,
            of(&ReversePath::Null, &first, BodyType::SevenBit, 9, &digest),
            of(&from, &first, BodyType::EightBitMime, 9, &digest),
            of(&from, &first, BodyType::SevenBit, 10, &digest),
            of(&from, &first, BodyType::SevenBit, 9, &changed),
        ];
        for recipients in [
            to(&["c@example.com", "b@example.com"]),
            to(&["b@example.com"]),
            to(&["B@example.com", "c@example.com"]),
            to(&["b@example.com", "c@example.com", "c@example.com"]),
            vec![ForwardPath::Postmaster],
            Vec::new(),
        ] {
            all.push(of(&from, &recipients, BodyType::SevenBit, 9, &digest));
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn it_is_a_stored_format_and_stays_as_it_is() {
        let from = ReversePath::Mailbox(mailbox("a@sender.example"));
        let recipients = to(&["b@example.com"]);
        let digest = Digest([7; 32]);
        let fingerprint = Fingerprint::of(&from, &recipients, BodyType::SevenBit, 9, &digest);
        assert_eq!(
            format!("{fingerprint:?}"),
            "fa64bc1a58432a5b2f55f7ad53e1e4ff"
        );
    }
}
