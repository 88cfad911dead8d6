//! A moment, as an input.

use core::time::Duration;

/// Milliseconds since 1970-01-01 UTC.
///
/// The cores never read a clock: every command carries the moment at which it was proposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// A proposal that comes again, after others, is no more late than this. What seems to be later was noted by
/// a clock that is ahead.
pub const LATE_MAX: Duration = Duration::from_secs(3600);

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

    /// Whether what was found out now comes too late beside what is known since another moment. What a clock
    /// that was far ahead has noted must not stay until then, whatever is found out.
    #[must_use]
    pub fn is_late(self, known: Self) -> bool {
        self <= known && known.since(self) <= LATE_MAX
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
