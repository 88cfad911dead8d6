//! Recoveries that are guarded, and the mail that they hold back.

use core::time::Duration;

use proptest::prelude::*;
use spool::{
    Action, Adopt, Command, Condition, Fact, Lessons, MessageId, Outcome, Reachability, Recovery,
    Timestamp,
    guard::Step,
    policy::Document,
    recipients::{Judgement, News, Source, judge},
};

use crate::{
    letters::{DOMAINS, Letter, POLICY, found},
    replica::Replica,
    scripts::any_commands,
};

const DOMAIN: &str = "a.example";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn second(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn observe(reachability: Reachability, at: Timestamp) -> Command {
    Command::Observe {
        domain: DOMAIN.to_owned(),
        reachability,
        at,
    }
}

fn step(step: Step, at: Timestamp) -> Command {
    Command::Recover(Recovery {
        domain: DOMAIN.to_owned(),
        at,
        step,
    })
}

fn tripped(begun_at: Timestamp, at: Timestamp) -> Command {
    let why = "it refused 5 of the first 5".to_owned();
    step(Step::Tripped { begun_at, why }, at)
}

fn action(at: Timestamp) -> Action {
    Action {
        id: MessageId::new(at.0, 0).0,
        at,
        by: "ann".to_owned(),
        ..Action::default()
    }
}

fn resume(at: Timestamp) -> Command {
    Command::Resume {
        domain: DOMAIN.to_owned(),
        action: action(at),
    }
}

/// A spool with a message, whose primary went down at second 0.
fn outage() -> Replica {
    let mut replica = Replica::default();
    replica.apply(found());
    replica.apply(Letter(0).accept(NOW));
    replica.apply(observe(Reachability::Down("refused".to_owned()), second(0)));
    replica
}

/// One that is on trial since second 10.
fn on_trial() -> Replica {
    let mut replica = outage();
    replica.apply_repeatedly(step(Step::Begun, second(10)));
    replica.apply(observe(Reachability::Up, second(11)));
    replica
}

impl Replica {
    fn condition(&self) -> Condition {
        self.memory.destination_of(DOMAIN).condition(NOW)
    }
}

#[test]
fn a_trial_ends_with_believing_or_with_an_operator() {
    let mut replica = on_trial();
    assert_eq!(replica.condition(), Condition::Recovering);
    let begun_at = second(10);
    replica.apply_repeatedly(step(Step::Passed { begun_at }, second(12)));
    assert_eq!(replica.condition(), Condition::Draining);

    let mut replica = on_trial();
    replica.apply_repeatedly(tripped(second(10), second(12)));
    assert_eq!(replica.condition(), Condition::HeldBack);
    let destination = replica.memory.destination_of(DOMAIN);
    let held = destination.held_back().unwrap();
    assert_eq!(
        (held.at, held.why.as_str()),
        (second(12), "it refused 5 of the first 5")
    );
    // Passing comes too late.
    replica.apply_repeatedly(step(Step::Passed { begun_at }, second(13)));
    assert_eq!(replica.condition(), Condition::HeldBack);
    replica.apply_repeatedly(resume(second(14)));
    assert_eq!(replica.condition(), Condition::Draining);
    let flushed_at = replica.memory.destination_of(DOMAIN).flushed_at;
    assert_eq!(flushed_at, second(14), "what the trial has put off is due");
}

#[test]
fn a_late_step_is_of_no_other_recovery() {
    let mut replica = on_trial();
    let begun_at = second(10);
    replica.apply(step(Step::Passed { begun_at }, second(12)));
    // Nothing comes back that is up.
    replica.apply_repeatedly(step(Step::Begun, second(10)));
    assert_eq!(replica.condition(), Condition::Draining);
    replica.apply(observe(
        Reachability::Down("refused".to_owned()),
        second(20),
    ));
    replica.apply(step(Step::Begun, second(30)));
    replica.apply(observe(Reachability::Up, second(31)));
    replica.apply_repeatedly(tripped(begun_at, second(12)));
    replica.apply_repeatedly(step(Step::Passed { begun_at }, second(12)));
    replica.apply_repeatedly(resume(second(14)));
    assert_eq!(replica.condition(), Condition::Recovering);
}

#[test]
fn one_that_failed_and_was_down_again_waits_for_the_operator() {
    let mut replica = on_trial();
    replica.apply(tripped(second(10), second(12)));
    replica.apply(observe(
        Reachability::Down("refused".to_owned()),
        second(20),
    ));
    assert_eq!(replica.condition(), Condition::HeldBack);
    replica.apply_repeatedly(step(Step::Begun, second(30)));
    replica.apply(observe(Reachability::Up, second(31)));
    assert_eq!(replica.condition(), Condition::HeldBack);
}

#[test]
fn a_pause_and_a_guard_end_together() {
    let mut replica = on_trial();
    replica.apply(tripped(second(10), second(12)));
    replica.apply(Command::Pause {
        domain: DOMAIN.to_owned(),
        until: None,
        action: action(second(13)),
    });
    assert_eq!(replica.condition(), Condition::Paused);
    let resumed = replica.apply_repeatedly(resume(second(14)));
    assert!(matches!(resumed, Outcome::Handled(tally) if tally.changed == 1));
    assert_eq!(replica.condition(), Condition::Draining);
    let again = replica.apply_repeatedly(resume(second(15)));
    assert!(matches!(again, Outcome::Handled(tally) if tally.changed == 0));
}

#[test]
fn a_policy_without_a_guard_ends_it() {
    let mut replica = on_trial();
    replica.apply(tripped(second(10), second(12)));
    let adopted = replica.apply(Command::Adopt(Adopt {
        policy: Document::of_text(format!("{POLICY}recovery_guard = false\n")),
        replaces: 1,
        at: second(13),
        by: "postmaster".to_owned(),
    }));
    assert_eq!(adopted, Outcome::Adopted(2));
    assert_eq!(replica.condition(), Condition::Draining);
}

#[test]
fn what_a_primary_on_trial_says_of_recipients_does_not_count() {
    let mut replica = outage();
    let learn = |news, at| {
        let address = "anna@a.example".to_owned();
        let domain = DOMAIN.to_owned();
        let facts = vec![Fact {
            domain,
            address,
            news,
        }];
        Command::Learn(Lessons {
            at,
            policy_version: 1,
            facts,
        })
    };
    let judged = |replica: &Replica, at| {
        let known = replica.memory.recipient_of(DOMAIN, "anna@a.example");
        judge(known, &replica.memory.destination_of(DOMAIN), at)
    };
    replica.apply(learn(News::Valid(Source::Delivery), second(1)));
    replica.apply(step(Step::Begun, second(10)));
    replica.apply(observe(Reachability::Up, second(11)));
    replica.apply(learn(News::Unknown(Source::Delivery), second(12)));
    assert_eq!(judged(&replica, second(12)), Judgement::Take);
    let begun_at = second(10);
    replica.apply(step(Step::Passed { begun_at }, second(13)));
    replica.apply(learn(News::Unknown(Source::Delivery), second(14)));
    assert_eq!(judged(&replica, second(14)), Judgement::Refuse);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mail_is_held_by_a_failed_trial_alone_and_freed_by_an_operator_alone(
        commands in any_commands(),
    ) {
        let mut replica = Replica::default();
        for command in commands {
            let before = DOMAINS.map(|domain| replica.memory.destination_of(domain));
            replica.apply(command.clone());
            for (domain, before) in DOMAINS.into_iter().zip(before) {
                let after = replica.memory.destination_of(domain);
                let step = match &command {
                    Command::Recover(recovery) if recovery.domain == domain => Some(&recovery.step),
                    _ => None,
                };
                match (before.held_back(), after.held_back()) {
                    (None, Some(_)) => {
                        let Some(Step::Tripped { begun_at, .. }) = step else {
                            return Err(TestCaseError::fail(format!("{command:?}")));
                        };
                        let of = before.guard.as_ref().map(|guard| guard.begun_at);
                        prop_assert_eq!(of, Some(*begun_at));
                    }
                    (Some(_), None) => prop_assert!(
                        matches!(command, Command::Resume { .. } | Command::Adopt(_)),
                        "{:?}", command
                    ),
                    (held, still) => prop_assert_eq!(held, still),
                }
            }
        }
    }
}
