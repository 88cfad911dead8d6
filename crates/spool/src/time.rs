//! A moment, as an input.

use core::time::Duration;

/// Milliseconds since 1970-01-01 UTC.
///
/// The cores never read a clock: every command carries the moment at which it was proposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment plus a span, stopping at the largest representable moment.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// This moment less a span, stopping at 1970.
    #[must_use]
    pub const fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// How long ago `earlier` was; zero when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

const fn millis(span: Duration) -> u64 {
    span.as_secs()
        .saturating_mul(1000)
        .saturating_add(span.subsec_millis() as u64)
}

/// Where the shells take the time from, given to each of them by the daemon (or by a test). The
/// cores get a [`Timestamp`] and never a clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(pub fn() -> Timestamp);

impl Clock {
    /// The present moment.
    #[must_use]
    pub fn now(self) -> Timestamp {
        (self.0)()
    }
}
