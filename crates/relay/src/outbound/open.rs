//! A connection that messages go over, and how many of them, and for how long.

use smtp::Extensions;
use tokio::time::Instant;

use crate::outbound::connection::Connection;
use crate::outbound::limits::{MESSAGES_PER_CONNECTION_MAX, Timeouts};
use crate::outbound::places::Place;

/// An open connection, how many transactions went over it, and until when others may.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) connection: Connection,
    transactions: u64,
    transactions_max: u64,
    recipients_max: usize,
    ends: Instant,
    /// When others have their turn, if any wait for its place.
    turn_ends: Instant,
}

impl Open {
    /// Transactions may begin over it up to its age, or its turn.
    pub(super) fn new(connection: Connection, timeouts: Timeouts) -> Self {
        let offered = connection.session.offered();
        let (transactions_max, recipients_max) = limits(offered);
        Self {
            connection,
            transactions: 0,
            transactions_max,
            recipients_max,
            ends: Instant::now() + timeouts.connection_age,
            turn_ends: Instant::now() + timeouts.turn,
        }
    }

    /// Whether somebody waits for its place.
    pub(super) fn is_wanted(&self) -> bool {
        let place = self.connection.place.as_ref();
        place.is_some_and(Place::is_wanted)
    }

    /// Whether a transaction went over it before.
    pub(super) const fn is_reused(&self) -> bool {
        self.transactions > 0
    }

    /// How many of so many recipients the next transaction may have.
    pub(super) fn recipients_of(&self, left: usize) -> usize {
        left.min(self.recipients_max)
    }

    /// One more transaction has gone over it.
    pub(super) const fn count(&mut self) {
        self.transactions += 1;
    }

    /// Returns the connection if another transaction may follow. If not, it is ended.
    pub(super) async fn next(self) -> Option<Self> {
        if self.connection.session.is_closed() {
            return None;
        }
        let now = Instant::now();
        let is_over = now >= self.ends || (now >= self.turn_ends && self.is_wanted());
        if is_over || self.transactions >= self.transactions_max {
            self.connection.quit().await;
            return None;
        }
        Some(self)
    }
}

/// Transactions of a connection and recipients of a transaction at most (MAILMAX and RCPTMAX,
/// RFC 9422).
fn limits(offered: Option<&Extensions>) -> (u64, usize) {
    let limits = offered.map(|offered| offered.limits).unwrap_or_default();
    let transactions_max = limits.messages.map_or(MESSAGES_PER_CONNECTION_MAX, |max| {
        max.min(MESSAGES_PER_CONNECTION_MAX)
    });
    let recipients_max = limits.recipients.and_then(|max| usize::try_from(max).ok());
    (transactions_max, recipients_max.unwrap_or(usize::MAX))
}
