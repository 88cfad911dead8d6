//! What operators have done, in the tables.

use spool::{Action, Audited, Handling, Tally, Verb, View as _};

use super::*;
use crate::store::pending::Pending;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const DAY_MS: u64 = 24 * 3_600_000;

fn action(number: u64) -> Action {
    let at = Timestamp(NOW.0 + number);
    Action {
        id: MessageId::new(at.0, 7).0,
        at,
        by: "ann".to_owned(),
        what: "hold 9".to_owned(),
        reason: "odd".to_owned(),
    }
}

fn handle(verb: Verb, number: u64, id: u128) -> Command {
    Command::Handle(Handling {
        verb,
        action: action(number),
        batch: 1,
        ids: vec![MessageId(id)],
    })
}

fn listed(opened: &Opened, from: u128) -> Vec<Audited> {
    opened.tables.actions(from, 100).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_message_is_in_no_queue_and_back_in_its_place_after_a_restart() {
    let mut opened = Opened::new();
    opened
        .commit(vec![
            entry(1, accept(9, 0, 4, b"body")),
            entry(2, accept(8, 0, 5, b"other")),
            entry(3, handle(Verb::Hold, 1, 9)),
        ])
        .await;
    let waiting = |opened: &Opened| -> Vec<u64> {
        let waiting = opened.tables.waiting("example.com", 0, 9).unwrap();
        waiting
            .iter()
            .map(|(message, _)| message.sequence)
            .collect()
    };
    let mut opened = opened.reopened();
    assert_eq!(waiting(&opened), [2]);
    assert_eq!(
        opened.tables.figures().destinations["example.com"]
            .totals
            .held,
        1
    );
    assert_eq!(opened.messages()[0].hold.as_ref().unwrap().reason, "odd");
    opened
        .commit(vec![entry(4, handle(Verb::Release, 2, 9))])
        .await;
    assert_eq!(waiting(&opened), [1, 2]);
    opened
        .commit(vec![entry(5, handle(Verb::Delete, 3, 8))])
        .await;
    assert_eq!(waiting(&opened), [1]);
    assert_eq!(opened.messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_listed_in_order_from_a_moment_on_and_forgotten_in_time() {
    let mut opened = Opened::new();
    opened
        .commit(vec![
            entry(1, accept(9, 0, 4, b"body")),
            entry(2, handle(Verb::Hold, 1, 9)),
            entry(3, handle(Verb::Hold, 1, 9)),
            entry(4, Command::Note(action(5))),
        ])
        .await;
    let opened = opened.reopened();
    let expected = |number, changed| Audited {
        action: action(number),
        changed,
        batch: 1,
        tally: Tally {
            changed,
            ..Tally::default()
        },
    };
    assert_eq!(listed(&opened, 0), [expected(1, 1), expected(5, 1)]);
    assert_eq!(listed(&opened, action(5).id), [expected(5, 1)]);
    let at = Timestamp(NOW.0 + 5 + 90 * DAY_MS);
    machine::apply_entries(&opened.tables, vec![entry(5, Command::Sweep { at })]).unwrap();
    assert_eq!(listed(&opened, 0), [expected(5, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_their_ids_whether_they_are_written_or_about_to_be() {
    let mut opened = Opened::new();
    opened
        .commit(vec![
            entry(1, accept(9, 0, 4, b"body")),
            entry(2, accept(8, 0, 5, b"other")),
        ])
        .await;
    let mut pending = Pending::new(&opened.tables);
    for (index, command) in [
        (3, accept(7, 0, 4, b"more")),
        (4, handle(Verb::Delete, 1, 8)),
    ] {
        let (_, changes) = spool::apply(&pending, index, command).unwrap();
        pending.add(changes).unwrap();
    }
    let found = pending.queued(&[6, 7, 8, 9].map(MessageId)).unwrap();
    let places: Vec<Option<u64>> = found
        .into_iter()
        .map(|message| message.map(|message| message.sequence))
        .collect();
    assert_eq!(places, [None, Some(3), None, Some(1)]);
}
