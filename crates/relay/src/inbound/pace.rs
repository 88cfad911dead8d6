//! How long a client may still take.

use core::time::Duration;

use tokio::time::Instant;

use super::limits::{
    BODY_RATE_MIN, CROWDED_BODY_RATE_MIN, CROWDED_BODY_TIMEOUT, CROWDED_COMMAND_TIMEOUT,
    CROWDED_FRUITLESS_MAX, PIECE_WAIT_MAX, REFUSED_BODY_MAX,
};

/// Measures a client since it last was answered. Octets that drip in do not extend the time for a
/// command; for a body they do, as far as they come at a rate. While places are short there is less
/// time for everything, and talk that leads to no message does not extend it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    timeout: Duration,
    since: Instant,
    /// The same, but that an answer to a chunk does not begin another body.
    body_since: Instant,
    octets: u64,
    /// When it last had a recipient or a message accepted, or sent some of one.
    fruitful: Instant,
    /// By when it must have a recipient or a message accepted, or a piece of one staged; or else have sent
    /// the rest of a body that is refused.
    body_until: Instant,
}

impl Pace {
    pub(super) fn new(timeout: Duration) -> Self {
        let now = Instant::now();
        Self {
            timeout,
            since: now,
            body_since: now,
            octets: 0,
            fruitful: now,
            body_until: now + PIECE_WAIT_MAX,
        }
    }

    /// The client was answered: it is its turn.
    pub(super) fn restart(&mut self) {
        self.since = Instant::now();
        self.body_since = self.since;
        self.octets = 0;
    }

    /// A chunk was answered: the body goes on.
    pub(super) fn go_on(&mut self) {
        self.since = Instant::now();
    }

    /// Something came of what it said: a recipient, or a whole message, taken or not.
    pub(super) fn bear_fruit(&mut self) {
        let now = Instant::now();
        self.fruitful = now;
        self.body_until = now + PIECE_WAIT_MAX;
        self.body_since = now;
        self.octets = 0;
    }

    /// A body has grown, and maybe by a piece that was staged.
    pub(super) fn grow(&mut self, by_piece: bool) {
        self.fruitful = Instant::now();
        if by_piece {
            self.body_until = self.fruitful + PIECE_WAIT_MAX;
        }
    }

    /// The body that is arriving is refused: nothing of it is kept any more, and its rest is waited for so
    /// that the client hears why.
    pub(super) fn refuse_body(&mut self) {
        self.body_until = Instant::now() + REFUSED_BODY_MAX;
    }

    /// It sent something.
    pub(super) const fn count(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(octets as u64);
    }

    /// It was not its fault that nothing was read from it for so long.
    pub(super) fn forgive(&mut self, span: Duration) {
        self.since += span;
        self.body_since += span;
    }

    /// By when it must have sent a whole command.
    pub(super) fn command_deadline(&self, is_crowded: bool) -> Instant {
        if is_crowded {
            let answered = self.since + self.timeout.min(CROWDED_COMMAND_TIMEOUT);
            answered.min(self.fruitful + CROWDED_FRUITLESS_MAX)
        } else {
            self.since + self.timeout
        }
    }

    /// By when it must have sent more of a body, of which it sent something up to now.
    pub(super) fn body_deadline(&self, now: Instant, is_crowded: bool) -> Instant {
        let (timeout, rate) = if is_crowded {
            (
                self.timeout.min(CROWDED_BODY_TIMEOUT),
                CROWDED_BODY_RATE_MIN,
            )
        } else {
            (self.timeout, BODY_RATE_MIN)
        };
        let earned = Duration::from_secs(self.octets / rate);
        (self.body_since + timeout + earned)
            .min(now + timeout)
            .min(self.body_until)
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
        let now = Instant::now();
        pace.count(1);
        assert_eq!(pace.command_deadline(false), start + minute);
        assert_eq!(pace.body_deadline(now, false), start + minute);
        pace.count(10_000_000);
        assert_eq!(pace.body_deadline(now, false), start + minute + minute / 2);
        pace.restart();
        let deadline = start + minute / 2 + minute;
        assert_eq!(pace.command_deadline(false), deadline);
        pace.forgive(minute);
        assert_eq!(pace.command_deadline(false), deadline + minute);
    }

    #[tokio::test(start_paused = true)]
    async fn while_places_are_short_there_is_less_time_for_everything() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(300));
        assert_eq!(pace.command_deadline(true), start + CROWDED_COMMAND_TIMEOUT);
        let octets = 100 * CROWDED_BODY_RATE_MIN;
        pace.count(usize::try_from(octets).unwrap());
        let minute = Duration::from_secs(60);
        let earned = Duration::from_secs(100);
        assert_eq!(
            pace.body_deadline(start, true),
            start + CROWDED_BODY_TIMEOUT
        );
        let by_rate = start + CROWDED_BODY_TIMEOUT + earned;
        assert_eq!(pace.body_deadline(start + 2 * minute, true), by_rate);
        pace.go_on();
        assert_eq!(pace.body_deadline(start + 2 * minute, true), by_rate);
        let shorter = Pace::new(Duration::from_secs(2));
        assert_eq!(
            shorter.command_deadline(true),
            start + Duration::from_secs(2)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_fast_is_no_credit_for_ever() {
        let start = Instant::now();
        let timeout = Duration::from_secs(300);
        let mut pace = Pace::new(timeout);
        pace.count(50 << 20);
        tokio::time::advance(timeout).await;
        pace.grow(true);
        let last = start + timeout + PIECE_WAIT_MAX;
        assert_eq!(pace.body_deadline(last, false), last);
        pace.grow(false);
        assert_eq!(pace.body_deadline(last, false), last);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_refused_is_waited_for_longer_and_not_for_ever() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(300));
        pace.count(1 << 30);
        pace.refuse_body();
        let last = start + REFUSED_BODY_MAX;
        assert_eq!(pace.body_deadline(last, false), last);
        pace.bear_fruit();
        pace.count(1 << 30);
        let next = start + PIECE_WAIT_MAX;
        assert_eq!(pace.body_deadline(next, false), next);
    }

    #[tokio::test(start_paused = true)]
    async fn while_places_are_short_talk_alone_gains_no_time() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(300));
        tokio::time::advance(CROWDED_FRUITLESS_MAX).await;
        pace.restart();
        assert_eq!(pace.command_deadline(true), start + CROWDED_FRUITLESS_MAX);
        pace.bear_fruit();
        let deadline = start + CROWDED_FRUITLESS_MAX + CROWDED_COMMAND_TIMEOUT;
        assert_eq!(pace.command_deadline(true), deadline);
    }
}
