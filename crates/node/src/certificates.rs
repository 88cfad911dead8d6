//! Until when the certificates in use are valid.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use spool::Timestamp;
use tracing::warn;

/// A renewal that fails for this long is somebody's business.
const WARNING: Duration = Duration::from_secs(14 * 24 * 3600);

/// The moments at which the certificates of each use end.
#[derive(Debug, Default)]
pub(crate) struct Expiries(Mutex<BTreeMap<&'static str, Timestamp>>);

impl Expiries {
    /// Notes the end of the certificate that one use (`smtp`, `cluster`, `admin`) has loaded.
    pub(crate) fn note(&self, usage: &'static str, not_after: Timestamp, now: Timestamp) {
        if not_after < now.after(WARNING) {
            let days_left = seconds_between(now, not_after).div_euclid(24 * 3600);
            warn!(usage, days_left, "a certificate ends soon");
        }
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(usage, not_after);
    }

    /// Each use with the seconds that are left, negative when they are over.
    pub(crate) fn seconds_left(&self, now: Timestamp) -> Vec<(&'static str, i64)> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.iter()
            .map(|(usage, end)| (*usage, seconds_between(now, *end)))
            .collect()
    }
}

/// Negative when `until` is earlier.
fn seconds_between(from: Timestamp, until: Timestamp) -> i64 {
    let seconds = |moment: Timestamp| i64::try_from(moment.0 / 1000).unwrap_or(i64::MAX);
    seconds(until).saturating_sub(seconds(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_counted_from_now() {
        let expiries = Expiries::default();
        expiries.note("smtp", Timestamp(100_000), Timestamp(0));
        expiries.note("admin", Timestamp(5_000), Timestamp(0));
        assert_eq!(
            expiries.seconds_left(Timestamp(20_000)),
            [("admin", -15), ("smtp", 80)]
        );
    }
}
