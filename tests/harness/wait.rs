//! Waiting for a condition instead of for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Returns as soon as `condition` holds.
///
/// # Panics
/// When it does not hold within `deadline`; the panic names `what` was waited for.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let held = within(deadline, || condition().then_some(()));
    assert!(held.is_some(), "waited {deadline:?} in vain until {what}");
}

/// Asks `question` until it has an answer, or until `deadline` has passed.
pub fn within<T>(deadline: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(POLL_EVERY);
    }
}
