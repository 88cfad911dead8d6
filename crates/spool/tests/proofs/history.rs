//! What is remembered of messages that have left.

use core::time::Duration;

use spool::{
    Adopt, Command, Message, Outcome, Status, Timestamp,
    history::DEPARTED_AGE_MAX,
    history::{HISTORY_ROWS_MAX, TRIES_MAX},
    policy::Document,
    view::Known,
};

use crate::{
    letters::{HOST, Letter, POLICY, deferred, delivered, found, rejected},
    memory::{Key, Row},
    replica::Replica,
};

/// No pieces, one recipient at a.example.
const SMALL: Letter = Letter(0);
/// One piece and a tail, recipients at b.example, *.c.example and b.example.
const WIDE: Letter = Letter(1);

const DAY: Duration = Duration::from_secs(24 * 3600);

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// A spool with a policy, and letters in it.
fn accepted(queue: &str, letters: &[Letter]) -> Replica {
    let mut replica = Replica::default();
    replica.apply(found());
    let text = format!("[queue]\n{queue}\n{POLICY}");
    replica.apply(adopted(1, &text));
    for letter in letters {
        for number in 0..letter.pieces() {
            replica.apply(letter.stage(number, NOW));
        }
        assert_eq!(replica.apply(letter.accept(NOW)), Outcome::Accepted);
    }
    replica
}

fn adopted(replaces: u64, text: &str) -> Command {
    Command::Adopt(Adopt {
        policy: Document::of_text(text),
        replaces,
        at: NOW,
        by: "postmaster".to_owned(),
    })
}

fn remembered(replica: &Replica, letter: Letter) -> &Message {
    let departure = replica.memory.departure_of(letter.id());
    departure.expect("it is remembered")
}

#[test]
fn what_has_left_is_remembered_with_the_words_and_the_host_of_each_recipient() {
    let mut replica = accepted("", &[WIDE]);
    let words = [(0, delivered()), (1, deferred()), (2, delivered())];
    replica.apply(WIDE.report(later(5), words.to_vec()));
    replica.apply(WIDE.report(later(60), vec![(1, delivered())]));
    let message = remembered(&replica, WIDE);
    let moments = [later(5), later(60), later(5)];
    for (recipient, moment) in message.recipients.iter().zip(moments) {
        let Status::Delivered { at, reply } = &recipient.status else {
            panic!("{recipient:?}");
        };
        assert_eq!((*at, reply.as_str()), (moment, "250 2.0.0 taken"));
        assert_eq!(recipient.host, HOST);
    }
    assert_eq!(message.received_at, NOW);
    assert_eq!(message.client.helo, "there");
    assert_eq!(message.attempts, 2);
    let [first, second] = message.tries.as_slice() else {
        panic!("{:?}", message.tries);
    };
    assert_eq!((first.delivered, first.deferred), (2, 1));
    assert_eq!((first.at, first.host.as_str()), (later(5), HOST));
    assert_eq!(first.words, "451 4.3.0 not now");
    assert_eq!((second.delivered, second.words.as_str()), (1, ""));
}

#[test]
fn the_last_tries_are_remembered() {
    let mut replica = accepted("", &[SMALL]);
    for hour in 1..=20 {
        replica.apply(SMALL.report(later(hour * 7200), vec![(0, deferred())]));
    }
    replica.apply(SMALL.report(later(21 * 7200), vec![(0, rejected())]));
    let message = replica.memory.message_of(SMALL.id()).unwrap();
    assert_eq!(message.attempts, 21);
    let moments: Vec<Timestamp> = message.tries.iter().map(|tried| tried.at).collect();
    let expected: Vec<Timestamp> = (17..=21).map(|hour| later(hour * 7200)).collect();
    assert_eq!((moments, TRIES_MAX), (expected, 5));
    assert_eq!(message.tries.last().unwrap().rejected, 1);
}

#[test]
fn what_has_left_is_forgotten_when_the_policy_says_so() {
    let queue = "history = \"2d\"\nretain_delivered = \"0s\"";
    let mut replica = accepted(queue, &[SMALL]);
    replica.apply(SMALL.delivered(later(1)));
    let sweep = |at| Command::Sweep { at };
    replica.apply(sweep(later(1).after(2 * DAY)));
    remembered(&replica, SMALL);
    replica.apply(sweep(later(2).after(2 * DAY)));
    assert_eq!(replica.memory.known_of(SMALL.id()), None);
    assert_eq!(replica.memory.history().rows, 0);
}

#[test]
fn without_a_history_the_id_alone_is_known_for_an_hour() {
    let queue = "history = \"0s\"\nretain_delivered = \"0s\"";
    let mut replica = accepted(queue, &[SMALL]);
    replica.apply(SMALL.delivered(NOW));
    let known = replica.memory.known_of(SMALL.id());
    assert_eq!(known, Some(Known::Departed(NOW)));
    assert_eq!(replica.memory.departure_of(SMALL.id()), None);
    assert_eq!(replica.memory.history().rows, 1);
    let at = NOW.after(DEPARTED_AGE_MAX);
    replica.apply(Command::Sweep { at });
    assert_eq!(replica.memory.known_of(SMALL.id()), known);
    replica.apply(Command::Sweep {
        at: at.after(Duration::from_millis(1)),
    });
    assert_eq!(replica.memory.known_of(SMALL.id()), None);
}

#[test]
fn the_earliest_make_room_when_too_much_is_remembered_but_never_within_the_hour() {
    let mut replica = accepted("retain_delivered = \"0s\"", &[SMALL, WIDE]);
    replica.apply(SMALL.delivered(NOW));
    replica.apply(WIDE.delivered(later(7200)));
    let mut totals = replica.memory.history();
    totals.rows = HISTORY_ROWS_MAX + 2;
    let mut crowded = replica.memory.clone();
    crowded.rows.insert(Key::History, Row::History(totals));
    crowded.apply_batch(&[(100, Command::Sweep { at: later(7300) })]);
    assert_eq!(crowded.known_of(SMALL.id()), None);
    assert!(crowded.departure_of(WIDE.id()).is_some());
}

#[test]
fn an_upgraded_spool_forgets_what_it_never_counted() {
    let mut replica = Replica::default();
    let (id, gone) = (SMALL.id(), Known::Departed(NOW));
    let rows = &mut replica.memory.rows;
    rows.insert(Key::Known(id), Row::Known(gone));
    rows.insert(Key::Departed(NOW, id), Row::Present);
    let at = later(9000);
    replica.memory.apply_batch(&[(1, Command::Sweep { at })]);
    assert_eq!(replica.memory.known_of(id), None);
    assert_eq!(replica.memory.history().rows, 0);
}
