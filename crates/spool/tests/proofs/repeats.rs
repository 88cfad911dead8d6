//! What becomes of a message that comes again.

use core::time::Duration;

use proptest::prelude::*;
use spool::{
    Command, MessageId, Outcome, Remembered, Timestamp,
    unconfirmed::{UNCONFIRMED_AGE_MAX, UNCONFIRMED_MAX},
    view::Known,
};

use crate::{
    letters::Letter,
    memory::{Key, Row},
    replica::Replica,
    scripts::any_commands,
};

/// Three pieces and a tail.
const LARGE: Letter = Letter(3);
/// No pieces.
const SMALL: Letter = Letter(0);

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn accepted(letter: Letter) -> Replica {
    let mut replica = Replica::default();
    stage(&mut replica, letter);
    assert_eq!(replica.apply(letter.accept(NOW)), Outcome::Accepted);
    replica
}

fn stage(replica: &mut Replica, letter: Letter) {
    for number in 0..letter.pieces() {
        assert_eq!(replica.apply(letter.stage(number, NOW)), Outcome::Done);
    }
}

fn repeated(letter: Letter) -> Outcome {
    Outcome::Repeated(letter.id())
}

#[test]
fn a_message_that_comes_again_is_answered_with_the_first_and_leaves_no_piece() {
    let mut replica = accepted(LARGE);
    let again = LARGE.again();
    stage(&mut replica, again);
    let outcome = replica.apply_repeatedly(again.accept(later(5)));
    assert_eq!(outcome, repeated(LARGE));
    assert_eq!(replica.memory.messages().count(), 1);
    assert_eq!(replica.memory.stages().count(), 0);
    assert_eq!(replica.memory.dropped, [8, 5, 6, 7, 9, 10]);
    assert_eq!(
        replica.apply(again.again().accept(later(3600))),
        repeated(LARGE),
        "and once more, although its pieces are not there"
    );
}

#[test]
fn a_message_that_has_left_meanwhile_is_still_the_first() {
    let mut replica = accepted(SMALL);
    replica.apply(SMALL.delivered(later(1)));
    let outcome = replica.apply(SMALL.again().accept(later(2)));
    assert_eq!(outcome, repeated(SMALL));
    assert_eq!(replica.memory.messages().count(), 0);
}

#[test]
fn after_its_250_was_read_the_same_message_is_another_one() {
    let mut replica = accepted(SMALL);
    replica.apply_repeatedly(SMALL.confirm());
    let again = SMALL.again();
    assert_eq!(replica.apply(again.accept(later(1))), Outcome::Accepted);
    assert_eq!(replica.apply(SMALL.confirm()), Outcome::Done, "told twice");
    let third = again.again();
    assert_eq!(replica.apply(third.accept(later(2))), repeated(again));
    assert_eq!(replica.memory.messages().count(), 2);
}

#[test]
fn a_message_tells_in_passing_that_the_250_before_it_was_read() {
    let mut replica = accepted(SMALL);
    let again = SMALL.again();
    let accept = again.accept_after(later(1), vec![SMALL.id(), SMALL.id()]);
    assert_eq!(replica.apply_repeatedly(accept), Outcome::Accepted);
    assert_eq!(replica.memory.messages().count(), 2);
    let mut replica = accepted(SMALL);
    replica.apply(LARGE.accept_after(later(1), vec![SMALL.id()]));
    assert_eq!(
        replica.apply(again.accept(later(2))),
        Outcome::Accepted,
        "also one that is refused itself"
    );
}

#[test]
fn a_late_copy_of_a_repeats_proposal_is_no_message_although_the_first_is_confirmed() {
    let mut replica = accepted(SMALL);
    let repeat = SMALL.again().accept(later(1));
    assert_eq!(replica.apply(repeat.clone()), repeated(SMALL));
    replica.apply(SMALL.confirm());
    assert_eq!(replica.apply(repeat), repeated(SMALL));
    assert_eq!(replica.memory.messages().count(), 1);
    replica.apply(Command::Sweep { at: later(3602) });
    assert_eq!(replica.memory.known_of(SMALL.again().id()), None);
}

#[test]
fn an_hour_later_the_same_message_is_another_one() {
    let mut replica = accepted(SMALL);
    let end = NOW.after(UNCONFIRMED_AGE_MAX);
    let mut copy = replica.clone();
    assert_eq!(copy.apply(SMALL.again().accept(end)), repeated(SMALL));
    let after = Timestamp(end.0 + 1);
    replica.apply_repeatedly(SMALL.again().accept(after));
    assert_eq!(replica.memory.messages().count(), 2);
    let third = SMALL.again().again().accept(after);
    assert_eq!(replica.apply(third), repeated(SMALL.again()));
}

#[test]
fn a_sweep_forgets_what_is_an_hour_away_in_either_direction() {
    let mut replica = accepted(SMALL);
    let ahead = Letter(4);
    replica.apply(ahead.accept(later(9000)));
    replica.apply(Command::Sweep { at: later(3600) });
    let left: Vec<_> = replica
        .memory
        .held
        .unconfirmed
        .iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(left, [SMALL.id()], "the other is an hour and a half ahead");
    replica.apply(Command::Sweep { at: later(3601) });
    assert!(replica.memory.held.unconfirmed.is_empty());
}

#[test]
fn other_messages_and_messages_of_older_nodes_are_never_repeats() {
    let mut replica = accepted(SMALL);
    assert_eq!(replica.apply(Letter(4).accept(NOW)), Outcome::Accepted);
    let Command::Accept(mut old) = SMALL.again().accept(NOW) else {
        unreachable!("an acceptance");
    };
    old.fingerprint = None;
    let outcome = replica.apply(Command::Accept(old));
    assert_eq!(outcome, Outcome::Accepted);
    assert_eq!(replica.memory.messages().count(), 3);
    assert_eq!(replica.memory.held.unconfirmed.len(), 2);
}

#[test]
fn when_too_many_are_remembered_the_earliest_makes_room() {
    let mut replica = Replica::default();
    for number in 0..UNCONFIRMED_MAX as u32 {
        let letter = Letter(1_000_000 + number);
        let remembered = Remembered {
            fingerprint: spool::Fingerprint(u128::from(letter.0)),
            at: NOW,
        };
        let (key, row) = (Key::Unconfirmed(letter.id()), Row::Unconfirmed(remembered));
        replica.memory.rows.insert(key, row);
        let id = letter.id();
        replica.memory.held.unconfirmed.change(id, Some(remembered));
    }
    let letter = Letter(LARGE_NUMBER);
    replica.apply_repeatedly(letter.accept(NOW));
    assert_eq!(replica.memory.held.unconfirmed.len(), UNCONFIRMED_MAX);
    let first = replica.memory.held.unconfirmed.iter().next();
    assert_eq!(first.map(|(id, _)| id), Some(Letter(1_000_001).id()));
    assert_eq!(replica.apply(letter.again().accept(NOW)), repeated(letter));
    let next = letter.again().again();
    let accept = next.accept_after(NOW, vec![letter.id()]);
    assert_eq!(replica.apply(accept), Outcome::Accepted);
    let first = replica.memory.held.unconfirmed.iter().next();
    assert_eq!(
        first.map(|(id, _)| id),
        Some(Letter(1_000_001).id()),
        "one that was confirmed made room enough"
    );
}

/// A letter without pieces whose id comes behind many.
const LARGE_NUMBER: u32 = 1 << 24;

/// What must be remembered, told in the plainest way.
#[derive(Default)]
struct Oracle(Vec<(Letter, Timestamp)>);

impl Oracle {
    fn confirm(&mut self, ids: &[MessageId]) {
        self.0.retain(|(letter, _)| !ids.contains(&letter.id()));
    }

    fn hear(&mut self, command: &Command, known: Option<Known>) -> Option<Outcome> {
        let close = |one: Timestamp, other: Timestamp| {
            one.0.abs_diff(other.0) <= UNCONFIRMED_AGE_MAX.as_millis() as u64
        };
        match command {
            Command::Confirm { ids } => self.confirm(ids),
            Command::Sweep { at } => self.0.retain(|(_, then)| close(*then, *at)),
            Command::Accept(accept) => {
                self.confirm(&accept.confirmed);
                if known.is_some() {
                    return None;
                }
                let content = Letter::of(accept.id).content();
                let mut same = self.0.iter();
                let same = same.find(|(letter, at)| {
                    letter.content() == content && close(*at, accept.received_at)
                });
                return same.map(|(letter, _)| Outcome::Repeated(letter.id()));
            }
            _ => {}
        }
        None
    }

    fn remember(&mut self, letter: Letter, at: Timestamp) {
        self.0.retain(|(old, _)| old.content() != letter.content());
        self.0.push((letter, at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_message_is_a_repeat_exactly_while_the_same_one_is_unconfirmed(commands in any_commands()) {
        let mut replica = Replica::default();
        let mut oracle = Oracle::default();
        for command in commands {
            let known = match &command {
                Command::Accept(accept) => replica.memory.known_of(accept.id),
                _ => None,
            };
            let expected = oracle.hear(&command, known);
            let outcome = replica.apply(command.clone());
            if let Command::Accept(accept) = &command
                && known.is_none()
            {
                match expected {
                    Some(expected) => prop_assert_eq!(&outcome, &expected),
                    None => prop_assert!(!matches!(outcome, Outcome::Repeated(_))),
                }
                if outcome == Outcome::Accepted {
                    oracle.remember(Letter::of(accept.id), accept.received_at);
                }
            }
            let mut remembered: Vec<_> =
                oracle.0.iter().map(|(letter, at)| (letter.id(), *at)).collect();
            remembered.sort_unstable();
            let unconfirmed = replica.memory.held.unconfirmed.iter();
            let unconfirmed: Vec<_> = unconfirmed.map(|(id, one)| (id, one.at)).collect();
            prop_assert_eq!(unconfirmed, remembered);
        }
    }
}
