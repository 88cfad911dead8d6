//! The one place that asks the system what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spool::{Clock, Timestamp};
use tls::UnixTime;

/// The system's clock, for every room that needs the time.
pub(crate) const SYSTEM: Clock = Clock(now);

/// The present moment; 1970 where the system's clock stands before it.
#[expect(
    clippy::disallowed_methods,
    reason = "every other place gets the time from here"
)]
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A moment as certificates count it.
pub(crate) const fn unix(moment: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(moment.0))
}
