//! When a deferred message is tried again.

use core::time::Duration;

use crate::{MessageId, Timestamp};

/// The wait after the first, second, ... failed attempt; the last one repeats.
///
/// These are waits after a primary that is *up* said "not now" to one message, so they start far
/// below the 30 minutes of RFC 5321 section 4.5.4.1, which are meant for hosts that do not answer:
/// a primary that greylists or is still warming up takes the message within the minute.
const WAITS: [Duration; 9] = [
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(2 * 60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(20 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(60 * 60),
];

/// Waits are spread by up to this share of themselves, so that messages deferred together do not
/// come due together.
const JITTER_PERCENT: u64 = 10;

/// The moment of the next attempt, after `attempts` failed ones (at least 1) of which the last was
/// at `at`. The spread comes from the id, so that all nodes compute the same.
#[must_use]
pub fn next_attempt(id: MessageId, attempts: u32, at: Timestamp) -> Timestamp {
    let last = WAITS.len() - 1;
    let number = usize::try_from(attempts.saturating_sub(1))
        .unwrap_or(last)
        .min(last);
    let wait = WAITS
        .get(number)
        .copied()
        .unwrap_or(Duration::from_secs(60 * 60));
    let draw = (id.0 ^ u128::from(attempts).wrapping_mul(0x9e37_79b9_7f4a_7c15)) % 1000;
    let draw = u64::try_from(draw).unwrap_or(0);
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let spread_ms = wait_ms / 100 * JITTER_PERCENT * draw / 1000;
    at.after(wait + Duration::from_millis(spread_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_stay_there() {
        let at = Timestamp(1_000_000);
        let id = MessageId(7);
        let mut last = Duration::ZERO;
        for attempts in 1..=9 {
            let wait = next_attempt(id, attempts, at).since(at);
            assert!(
                wait > last,
                "attempt {attempts} waits {wait:?} after {last:?}"
            );
            last = wait;
        }
        for attempts in [10, 100, u32::MAX] {
            let wait = next_attempt(id, attempts, at).since(at);
            assert!(wait >= Duration::from_secs(3600) && wait <= Duration::from_secs(3960));
        }
    }

    #[test]
    fn the_spread_depends_on_the_message_and_stays_within_a_tenth() {
        let at = Timestamp(0);
        let waits: std::collections::BTreeSet<u64> = (0..100)
            .map(|id| next_attempt(MessageId(id), 5, at).0)
            .collect();
        assert!(waits.len() > 50);
        assert!(waits.iter().all(|ms| (300_000..=330_000).contains(ms)));
    }
}
