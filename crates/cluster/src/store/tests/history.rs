//! What is remembered and kept of messages that have left, in the tables.

use spool::{Expire, Outage, Reachability, Replay, Status, policy::Document};

use super::*;
use crate::store::Trace;

const POLICY: &str =
    "[queue]\nmax_age = \"1s\"\n[[domain]]\nname = \"example.com\"\nprimary = [\"[::1]:25\"]\n";

fn founding() -> Vec<Entry> {
    let found = Command::Found {
        cluster: 77,
        policy: Document::of_text(POLICY),
        at: Timestamp(1),
    };
    vec![members(1, &[1]), entry(2, found)]
}

/// One message of two pieces comes and is delivered at moment 3.
fn passage() -> Vec<Entry> {
    vec![
        entry(3, stage(9, 0, b"first ")),
        entry(4, accept(9, 1, 10, b"last")),
        entry(5, delivered(9)),
    ]
}

fn replay(index: u64) -> Entry {
    entry(
        index,
        Command::Replay(Replay {
            since: Timestamp(2),
            domain: None,
            at: Timestamp(50),
            ids: vec![MessageId(9), MessageId(8)],
        }),
    )
}

fn piece(opened: &Opened, index: u64) -> Option<Vec<u8>> {
    opened.tables.piece(index).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivered_message_is_told_of_and_kept_through_a_purge_and_a_restart() {
    let mut opened = Opened::new();
    opened.commit(founding()).await;
    opened.commit(passage()).await;
    opened.log.purge(log_id(5)).await.unwrap();
    let opened = opened.reopened();
    let Some(Trace::Departed { at, message }) = opened.tables.trace(MessageId(9)).unwrap() else {
        panic!("it has left");
    };
    let message = message.unwrap();
    assert_eq!((at, message.attempts), (Timestamp(3), 1));
    let recipient = &message.recipients[0];
    assert!(matches!(&recipient.status, Status::Delivered { reply, .. } if reply == "250 ok"));
    assert_eq!(recipient.host, "mail.example.com:25");
    assert_eq!(piece(&opened, 3).as_deref(), Some(&b"first "[..]));
    let kept = opened.tables.retained_before(Timestamp(4), 9).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(
        (kept[0].1, kept[0].2.pieces.as_slice()),
        (MessageId(9), &[3, 4][..])
    );
    assert!(
        opened
            .tables
            .retained_before(Timestamp(3), 9)
            .unwrap()
            .is_empty()
    );
    let totals = opened.tables.figures().history;
    assert_eq!(
        (totals.rows, totals.retained, totals.retained_octets),
        (1, 1, 10)
    );
    let departures = opened
        .tables
        .departures((Timestamp(3), MessageId(0)), 9)
        .unwrap();
    assert_eq!((departures.len(), departures[0].is_kept), (1, true));
    let behind = (Timestamp(3), MessageId(9));
    assert!(opened.tables.departures(behind, 9).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_leaves_with_the_next_purge_however_old_it_is() {
    let mut opened = Opened::new();
    opened.commit(founding()).await;
    opened.commit(passage()).await;
    opened.log.purge(log_id(5)).await.unwrap();
    let until = Timestamp(4);
    opened
        .commit(vec![entry(6, Command::Relinquish { until })])
        .await;
    assert!(piece(&opened, 3).is_some());
    opened.log.purge(log_id(6)).await.unwrap();
    assert_eq!((piece(&opened, 3), piece(&opened, 4)), (None, None));
    assert_eq!(opened.tables.figures().history.retained, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_message_waits_in_its_old_place_whether_or_not_it_came_in_the_same_batch() {
    let (mut at_once, mut single) = (Opened::new(), Opened::new());
    let mut entries = founding();
    entries.extend(passage());
    entries.push(replay(6));
    at_once.commit(entries.clone()).await;
    for entry in entries {
        single.commit(vec![entry]).await;
    }
    assert_eq!(at_once.tables.dump(), single.tables.dump());
    let waiting = single.tables.waiting("example.com", 0, 9).unwrap();
    assert_eq!(waiting.len(), 1);
    let message = &waiting[0].0;
    assert_eq!(
        (message.sequence, message.body.pieces.as_slice()),
        (4, &[3, 4][..])
    );
    assert_eq!(message.recipients[0].status, Status::Pending);
    assert_eq!(message.recipients[0].replayed_at, Some(Timestamp(50)));
    assert_eq!(&message.trace[..], b"Received: from test\r\n");
    assert_eq!(
        single.tables.figures().destinations["example.com"].revision,
        1
    );
    single.log.purge(log_id(6)).await.unwrap();
    assert!(piece(&single, 3).is_some(), "it is needed again");
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_are_kept_and_what_is_too_old_is_found_at_the_front_of_the_queue() {
    let mut opened = Opened::new();
    let observe = |reachability, at| Command::Observe {
        domain: "example.com".to_owned(),
        reachability,
        at: Timestamp(at),
    };
    opened.commit(founding()).await;
    opened
        .commit(vec![
            entry(3, accept(8, 0, 5, b"other")),
            entry(4, observe(Reachability::Down("gone".to_owned()), 100)),
            entry(5, observe(Reachability::Up, 5000)),
        ])
        .await;
    let opened = &mut opened.reopened();
    let outage = Outage {
        since: Timestamp(100),
        until: Timestamp(5000),
    };
    assert_eq!(opened.tables.outages("example.com").unwrap(), [outage]);
    let received_at = opened.messages()[0].received_at;
    let ageing = |at| opened.tables.ageing("example.com", Timestamp(at)).unwrap();
    let too_old = received_at.0 + 1000 + 4900;
    assert!(ageing(too_old - 1).expired() < received_at);
    assert!(ageing(too_old).expired() >= received_at);
    let aged = |until| opened.tables.aged("example.com", 0, until, 9).unwrap();
    assert_eq!(aged(received_at).len(), 1);
    assert!(aged(Timestamp(received_at.0 - 1)).is_empty());
    let expire = Expire {
        domain: "example.com".to_owned(),
        at: Timestamp(too_old),
        sequences: vec![3],
    };
    opened.commit(vec![entry(6, Command::Expire(expire))]).await;
    assert!(
        opened
            .tables
            .waiting("example.com", 0, 9)
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        opened.messages()[0].recipients[0].status,
        Status::Rejected { .. }
    ));
}
