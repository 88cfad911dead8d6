//! What operators do with messages, in examples.

use core::time::Duration;

use spool::{
    Action, Claims, Command, Handling, MessageId, Outcome, Place, Standing, Status, Tally,
    Timestamp, Totals, Verb,
    audit::{AUDIT_AGE_MAX, AUDIT_ROWS_MAX},
    view::Known,
};

use crate::{
    letters::{Letter, deferred, delivered, rejected},
    memory::{Key, Row},
    replica::Replica,
};

/// No pieces, one recipient at a.example.
const SMALL: Letter = Letter(0);
/// One piece and a tail, recipients at b.example, *.c.example and b.example.
const WIDE: Letter = Letter(1);
/// Three pieces and a tail, one recipient at a.example.
const LARGE: Letter = Letter(3);

const NOW: Timestamp = Timestamp(1_800_000_000_000);

const TERM: u64 = 4;

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn accepted(letters: &[Letter]) -> Replica {
    let mut replica = Replica::default();
    for letter in letters {
        for number in 0..letter.pieces() {
            replica.apply(letter.stage(number, NOW));
        }
        replica.apply(letter.accept(NOW));
    }
    replica
}

/// An action of its own for each number.
fn action(number: u64) -> Action {
    let at = later(number);
    Action {
        id: MessageId::new(at.0, 0).0,
        at,
        by: "ann".to_owned(),
        what: "what she wants".to_owned(),
        reason: "spam".to_owned(),
    }
}

fn handling(number: u64, batch: u32, verb: Verb, letters: &[Letter]) -> Command {
    Command::Handle(Handling {
        verb,
        action: action(number),
        batch,
        ids: letters.iter().map(|letter| letter.id()).collect(),
    })
}

const fn changed(changed: u64) -> Outcome {
    Outcome::Handled(Tally {
        changed,
        unaffected: 0,
        held: 0,
        absent: 0,
    })
}

impl Replica {
    fn handle(&mut self, number: u64, verb: Verb, letters: &[Letter]) -> Outcome {
        self.apply_repeatedly(handling(number, 1, verb, letters))
    }

    fn stands(&self, letter: Letter, domain: &str) -> Option<Standing> {
        self.memory.message_of(letter.id())?.standing(domain)
    }

    fn place(&self, letter: Letter, domain: &str) -> Option<Place> {
        let Some(Known::Queued(sequence)) = self.memory.known_of(letter.id()) else {
            return None;
        };
        match self
            .memory
            .rows
            .get(&Key::Queue(domain.to_owned(), sequence))
        {
            Some(Row::Place(place)) => Some(*place),
            _ => None,
        }
    }

    fn revision(&self, domain: &str) -> u64 {
        self.memory.destination_of(domain).revision
    }

    fn claim_letter(&mut self, letter: Letter, domain: &str) {
        let Some(Known::Queued(sequence)) = self.memory.known_of(letter.id()) else {
            panic!("nothing is there to be claimed");
        };
        self.apply(Command::Claim(Claims {
            term: TERM,
            domain: domain.to_owned(),
            sequences: vec![sequence],
        }));
    }
}

#[test]
fn a_held_message_stands_in_no_queue_and_is_back_in_its_place_when_released() {
    let mut replica = accepted(&[SMALL, WIDE]);
    let before = replica.place(SMALL, "a.example");
    assert_eq!(replica.handle(1, Verb::Hold, &[SMALL]), changed(1));
    assert_eq!(replica.stands(SMALL, "a.example"), Some(Standing::Held));
    assert_eq!(replica.place(SMALL, "a.example"), None);
    let totals = replica.memory.destination_of("a.example").totals;
    assert_eq!(
        (totals.held, totals.undelivered(), totals.messages()),
        (1, 0, 1)
    );
    let hold = replica
        .memory
        .message_of(SMALL.id())
        .unwrap()
        .hold
        .clone()
        .unwrap();
    assert_eq!(
        (hold.at, hold.by.as_str(), hold.reason.as_str()),
        (later(1), "ann", "spam")
    );
    assert_eq!(replica.handle(2, Verb::Release, &[SMALL]), changed(1));
    assert_eq!(replica.place(SMALL, "a.example"), before);
    assert_eq!(replica.revision("a.example"), 2);
    assert_eq!(replica.revision("b.example"), 0, "nothing was done there");
}

#[test]
fn a_deferred_message_is_due_when_it_was_also_after_a_hold() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(SMALL.report(later(1), vec![(0, deferred())]));
    let before = replica.stands(SMALL, "a.example");
    replica.handle(2, Verb::Hold, &[SMALL]);
    replica.handle(3, Verb::Release, &[SMALL]);
    assert!(matches!(before, Some(Standing::Deferred(_))));
    assert_eq!(replica.stands(SMALL, "a.example"), before);
}

#[test]
fn what_was_on_its_way_when_it_was_held_is_reported_as_ever() {
    let mut replica = accepted(&[SMALL, WIDE]);
    replica.claim_letter(SMALL, "a.example");
    replica.handle(1, Verb::Hold, &[SMALL, WIDE]);
    replica.apply(SMALL.delivered(later(2)));
    assert_eq!(replica.memory.message_of(SMALL.id()), None);
    replica.apply(WIDE.report(later(2), vec![(0, deferred()), (1, delivered())]));
    assert_eq!(replica.stands(WIDE, "b.example"), Some(Standing::Held));
    assert_eq!(replica.stands(WIDE, "*.c.example"), None);
}

#[test]
fn what_is_released_is_claimed_by_nobody() {
    let mut replica = accepted(&[SMALL]);
    replica.claim_letter(SMALL, "a.example");
    replica.handle(1, Verb::Hold, &[SMALL]);
    replica.handle(2, Verb::Release, &[SMALL]);
    let place = replica.place(SMALL, "a.example").unwrap();
    assert_eq!(place.claimed_by, None);
}

#[test]
fn what_is_retried_on_its_way_stays_claimed() {
    let mut replica = accepted(&[SMALL]);
    replica.apply(SMALL.report(later(1), vec![(0, deferred())]));
    replica.claim_letter(SMALL, "a.example");
    assert_eq!(replica.handle(2, Verb::Retry, &[SMALL]), changed(1));
    let place = replica.place(SMALL, "a.example").unwrap();
    assert_eq!((place.due, place.claimed_by), (Timestamp(0), Some(TERM)));
}

#[test]
fn what_is_deleted_is_gone_for_good_whatever_comes_later() {
    let mut replica = accepted(&[LARGE]);
    replica.claim_letter(LARGE, "a.example");
    assert_eq!(replica.handle(1, Verb::Delete, &[LARGE]), changed(1));
    assert_eq!(replica.memory.messages().count(), 0);
    assert_eq!(replica.memory.dropped, [1, 2, 3, 4]);
    let totals = replica.memory.destination_of("a.example").totals;
    assert_eq!(totals, Totals::default());
    let known = Some(Known::Departed(later(1)));
    for late in [
        LARGE.report(later(2), vec![(0, deferred())]),
        LARGE.delivered(later(3)),
        LARGE.accept(NOW),
        handling(4, 1, Verb::Release, &[LARGE]),
        handling(5, 1, Verb::Retry, &[LARGE]),
    ] {
        replica.apply(late);
        assert_eq!(replica.memory.messages().count(), 0);
        assert_eq!(replica.memory.known_of(LARGE.id()), known);
    }
}

#[test]
fn a_retry_makes_due_what_was_put_off_and_what_was_refused() {
    let mut replica = accepted(&[WIDE]);
    let verdicts = vec![(0, rejected()), (1, deferred()), (2, delivered())];
    replica.apply(WIDE.report(later(1), verdicts));
    assert_eq!(replica.handle(2, Verb::Retry, &[WIDE]), changed(1));
    let message = replica.memory.message_of(WIDE.id()).unwrap();
    let statuses: Vec<&Status> = message.recipients.iter().map(|r| &r.status).collect();
    assert!(matches!(
        statuses[..],
        [Status::Pending, Status::Pending, Status::Delivered { .. }]
    ));
    for domain in ["b.example", "*.c.example"] {
        assert_eq!(replica.stands(WIDE, domain), Some(Standing::Waiting));
    }
}

#[test]
fn a_late_copy_of_a_command_undoes_nothing() {
    let mut replica = accepted(&[SMALL]);
    let (first, second) = (
        handling(1, 1, Verb::Hold, &[SMALL]),
        handling(1, 2, Verb::Hold, &[SMALL, LARGE]),
    );
    replica.apply(first.clone());
    replica.apply(second.clone());
    replica.handle(2, Verb::Release, &[SMALL]);
    let before = replica.memory.rows.clone();
    replica.apply(first);
    let outcome = replica.apply(second);
    assert_eq!(replica.memory.rows, before);
    let tally = Tally {
        unaffected: 1,
        absent: 1,
        ..Tally::default()
    };
    assert_eq!(outcome, Outcome::Handled(tally), "as it was answered first");
}

#[test]
fn what_can_not_be_done_is_counted_by_its_reason() {
    let mut replica = accepted(&[SMALL, WIDE]);
    replica.handle(1, Verb::Hold, &[SMALL]);
    for (number, verb, unaffected, held) in [
        (2, Verb::Hold, 1, 0),
        (3, Verb::Retry, 1, 1),
        (4, Verb::Release, 1, 0),
    ] {
        let letters = match verb {
            Verb::Hold => vec![SMALL, LARGE],
            Verb::Release => vec![WIDE, LARGE],
            Verb::Retry | Verb::Delete | Verb::Bounce => vec![SMALL, WIDE, LARGE],
        };
        let expected = Tally {
            changed: 0,
            unaffected,
            held,
            absent: 1,
        };
        let outcome = replica.handle(number, verb, &letters);
        assert_eq!(outcome, Outcome::Handled(expected), "{verb:?}");
    }
    assert_eq!(
        replica.memory.actions().count(),
        1,
        "nothing else has changed anything"
    );
}

#[test]
fn an_action_is_one_row_however_many_commands_it_takes() {
    let mut replica = accepted(&[SMALL, WIDE, LARGE]);
    replica.apply(handling(1, 1, Verb::Hold, &[SMALL, WIDE]));
    replica.apply(handling(1, 2, Verb::Hold, &[LARGE]));
    replica.apply_repeatedly(Command::Note(action(2)));
    let rows: Vec<_> = replica.memory.actions().collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].1.changed, rows[0].1.batch), (3, 2));
    assert_eq!(rows[0].1.action, action(1));
    assert_eq!((rows[1].1.changed, rows[1].0), (1, action(2).id));
}

#[test]
fn actions_are_forgotten_after_three_months_and_the_earliest_of_too_many_before() {
    let mut replica = Replica::default();
    replica.apply(Command::Note(action(1)));
    replica.apply(Command::Note(action(2)));
    let row = replica.memory.rows[&Key::Audited(action(2).id)].clone();
    replica.apply_repeatedly(Command::Sweep {
        at: later(2).after(AUDIT_AGE_MAX),
    });
    assert_eq!(replica.memory.actions().count(), 1);
    for number in 0..AUDIT_ROWS_MAX as u64 {
        let id = action(3).id + u128::from(number);
        replica.memory.rows.insert(Key::Audited(id), row.clone());
    }
    replica
        .memory
        .apply_batch(&[(9, Command::Sweep { at: NOW })]);
    let ids = replica.memory.actions().map(|(id, _)| id);
    assert_eq!(ids.min(), Some(action(3).id), "the earliest went");
}
