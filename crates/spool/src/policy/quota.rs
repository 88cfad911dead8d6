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
    /// Whether there is any limit.
    #[must_use]
    pub const fn is_set(self) -> bool {
        self.messages > 0 || self.bytes > 0
    }

    /// Whether no more is to be taken, with so much in the queue.
    #[must_use]
    pub const fn is_reached(self, totals: &Totals) -> bool {
        (self.messages > 0 && totals.messages() >= self.messages)
            || (self.bytes > 0 && totals.bytes >= self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_counts_all_that_is_queued() {
        let totals = Totals {
            waiting: 1,
            deferred: 1,
            held: 1,
            rejected: 1,
            bytes: 100,
        };
        let is_reached = |messages, bytes| Quota { messages, bytes }.is_reached(&totals);
        assert!(is_reached(4, 0) && is_reached(3, 1000) && is_reached(1000, 100));
        assert!(!is_reached(5, 101) && !is_reached(0, 0));
        assert!(!Quota::default().is_set());
    }
}
