//! Bounds of what is posted to the webhook, each with its reason.

use core::time::Duration;

/// What is not posted is looked for again no sooner than this after a change.
pub(super) const CHANGES_MIN: Duration = Duration::from_secs(1);

/// How patient the posts are.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long one post may take, from the look-up of the host's name to the status line.
    pub post: Duration,
    /// How long after a first failure it is tried again. Doubled with each further one.
    pub retry_min: Duration,
    /// How long after any failure at most.
    pub retry_max: Duration,
    /// After so many failures a change is given up.
    pub tries_max: u32,
    /// How long after a try to record that something was posted it is recorded again.
    pub record_retry: Duration,
}

impl Pace {
    /// A receiver that restarts hears of it within seconds; one that is gone for a night hears of it in the
    /// morning: 300 tries take about a day.
    pub const STANDARD: Self = Self {
        post: Duration::from_secs(10),
        retry_min: Duration::from_secs(1),
        retry_max: Duration::from_secs(300),
        tries_max: 300,
        record_retry: Duration::from_secs(2),
    };

    pub(super) fn wait_after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1);
        let factor = 2_u32.saturating_pow(doublings);
        self.retry_min.saturating_mul(factor).min(self.retry_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let waits = [1, 2, 3, 9, 10, 300].map(|n| Pace::STANDARD.wait_after(n).as_secs());
        assert_eq!(waits, [1, 2, 4, 256, 300, 300]);
    }
}
