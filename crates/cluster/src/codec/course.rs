//! How deliveries are getting on.

use api::peer::v1 as pb;
use spool::{Course, Timestamp};

pub(crate) fn course_to((domain, course): (String, Course)) -> pb::Course {
    let (at, words) = course.last_error.unzip();
    pb::Course {
        domain,
        connections: course.connections as u64,
        probing: course.probing,
        draining_since_ms: course.draining_since.map(|at| at.0),
        last_error: words,
        last_error_ms: at.map(|at| at.0),
        per_second: course.per_second,
    }
}

pub(crate) fn course_from(course: pb::Course) -> (String, Course) {
    let at = course.last_error_ms.map(Timestamp);
    let of_it = Course {
        connections: usize::try_from(course.connections).unwrap_or(usize::MAX),
        probing: course.probing,
        draining_since: course.draining_since_ms.map(Timestamp),
        last_error: at.zip(course.last_error),
        per_second: course.per_second,
    };
    (course.domain, of_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_delivery_comes_over() {
        for last_error in [None, Some((Timestamp(5), "refused".to_owned()))] {
            let course = Course {
                connections: 3,
                probing: true,
                draining_since: Some(Timestamp(4)),
                last_error,
                per_second: 2.5,
            };
            let told = ("example.com".to_owned(), course);
            assert_eq!(course_from(course_to(told.clone())), told);
        }
    }
}
