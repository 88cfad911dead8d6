//! A domain's queue in figures, and whether its primary answers.

use crate::{KnownOffers, Roster, Timestamp};

/// Whether a primary answers, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It answers, or nothing is known against it.
    Up,
    /// It does not; the words say what went wrong last.
    Down(String),
}

/// How much stands in one domain's queue. A message with recipients in two domains counts in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that may be tried now.
    pub waiting: u64,
    /// Messages to be tried later.
    pub deferred: u64,
    /// Messages of which only refused recipients are left.
    pub rejected: u64,
    /// Octets of all their bodies.
    pub bytes: u64,
}

impl Totals {
    /// Whether no message stands there.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.undelivered() == 0 && self.rejected == 0
    }

    /// Messages that are still to be delivered.
    #[must_use]
    pub const fn undelivered(&self) -> u64 {
        self.waiting + self.deferred
    }
}

/// What all nodes know of one domain's primary and queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Whether the primary answers.
    pub reachability: Reachability,
    /// Since when that is so.
    pub since: Timestamp,
    /// Deferred messages tried before this moment are due now.
    pub flushed_at: Timestamp,
    /// The queue in figures.
    pub totals: Totals,
    /// What the primary offers; `None` while it was never talked to.
    pub learned: Option<KnownOffers>,
    /// What is known of its recipients, in figures.
    pub roster: Roster,
    /// The version of the policy that named another primary; 0 while it has always been the same.
    pub moved_by: u64,
    /// When that was, by the clock of whoever adopted it: all that older versions have noted.
    pub moved_at: Option<Timestamp>,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            reachability: Reachability::Up,
            since: Timestamp(0),
            flushed_at: Timestamp(0),
            totals: Totals::default(),
            learned: None,
            roster: Roster::default(),
            moved_by: 0,
            moved_at: None,
        }
    }
}
