use bytes::Bytes;
use smtp::{BodyType, ReversePath, dsn};
use spool::{Body, Client, Digest, Pause, Recipient};

use super::*;

const NOW: Timestamp = Timestamp(5_000);

fn id() -> MessageId {
    MessageId::new(1_000, 7)
}

fn message(status: Status) -> Box<Message> {
    Box::new(Message {
        id: id(),
        sequence: 1,
        received_at: Timestamp(1_000),
        reverse_path: ReversePath::Null,
        body_type: BodyType::SevenBit,
        smtputf8: false,
        dsn: dsn::PerMessage::default(),
        recipients: vec![Recipient {
            path: smtp::ForwardPath::Mailbox("postmaster@example.com".parse().unwrap()),
            dsn: dsn::PerRecipient::default(),
            domain: "example.com".to_owned(),
            status,
            host: "mail.example.com:25".to_owned(),
            replayed_at: None,
            owed: None,
        }],
        body: Body {
            pieces: vec![1],
            size: 5,
            digest: Digest([0; 32]),
        },
        trace: Bytes::new(),
        authentication: None,
        client: Client {
            address: ([192, 0, 2, 1], 9).into(),
            helo: "mx1.example.net".to_owned(),
            tls: None,
        },
        attempts: 1,
        attempted_at: None,
        hold: None,
        tries: Vec::new(),
        renewed_at: None,
        delay_told_at: None,
    })
}

fn delivered() -> Box<Message> {
    message(Status::Delivered {
        at: Timestamp(2),
        reply: "250 2.0.0 Ok".to_owned(),
    })
}

fn down() -> Destination {
    Destination {
        reachability: Reachability::Down("connection refused".to_owned()),
        ..Destination::default()
    }
}

fn paused() -> Destination {
    Destination {
        paused: Some(Box::new(Pause {
            since: Timestamp(1),
            until: None,
            by: "ann".to_owned(),
            reason: String::new(),
        })),
        ..Destination::default()
    }
}

fn judged(trace: Option<Trace>, destination: &Destination) -> Standing {
    judge(trace.as_ref(), destination, id(), NOW)
}

#[test]
fn what_the_primary_has_taken_is_delivered_in_the_spool_or_out_of_it() {
    let by = Some(("mail.example.com:25".to_owned(), "250 2.0.0 Ok".to_owned()));
    let gone = Trace::Departed {
        at: Timestamp(2),
        message: Some(delivered()),
    };
    for trace in [gone, Trace::Queued(delivered())] {
        // Whatever the primary is like since.
        let expected = Standing::Settled(Fate::Delivered(by.clone()));
        assert_eq!(judged(Some(trace), &down()), expected);
    }
    let unremembered = Trace::Departed {
        at: Timestamp(2),
        message: None,
    };
    let expected = Standing::Settled(Fate::Delivered(None));
    assert_eq!(judged(Some(unremembered), &down()), expected);
}

#[test]
fn what_can_not_leave_waits_and_is_no_failure() {
    for (destination, words) in [(down(), "connection refused"), (paused(), "paused")] {
        let standing = judged(Some(Trace::Queued(message(Status::Pending))), &destination);
        let Standing::Settled(Fate::Waiting(why)) = standing else {
            panic!("{standing:?}");
        };
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn what_is_to_be_delivered_is_looked_at_again() {
    let up = Destination::default();
    assert_eq!(judged(None, &up), Standing::Unknown);
    let pending = judged(Some(Trace::Queued(message(Status::Pending))), &up);
    assert_eq!(pending, Standing::UnderWay(None));
    let deferred = message(Status::Deferred {
        until: Timestamp(9_000),
        reason: "451 greylisted".to_owned(),
    });
    let words = "mail.example.com:25 says later: 451 greylisted".to_owned();
    assert_eq!(
        judged(Some(Trace::Queued(deferred)), &up),
        Standing::UnderWay(Some(words.clone()))
    );
    let Fate::Waiting(why) = late(Some(words)) else {
        panic!("what is late is not lost");
    };
    assert!(why.contains("greylisted"), "{why}");
}

#[test]
fn what_will_never_be_delivered_says_what_to_do() {
    let rejected = message(Status::Rejected {
        at: Timestamp(2),
        reply: "550 5.1.1 no such user".to_owned(),
    });
    let first = MessageId::new(1, 1);
    let at = Timestamp(2);
    let deleted = Some(message(Status::Pending));
    for (trace, words) in [
        (Trace::Queued(rejected), "no such user"),
        (
            Trace::Departed {
                at,
                message: deleted,
            },
            "without being delivered",
        ),
        (Trace::Repeat { first, at }, "again"),
    ] {
        let standing = judged(Some(trace), &Destination::default());
        let Standing::Settled(fate @ Fate::Lost { .. }) = standing else {
            panic!("{standing:?}");
        };
        let (why, advice) = fate.told(id());
        assert!(why.contains(words), "{why}");
        assert!(advice.is_some());
    }
}
