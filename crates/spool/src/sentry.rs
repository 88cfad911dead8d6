//! Whom the sentry of a domain with `sentry = true` lets in while the primary is up.
//!
//! ```text
//!   (none) ─Visits─▶ came once ─Visits, a minute later or more─▶ ... ─3 visits, 20 min─▶ patient: let in
//!                        └────────────── 36 h without a visit ──────────────┴──▶ (none)
//! ```
//!
//! A sender that is told 450 takes its mail to the primary. One that can not reach it, although both
//! work, comes back here, and must not do so until it gives up and bounces the message. What most spam
//! is sent with does not come back at all.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use smtp::{ForwardPath, ReversePath};

use crate::Timestamp;

/// So many visits are patience,
pub const VISITS_WANTED: u32 = 3;

/// when so much lies between the first and the last of them.
pub const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// A visit that follows the last one faster is the same: a sender that is sent away tries all MX hosts
/// in a row, and some begin again at once.
pub const VISIT_GAP_MIN: Duration = Duration::from_secs(60);

/// For so long after its last visit a visitor is remembered, and let in at once if it was patient:
/// longer than any sender pauses between two tries, and than a correspondent rests overnight.
pub const VISITOR_AGE_MAX: Duration = Duration::from_secs(36 * 3600);

/// How many visitors are remembered at most, 10 MB of memory. Those that were away for the longest make
/// room. Nodes tell of so few new ones a second that nobody is pushed out within [`PATIENCE`].
pub const VISITORS_MAX: usize = 100_000;

/// How many visitors one command tells of at most; of more, the first ones count.
pub const VISITS_PER_COMMAND_MAX: usize = 1000;

/// How many visitors one sweep forgets at most; above what can come between two sweeps.
pub const SWEEP_VISITORS_MAX: usize = 10_000;

/// A sender with mail for a recipient: 128 bits of a SHA-256 over both paths.
///
/// Not over the client's address, as large senders come from another one each time. Without a
/// reverse-path nothing else tells senders apart, so then the client's network counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Visitor(pub u128);

impl Visitor {
    /// Who comes from `client` with mail for a recipient.
    #[must_use]
    pub fn of(from: &ReversePath, to: &ForwardPath, client: IpAddr) -> Self {
        let network = match from {
            ReversePath::Null => network_of(client).to_string(),
            ReversePath::Mailbox(_) => String::new(),
        };
        // A line each: none of them has a line end in it.
        let digest = Sha256::digest(format!("{from}\n{to}\n{network}"));
        let first = digest.iter().take(16);
        Self(first.fold(0, |bits, octet| bits << 8 | u128::from(*octet)))
    }
}

/// The first address of the network that is most likely one host's, or one sender's.
fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What is remembered of a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// When it came first.
    pub first: Timestamp,
    /// When it came last.
    pub last: Timestamp,
    /// How often it came.
    pub visits: u32,
}

impl Patience {
    /// What is to be remembered of a visitor that comes at a moment; `None` when that is no other visit
    /// than the last one.
    #[must_use]
    pub fn after(known: Option<Self>, at: Timestamp) -> Option<Self> {
        match known.filter(|known| is_recent(known.last, at)) {
            None => Some(Self {
                first: at,
                last: at,
                visits: 1,
            }),
            Some(known) if at.since(known.last) < VISIT_GAP_MIN => None,
            Some(known) => Some(Self {
                last: at,
                visits: known.visits.saturating_add(1),
                ..known
            }),
        }
    }

    /// Whether it came often enough to be let in.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.visits >= VISITS_WANTED && self.last.since(self.first) >= PATIENCE
    }
}

/// Whether a visitor that came last at a moment is remembered. Not if a clock has noted that which is far
/// ahead of this one: the visitor would have to wait until then.
#[must_use]
pub fn is_recent(last: Timestamp, now: Timestamp) -> bool {
    now.since(last) <= VISITOR_AGE_MAX && last.since(now) <= PATIENCE
}

/// Whether a visitor that comes at a moment is to be let in, by what is remembered of it and this visit.
#[must_use]
pub fn lets_in(known: Option<Patience>, now: Timestamp) -> bool {
    let after = Patience::after(known, now).or(known);
    after.is_some_and(|patience| patience.is_enough())
}

/// The visitors that are remembered, at most [`VISITORS_MAX`].
///
/// So few that whoever keeps the spool holds them in memory beside what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visitors {
    known: BTreeMap<Visitor, Patience>,
    by_last: BTreeSet<(Timestamp, Visitor)>,
}

impl Visitors {
    /// Takes in a change, as `apply` asked for it.
    pub fn change(&mut self, visitor: Visitor, after: Option<Patience>) {
        if let Some(before) = self.known.remove(&visitor) {
            self.by_last.remove(&(before.last, visitor));
        }
        if let Some(patience) = after {
            self.by_last.insert((patience.last, visitor));
            self.known.insert(visitor, patience);
        }
    }

    /// What is remembered of a visitor.
    #[must_use]
    pub fn get(&self, visitor: Visitor) -> Option<Patience> {
        self.known.get(&visitor).copied()
    }

    /// When each of them came last, those first that were away for the longest.
    pub fn by_last_visit(&self) -> impl Iterator<Item = (Timestamp, Visitor)> {
        self.by_last.iter().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(from: &str, to: &str, client: &str) -> Visitor {
        let (from, _) = ReversePath::parse(from).unwrap();
        let (to, _) = ForwardPath::parse(to).unwrap();
        Visitor::of(&from, &to, client.parse().unwrap())
    }

    fn minute(minutes: u64) -> Timestamp {
        Timestamp(1_800_000_000_000 + minutes * 60_000)
    }

    fn after_visits(minutes: &[u64]) -> Option<Patience> {
        let visits = minutes.iter();
        visits.fold(None, |known, at| {
            Patience::after(known, minute(*at)).or(known)
        })
    }

    #[test]
    fn a_sender_is_the_same_from_every_address_and_a_report_from_its_network_only() {
        let (from, to) = ("<a@sender.example>", "<b@example.com>");
        let one = visitor(from, to, "192.0.2.1");
        assert_eq!(one, visitor(from, to, "2001:db8::1"));
        assert_ne!(one, visitor("<x@sender.example>", to, "192.0.2.1"));
        assert_ne!(one, visitor(from, "<c@example.com>", "192.0.2.1"));
        let report = visitor("<>", to, "192.0.2.1");
        assert_ne!(one, report);
        assert_eq!(report, visitor("<>", to, "192.0.2.200"));
        assert_eq!(report, visitor("<>", to, "::ffff:192.0.2.7"));
        assert_ne!(report, visitor("<>", to, "192.0.3.1"));
        let report = visitor("<>", to, "2001:db8:1:2:3::4");
        assert_eq!(report, visitor("<>", to, "2001:db8:1:2:ffff::"));
        assert_ne!(report, visitor("<>", to, "2001:db8:1:3::4"));
    }

    #[test]
    fn it_is_a_stored_format_and_stays_as_it_is() {
        let of = |from| format!("{:?}", visitor(from, "<b@example.com>", "192.0.2.1"));
        assert_eq!(of("<a@sender.example>"), "1659eee945ff3792c91cf292d82b03a4");
        assert_eq!(of("<>"), "a19969d976630e011cf532895d29937e");
    }

    #[test]
    fn three_visits_over_twenty_minutes_are_patience() {
        for (visits, now, expected) in [
            (&[][..], 0, false),
            (&[0, 10], 20, true),
            (&[0, 10], 19, false),
            (&[0], 60, false),
            (&[0, 1, 2, 3, 4, 5], 19, false),
            (&[0, 1, 2, 3, 4, 5], 20, true),
            (&[0, 0, 0], 20, false),
            (&[0, 10, 20], 20, true),
            (&[0, 10, 20], 20 + 36 * 60, true),
            (&[0, 10, 20], 21 + 36 * 60, false),
            (&[0, 36 * 60], 72 * 60, true),
        ] {
            let known = after_visits(visits);
            assert_eq!(
                lets_in(known, minute(now)),
                expected,
                "{visits:?} and {now}"
            );
        }
    }

    #[test]
    fn visits_that_follow_each_other_fast_are_one() {
        let known = after_visits(&[0]);
        let soon = Timestamp(minute(1).0 - 1);
        assert_eq!(Patience::after(known, soon), None);
        assert_eq!(Patience::after(known, minute(0).before(PATIENCE)), None);
        let after = Patience::after(known, minute(1)).unwrap();
        assert_eq!(
            (after.first, after.last, after.visits),
            (minute(0), minute(1), 2)
        );
    }

    #[test]
    fn what_a_clock_far_ahead_has_noted_keeps_nobody_waiting() {
        let known = after_visits(&[500, 510, 520]);
        assert!(!lets_in(known, minute(0)));
        let after = Patience::after(known, minute(0)).unwrap();
        assert_eq!((after.first, after.visits), (minute(0), 1));
    }
}
