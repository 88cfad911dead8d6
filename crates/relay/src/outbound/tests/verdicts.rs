//! What the primary says about a message, and what becomes of it.

use spool::policy::WhileDown;
use spool::recipients::{News, Source};

use super::*;

#[tokio::test]
async fn everything_arrives_unchanged_and_leaves_the_spool() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let large = b".0123456789\r\n".repeat(30_000);
    outbox.queue(&["a"], BODY);
    outbox.queue(&["a", "b"], &large);
    outbox.queue(&["c"], b"no line end");
    outbox.queue(&["c"], b"");
    let running = Running::start(&outbox);
    until("empty", || outbox.is_empty()).await;
    outbox.queue(&["a"], BODY);
    until("empty again", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let mut taken = primary.taken();
    assert_eq!(taken.len(), 5);
    taken.sort_by_key(primary::Taken::sequence);
    assert_eq!(taken[0].body, [b"Received: 1\r\n", BODY].concat());
    assert_eq!(
        taken[1].body,
        [b"Received: 2\r\n", large.as_slice()].concat()
    );
    assert_eq!(taken[1].to, ["a@example.com", "b@example.com"]);
    assert_eq!(taken[2].body, b"Received: 3\r\nno line end\r\n");
    assert!(outbox.state.lock().unwrap().observations.is_empty());
}

#[tokio::test]
async fn each_recipient_keeps_his_own_verdict() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("no@") => Act::Say("550 5.1.1 no such user"),
        Moment::Rcpt(to) if to.starts_with("later@") => Act::Say("452 4.2.2 full"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    let sequence = outbox.queue(&["no", "yes", "later"], BODY);
    let running = Running::start(&outbox);
    until("reported", || {
        outbox.message(sequence).is_some_and(|m| m.attempts == 1)
    })
    .await;
    running.stop().await.unwrap();
    let message = outbox.message(sequence).unwrap();
    let [no, yes, later] = &message.recipients[..] else {
        panic!()
    };
    assert!(
        matches!(&no.status, Status::Rejected { reply, .. } if reply == "550 5.1.1 no such user")
    );
    assert!(matches!(&yes.status, Status::Delivered { reply, .. } if reply == "250 2.0.0 taken"));
    assert!(matches!(&later.status, Status::Deferred { reason, .. } if reason == "452 4.2.2 full"));
    assert_eq!(primary.taken()[0].to, ["yes@example.com"]);
}

#[tokio::test]
async fn a_deferred_message_is_tried_again_when_it_is_due() {
    for when in [
        (|m| *m == Moment::Mail) as fn(&Moment) -> bool,
        |m| matches!(m, Moment::Rcpt(_)),
        |m| *m == Moment::Data,
        |m| matches!(m, Moment::Dot(_)),
    ] {
        let (primary, outbox) = setup(at_first(1, when, Act::Say("451 4.3.0 later")), SOON).await;
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1]);
        assert_eq!(outbox.state.lock().unwrap().reports.len(), 2);
    }
}

#[tokio::test]
async fn a_deferred_message_does_not_hold_up_the_others() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(body) if body.starts_with(b"Received: 1\r\n") => Act::Say("451 4.3.0 later"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    for _ in 0..3 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until("two delivered", || {
        outbox.state.lock().unwrap().departed.len() == 2
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2, 3]);
}

#[tokio::test]
async fn what_is_said_of_recipients_is_learned_where_they_are_verified() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("no@") => Act::Say("550 5.1.1 no such user"),
        Moment::Rcpt(to) if to.starts_with("bare@") => Act::Say("550 no"),
        Moment::Rcpt(to) if to.starts_with("never@") => Act::Say("550 5.7.1 not you"),
        Moment::Rcpt(to) if to.starts_with("later@") => Act::Say("452 4.2.2 full"),
        _ => Act::Usual,
    });
    let primary = Primary::start(ANY_PORT, script, None).await;
    for is_verified in [true, false] {
        let mut domain = domain(primary.address);
        if is_verified {
            let unknown_while_down = WhileDown::Accept;
            domain.recipients = Recipients::Verify { unknown_while_down };
        }
        let outbox = MapOutbox::new(domain, NEVER);
        let to = ["no", "Yes", "bare", "never", "later", "postmaster"];
        let sequence = outbox.queue(&to, BODY);
        let running = Running::start(&outbox);
        until("reported", || {
            outbox.message(sequence).is_some_and(|m| m.attempts == 1)
        })
        .await;
        running.stop().await.unwrap();
        let state = outbox.state.lock().unwrap();
        let learned = state.learned.iter();
        let learned: Vec<_> = learned
            .map(|fact| (fact.address.as_str(), fact.news))
            .collect();
        let expected = [
            ("no@example.com", News::Unknown(Source::Delivery)),
            ("yes@example.com", News::Valid(Source::Delivery)),
        ];
        let expected = if is_verified { &expected[..] } else { &[] };
        assert_eq!(learned, expected);
    }
}

#[tokio::test]
async fn a_refusal_behind_rcpt_says_nothing_of_the_recipient() {
    for when in [
        (|m| *m == Moment::Mail) as fn(&Moment) -> bool,
        |m| *m == Moment::Data,
        |m| matches!(m, Moment::Dot(_)),
    ] {
        let script = at_first(1, when, Act::Say("550 5.1.1 no such user"));
        let primary = Primary::start(ANY_PORT, script, None).await;
        let mut domain = domain(primary.address);
        let unknown_while_down = WhileDown::Accept;
        domain.recipients = Recipients::Verify { unknown_while_down };
        let outbox = MapOutbox::new(domain, NEVER);
        let sequence = outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("reported", || {
            outbox.message(sequence).is_some_and(|m| m.attempts == 1)
        })
        .await;
        running.stop().await.unwrap();
        assert_eq!(outbox.state.lock().unwrap().learned, []);
    }
}
