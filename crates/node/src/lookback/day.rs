//! How much mail has waited in the last day.

use std::collections::VecDeque;

use spool::Timestamp;

/// A day of minutes.
pub(crate) const MINUTES: u64 = 24 * 60;

const MINUTE_MS: u64 = 60_000;

/// What a minute of the past was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Which minute, counted since 1970-01-01 UTC.
    pub(crate) minute: u64,
    /// How many messages waited or were deferred in it, at most.
    pub(crate) messages: u64,
}

/// The samples of a day, one for each minute in which this node ran.
#[derive(Debug, Default)]
pub(super) struct Day(VecDeque<Sample>);

/// The minute of a moment.
pub(crate) const fn minute_of(at_ms: u64) -> u64 {
    at_ms / MINUTE_MS
}

impl Day {
    pub(super) fn look(&mut self, messages: u64, now: Timestamp) {
        let minute = minute_of(now.0);
        // A clock that was set back makes what it has told before untrue.
        while self.0.back().is_some_and(|last| last.minute > minute) {
            self.0.pop_back();
        }
        match self.0.back_mut() {
            Some(last) if last.minute == minute => last.messages = last.messages.max(messages),
            _ => self.0.push_back(Sample { minute, messages }),
        }
        let is_old = |sample: &Sample| sample.minute + MINUTES <= minute;
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
    }

    /// The earliest first.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.0.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(looks: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut day = Day::default();
        for (second, messages) in looks {
            day.look(*messages, Timestamp(second * 1000));
        }
        let samples = day.samples().into_iter();
        samples.map(|one| (one.minute, one.messages)).collect()
    }

    #[test]
    fn each_minute_has_its_peak() {
        let looks = [(0, 1), (30, 5), (59, 0), (60, 2), (300, 3)];
        assert_eq!(seen(&looks), [(0, 5), (1, 2), (5, 3)]);
    }

    #[test]
    fn no_more_than_a_day_is_kept() {
        let looks: Vec<(u64, u64)> = (0..3 * MINUTES)
            .map(|minute| (minute * 60, minute))
            .collect();
        let kept = seen(&looks);
        assert_eq!(kept.len(), 1440);
        assert_eq!(kept[0], (2 * MINUTES, 2 * MINUTES));
        assert_eq!(seen(&[(0, 1), (86_400, 2)]), [(1440, 2)]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_disorder_them() {
        assert_eq!(seen(&[(600, 1), (660, 2), (600, 4)]), [(10, 4)]);
    }
}
