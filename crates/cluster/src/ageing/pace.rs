//! Whether the time of day goes on as time itself does.
//!
//! A clock that has jumped ahead may be wrong until somebody sets it right, and what was given up by a wrong clock is
//! given up for good. Anything else that depends on the clock comes right with it.

use std::time::{Duration, Instant};

use spool::Timestamp;

use crate::limits::{CLOCK_DRIFT_MAX, CLOCK_REST};

/// What a clock said last, and when it jumped last.
#[derive(Debug)]
pub(super) struct Pace {
    looked: Option<(Instant, Timestamp)>,
    jumped: Option<Instant>,
}

/// How a clock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Going {
    /// On.
    Steadily,
    /// It has jumped now, ahead by so much, or back.
    Jumped(Duration),
    /// It has jumped not long ago.
    Unproven,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            looked: None,
            jumped: None,
        }
    }

    /// Looks at what the clock says.
    pub(super) fn look(&mut self, now: Timestamp, instant: Instant) -> Going {
        let before = self.looked.replace((instant, now));
        if let Some((then, said)) = before {
            let elapsed = instant.saturating_duration_since(then);
            let jump = Duration::from_millis(now.0.abs_diff(said.after(elapsed).0));
            if jump > CLOCK_DRIFT_MAX {
                self.jumped = Some(instant);
                return Going::Jumped(jump);
            }
        }
        let is_recent = |at: Instant| instant.saturating_duration_since(at) < CLOCK_REST;
        if self.jumped.is_some_and(is_recent) {
            Going::Unproven
        } else {
            Going::Steadily
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_has_jumped_is_not_gone_by_for_a_while() {
        const TICK: Duration = Duration::from_secs(5);
        let (mut instant, mut now) = (Instant::now(), Timestamp(1_000_000_000));
        let mut pace = Pace::new();
        let mut look = |ahead: Duration| {
            instant += TICK;
            now = now.after(TICK + ahead);
            (pace.look(now, instant), instant)
        };
        assert_eq!(look(Duration::ZERO).0, Going::Steadily);
        assert_eq!(look(CLOCK_DRIFT_MAX).0, Going::Steadily);
        let month = Duration::from_secs(30 * 24 * 3600);
        let (going, jumped) = look(month);
        assert_eq!(going, Going::Jumped(month));
        loop {
            let (going, at) = look(Duration::ZERO);
            if at - jumped >= CLOCK_REST {
                assert_eq!(going, Going::Steadily);
                break;
            }
            assert_eq!(going, Going::Unproven);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_has_jumped() {
        let (instant, now) = (Instant::now(), Timestamp(1_000_000_000));
        let mut pace = Pace::new();
        assert_eq!(pace.look(now, instant), Going::Steadily);
        let back = now.before(CLOCK_DRIFT_MAX * 2);
        assert_eq!(pace.look(back, instant), Going::Jumped(CLOCK_DRIFT_MAX * 2));
    }
}
