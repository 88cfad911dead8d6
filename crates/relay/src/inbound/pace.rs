//! How long a client may still take.

use core::time::Duration;

use tokio::time::Instant;

use super::limits::BODY_RATE_MIN;

/// Measures a client since it last was answered. Octets that drip in do not extend the time for a
/// command; for a body they do, as far as they come at a rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    timeout: Duration,
    since: Instant,
    octets: u64,
}

impl Pace {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            since: Instant::now(),
            octets: 0,
        }
    }

    /// The client was answered: it is its turn.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.timeout);
    }

    /// It sent something.
    pub(super) const fn count(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(octets as u64);
    }

    /// It was not its fault that nothing was read from it for so long.
    pub(super) fn forgive(&mut self, span: Duration) {
        self.since += span;
    }

    /// By when it must have sent a whole command.
    pub(super) fn command_deadline(&self) -> Instant {
        self.since + self.timeout
    }

    /// By when it must have sent more of a body.
    pub(super) fn body_deadline(&self) -> Instant {
        let earned = Duration::from_secs(self.octets / BODY_RATE_MIN);
        let by_rate = self.since + self.timeout + earned;
        by_rate.min(Instant::now() + self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_command_has_its_time_and_a_body_earns_more_by_its_rate() {
        let minute = Duration::from_secs(60);
        let start = Instant::now();
        let mut pace = Pace::new(minute);
        tokio::time::advance(minute / 2).await;
        pace.count(1);
        assert_eq!(pace.command_deadline(), start + minute);
        assert_eq!(pace.body_deadline(), start + minute);
        pace.count(10_000_000);
        assert_eq!(pace.body_deadline(), start + minute + minute / 2);
        pace.restart();
        assert_eq!(pace.command_deadline(), start + minute / 2 + minute);
        pace.forgive(minute);
        assert_eq!(pace.command_deadline(), start + minute / 2 + 2 * minute);
    }
}
