//! Notices that are owed, and reports that are spooled, in the tables.

use spool::{Delay, Notify, Status, notice::Kind, policy::Document};

use super::*;
use crate::store::Trace;

const POLICY: &str = "[queue]\ndsn = \"always\"\ndelay_notice_after = \"1ms\"\n[[domain]]\nname = \"example.com\"\n\
                      primary = [\"[::1]:25\"]\n";

/// The message and its report.
const MESSAGE: u128 = 9;
const REPORT: u128 = 10;

fn founding() -> Vec<Entry> {
    let found = Command::Found {
        cluster: 77,
        policy: Document::of_text(POLICY),
        at: Timestamp(1),
    };
    vec![members(1, &[1]), entry(2, found)]
}

fn sent() -> Command {
    let Command::Accept(mut accept) = accept(MESSAGE, 0, 4, b"body") else {
        panic!("it is an acceptance");
    };
    accept.reverse_path = ReversePath::Mailbox(Mailbox {
        local_part: "ann".to_owned(),
        domain: "sender.example".to_owned(),
    });
    Command::Accept(accept)
}

fn refused() -> Command {
    report(MESSAGE, Verdict::Rejected("550 no".to_owned()))
}

fn told(kind: Kind) -> Command {
    let Command::Accept(report) = accept(REPORT, 0, 6, b"report") else {
        panic!("it is an acceptance");
    };
    Command::Notify(Notify {
        id: MessageId(MESSAGE),
        kind,
        recipients: vec![0],
        at: Timestamp(4),
        report,
    })
}

fn owed(opened: &Opened) -> Vec<u64> {
    let messages = opened.tables.owed(0, 10).unwrap();
    let sequences: Vec<u64> = messages.iter().map(|message| message.sequence).collect();
    let counted = usize::try_from(opened.tables.figures().owed).unwrap();
    assert_eq!(counted, sequences.len());
    sequences
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_is_found_until_it_is_told_also_after_a_restart() {
    let mut opened = Opened::new();
    opened.commit(founding()).await;
    opened.commit(vec![entry(3, sent())]).await;
    assert!(owed(&opened).is_empty());
    opened.commit(vec![entry(4, refused())]).await;
    assert_eq!(owed(&opened), [3]);
    assert!(opened.tables.owed(3, 10).unwrap().is_empty(), "none behind");
    let mut opened = opened.reopened();
    assert_eq!(owed(&opened), [3]);
    opened.commit(vec![entry(5, told(Kind::Failed))]).await;
    assert!(owed(&opened).is_empty());
    let opened = opened.reopened();
    assert!(owed(&opened).is_empty());
    let Some(Trace::Departed { message, .. }) = opened.tables.trace(MessageId(MESSAGE)).unwrap()
    else {
        panic!("it has left");
    };
    let status = &message.unwrap().recipients[0].status;
    let report = Some(MessageId(REPORT));
    assert!(matches!(status, Status::Returned { report: by, .. } if *by == report));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reports_octets_stand_under_the_entry_that_has_brought_it() {
    let mut opened = Opened::new();
    opened.commit(founding()).await;
    opened
        .commit(vec![entry(3, sent()), entry(4, refused())])
        .await;
    let telling = entry(5, told(Kind::Failed));
    opened.commit(vec![telling.clone()]).await;
    let mut opened = opened.reopened();
    assert_eq!(opened.read(5, 6).await, [telling], "the entry is whole");
    let messages = opened.messages();
    assert_eq!(messages[0].body.pieces, [5]);
    let piece = opened.tables.piece(5).unwrap();
    assert_eq!(piece.as_deref(), Some(&b"report"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_late_is_found_up_to_what_came_just_now_and_told_once() {
    let mut opened = Opened::new();
    opened.commit(founding()).await;
    opened
        .commit(vec![entry(3, sent()), entry(4, accept(8, 0, 4, b"none"))])
        .await;
    let policy = opened.tables.figures().policy.clone().unwrap();
    let late = |opened: &Opened, at| {
        let reports = &policy.policy.reports;
        let tables = &opened.tables;
        let late = tables.late("example.com", 0, reports, Timestamp(at), 10);
        late.unwrap()
    };
    let too_early = late(&opened, 2);
    assert!(too_early.messages.is_empty() && !too_early.has_more);
    let found = late(&opened, 3);
    assert_eq!((found.messages, found.last), (vec![(3, 1)], 4));
    let delay = Command::Delay(Delay {
        at: Timestamp(3),
        sequences: vec![3, 4],
    });
    opened.commit(vec![entry(5, delay)]).await;
    assert_eq!(owed(&opened), [3]);
    assert!(late(&opened, 9).messages.is_empty());
    opened.commit(vec![entry(6, told(Kind::Delayed))]).await;
    assert!(owed(&opened).is_empty());
    assert_eq!(opened.messages().len(), 3);
}
