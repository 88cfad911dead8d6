//! How much of a domain's mail may be queued.

use crate::Totals;

/// At most so much; 0 is no limit but the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Messages.
    pub messages: u64,
    /// Octets of their bodies.
    pub bytes: u64,
}

impl Quota {
    /// What a domain's postmaster may be sent beyond it: as much again. He is to be reached about a domain
    /// that takes nothing any more (RFC 5321 section 4.5.1), and the disk is everybody's all the same.
    #[must_use]
    pub const fn of_postmaster(self) -> Self {
        Self {
            messages: self.messages.saturating_mul(2),
            bytes: self.bytes.saturating_mul(2),
        }
    }

    /// Whether there is any limit.
    #[must_use]
    pub const fn is_set(self) -> bool {
        self.messages > 0 || self.bytes > 0
    }

    /// Whether no more is to be taken, with so much in the queue. What was refused or given up waits for
    /// nothing and stays until somebody deletes it, so alone it never closes a domain: it is no message here,
    /// and its octets, which are not counted apart, count while anything else is queued.
    #[must_use]
    pub const fn is_reached(self, totals: &Totals) -> bool {
        let queued = totals.undelivered() + totals.held;
        (self.messages > 0 && queued >= self.messages)
            || (self.bytes > 0 && queued > 0 && totals.bytes >= self.bytes)
    }

    /// Whether a message of so many octets may join what is queued; 0 where that is not known.
    #[must_use]
    pub const fn has_room(self, totals: &Totals, octets: u64) -> bool {
        let is_empty = totals.undelivered() + totals.held == 0;
        let queued = if is_empty { 0 } else { totals.bytes };
        let fits = self.bytes == 0 || queued.saturating_add(octets) <= self.bytes;
        fits && !self.is_reached(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_counts_what_waits_and_what_is_held() {
        let totals = Totals {
            waiting: 1,
            deferred: 1,
            held: 1,
            rejected: 1,
            bytes: 100,
        };
        let is_reached = |messages, bytes| Quota { messages, bytes }.is_reached(&totals);
        assert!(is_reached(3, 0) && is_reached(2, 1000) && is_reached(1000, 100));
        assert!(!is_reached(4, 101) && !is_reached(0, 0));
        assert!(!Quota::default().is_set());
    }

    #[test]
    fn a_postmaster_is_reached_beyond_it_and_not_without_end() {
        let quota = Quota {
            messages: 3,
            bytes: 0,
        };
        let of = |waiting| Totals {
            waiting,
            bytes: u64::MAX,
            ..Totals::default()
        };
        assert!(quota.is_reached(&of(3)));
        assert!(!quota.of_postmaster().is_reached(&of(5)));
        assert!(quota.of_postmaster().is_reached(&of(6)));
        assert!(!Quota::default().of_postmaster().is_set());
    }

    #[test]
    fn what_was_refused_closes_no_domain() {
        let totals = Totals {
            rejected: 1000,
            bytes: 1000,
            ..Totals::default()
        };
        let quota = Quota {
            messages: 1,
            bytes: 1,
        };
        assert!(!quota.is_reached(&totals));
        assert!(quota.has_room(&totals, 1) && !quota.has_room(&totals, 2));
    }

    #[test]
    fn what_says_how_large_it_is_must_fit() {
        let quota = Quota {
            messages: 0,
            bytes: 1000,
        };
        let totals = Totals {
            waiting: 1,
            bytes: 900,
            ..Totals::default()
        };
        let fits = |octets| quota.has_room(&totals, octets);
        assert!(fits(0) && fits(100) && !fits(101) && !fits(u64::MAX));
        assert!(Quota::default().has_room(&totals, u64::MAX));
    }
}
