//! Guarded recoveries.

use api::spool::v1::{self as pb, destination, recovery};
use spool::{
    Guard, Recovery, Timestamp,
    guard::{Step, Tripped},
};

use super::CodecError;

pub(crate) fn recovery_to(recovery: Recovery) -> pb::Recovery {
    let (step, begun_at, why) = match recovery.step {
        Step::Begun => (recovery::Step::Begun, Timestamp(0), String::new()),
        Step::Passed { begun_at } => (recovery::Step::Passed, begun_at, String::new()),
        Step::Tripped { begun_at, why } => (recovery::Step::Tripped, begun_at, why),
    };
    pb::Recovery {
        domain: recovery.domain,
        at_ms: recovery.at.0,
        step: step.into(),
        begun_at_ms: begun_at.0,
        why,
    }
}

pub(crate) fn recovery_from(told: pb::Recovery) -> Result<Recovery, CodecError> {
    let begun_at = Timestamp(told.begun_at_ms);
    let step = match told.step() {
        recovery::Step::Begun => Step::Begun,
        recovery::Step::Passed => Step::Passed { begun_at },
        recovery::Step::Tripped => Step::Tripped {
            begun_at,
            why: told.why,
        },
        recovery::Step::Unspecified => return Err(CodecError::Missing { what: "step" }),
    };
    Ok(Recovery {
        domain: told.domain,
        at: Timestamp(told.at_ms),
        step,
    })
}

pub(crate) fn guard_to(guard: Guard) -> destination::Guard {
    destination::Guard {
        begun_at_ms: guard.begun_at.0,
        tripped: guard.tripped.map(|tripped| destination::Tripped {
            at_ms: tripped.at.0,
            why: tripped.why,
        }),
    }
}

pub(crate) fn guard_from(stored: destination::Guard) -> Guard {
    Guard {
        begun_at: Timestamp(stored.begun_at_ms),
        tripped: stored.tripped.map(|tripped| Tripped {
            at: Timestamp(tripped.at_ms),
            why: tripped.why,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_read_as_it_was_written() {
        let begun_at = Timestamp(5);
        let why = "it refused 5 of the first 5".to_owned();
        for step in [
            Step::Begun,
            Step::Passed { begun_at },
            Step::Tripped { begun_at, why },
        ] {
            let recovery = Recovery {
                domain: "example.com".to_owned(),
                at: Timestamp(7),
                step,
            };
            let read = recovery_from(recovery_to(recovery.clone())).unwrap();
            assert_eq!(read, recovery);
        }
        assert!(recovery_from(pb::Recovery::default()).is_err());
    }

    #[test]
    fn a_guard_is_read_as_it_was_written() {
        let tripped = Tripped {
            at: Timestamp(9),
            why: "no".to_owned(),
        };
        for tripped in [None, Some(tripped)] {
            let guard = Guard {
                begun_at: Timestamp(5),
                tripped,
            };
            assert_eq!(guard_from(guard_to(guard.clone())), guard);
        }
    }
}
