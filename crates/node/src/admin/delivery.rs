//! What operators are told of a domain's delivery.

use std::time::Duration;

use api::admin::v1::{Alarm, Delivery, RecoveryGuard};
use spool::{Condition, Course, Destination, Guard, Timestamp};

/// Slower than this, the end of a queue can not be foreseen: a message a minute.
const RATE_MIN: f64 = 1.0 / 60.0;

/// How a domain's delivery stands, in one word.
pub(super) fn condition(
    destination: &Destination,
    course: Option<&Course>,
    now: Timestamp,
) -> &'static str {
    match destination.condition(now) {
        Condition::Down if course.is_some_and(|course| course.probing) => "probing",
        condition => condition.word(),
    }
}

pub(super) fn guard(guard: &Guard) -> RecoveryGuard {
    let tripped = guard.tripped.as_ref();
    RecoveryGuard {
        begun_ms: guard.begun_at.0,
        tripped_ms: tripped.map(|tripped| tripped.at.0),
        why: tripped.map(|tripped| tripped.why.clone()),
    }
}

pub(super) fn delivery(destination: &Destination, course: &Course, now: Timestamp) -> Delivery {
    let per_second = course.per_second;
    let is_foreseen =
        course.draining_since.is_some() && destination.totals.waiting > 0 && per_second >= RATE_MIN;
    let expected_end = is_foreseen.then(|| {
        #[expect(clippy::cast_precision_loss, reason = "an estimate for the eye")]
        let seconds = destination.totals.waiting as f64 / per_second;
        now.after(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    });
    let last_error = course.last_error.as_ref();
    Delivery {
        connections: course.connections as u64,
        per_second,
        draining_since_ms: course.draining_since.map(|at| at.0),
        expected_end_ms: expected_end.map(|at| at.0),
        last_error: last_error.map(|(_, words)| words.clone()),
        last_error_ms: last_error.map(|(at, _)| at.0),
    }
}

pub(super) fn alarm(alarm: spool::Alarm) -> Alarm {
    Alarm {
        name: alarm.name.to_owned(),
        domain: alarm.domain,
        since_ms: alarm.since.0,
        text: alarm.words,
    }
}
