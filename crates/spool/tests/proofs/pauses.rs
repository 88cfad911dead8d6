//! Domains whose mail is kept back, in examples.

use core::time::Duration;

use spool::{Action, Command, MessageId, Outcome, Pause, Tally, Timestamp};

use crate::{letters::Letter, replica::Replica};

const DOMAIN: &str = "a.example";

/// One recipient at a.example.
const SMALL: Letter = Letter(0);

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn action(at: Timestamp) -> Action {
    Action {
        id: MessageId::new(at.0, 0).0,
        at,
        by: "ann".to_owned(),
        what: "domain pause a.example".to_owned(),
        reason: "maintenance".to_owned(),
    }
}

fn pause(at: Timestamp, until: Option<Timestamp>) -> Command {
    Command::Pause {
        domain: DOMAIN.to_owned(),
        until,
        action: action(at),
    }
}

fn resume(at: Timestamp) -> Command {
    Command::Resume {
        domain: DOMAIN.to_owned(),
        action: action(at),
    }
}

fn paused(replica: &Replica, at: Timestamp) -> Option<Pause> {
    let destination = replica.memory.destination_of(DOMAIN);
    destination.pause_at(at).cloned()
}

fn changes(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Handled(Tally { changed: 1, .. }))
}

#[test]
fn a_pause_lasts_until_it_is_ended_or_ends_by_itself() {
    let mut replica = Replica::default();
    assert!(changes(&replica.apply_repeatedly(pause(NOW, None))));
    assert!(paused(&replica, later(1_000_000)).is_some());
    assert!(changes(
        &replica.apply_repeatedly(pause(later(1), Some(later(60))))
    ));
    let during = paused(&replica, later(59)).unwrap();
    assert_eq!((during.since, during.until), (NOW, Some(later(60))));
    assert_eq!(
        (during.by.as_str(), during.reason.as_str()),
        ("ann", "maintenance")
    );
    assert_eq!(paused(&replica, later(60)), None);
    assert!(changes(&replica.apply_repeatedly(resume(later(2)))));
    assert_eq!(paused(&replica, later(3)), None);
}

#[test]
fn a_late_copy_of_a_pause_does_not_pause_again() {
    let mut replica = Replica::default();
    replica.apply(pause(NOW, None));
    replica.apply(resume(later(1)));
    replica.apply(pause(NOW, None));
    assert_eq!(paused(&replica, later(2)), None);
}

#[test]
fn a_domain_that_is_not_paused_is_not_resumed() {
    let mut replica = Replica::default();
    assert!(!changes(&replica.apply_repeatedly(resume(NOW))));
    replica.apply(pause(later(1), Some(later(2))));
    assert!(!changes(&replica.apply_repeatedly(resume(later(3)))));
    assert_eq!(replica.memory.actions().count(), 1);
}

#[test]
fn what_has_ended_by_itself_is_swept_and_the_figures_stay() {
    let mut replica = Replica::default();
    replica.apply(SMALL.accept(NOW));
    replica.apply(pause(NOW, Some(later(60))));
    replica.apply(Command::Sweep { at: later(59) });
    assert!(replica.memory.destination_of(DOMAIN).paused.is_some());
    replica.apply_repeatedly(Command::Sweep { at: later(61) });
    let destination = replica.memory.destination_of(DOMAIN);
    assert_eq!((destination.paused, destination.totals.waiting), (None, 1));
}
