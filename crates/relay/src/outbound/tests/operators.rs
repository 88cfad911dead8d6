//! Messages that operators hold, release, delete and try again while the forwarder runs.

use spool::{Hold, Message};

use super::*;

/// Takes a while, so that a message is in flight when something happens.
const SLOW: Duration = Duration::from_millis(300);

fn slow_dot() -> Script {
    Arc::new(|_, moment| match moment {
        Moment::Dot(_) => Act::After(SLOW),
        _ => Act::Usual,
    })
}

fn hold(message: &mut Message) -> bool {
    message.hold = Some(Hold {
        at: clock().now(),
        by: "ann".to_owned(),
        reason: String::new(),
    });
    true
}

fn release(message: &mut Message) -> bool {
    message.hold = None;
    true
}

const fn delete(_: &mut Message) -> bool {
    false
}

fn retry(message: &mut Message) -> bool {
    for recipient in &mut message.recipients {
        if !matches!(recipient.status, Status::Delivered { .. }) {
            recipient.status = Status::Pending;
        }
    }
    true
}

#[tokio::test]
async fn what_is_held_stays_until_it_is_released_and_the_rest_goes_on() {
    let (primary, outbox) = setup(slow_dot(), NEVER).await;
    for _ in 0..5 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until("the first is on its way", || primary.dots() == 1).await;
    outbox.handle(3, hold);
    outbox.handle(4, delete);
    until("the others are delivered", || primary.taken().len() == 3).await;
    assert_eq!(primary.sequences(), [1, 2, 5]);
    outbox.handle(3, release);
    until("all delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 5, 3]);
    assert_eq!(outbox.state.lock().unwrap().unclaimed_reports, 0);
}

#[tokio::test]
async fn what_is_put_back_goes_before_what_came_later_and_has_not_started() {
    let (primary, outbox) = setup(slow_dot(), NEVER).await;
    let first = outbox.queue(&["a"], BODY);
    outbox.handle(first, hold);
    for _ in 0..4 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until("the second is on its way", || primary.dots() == 1).await;
    outbox.handle(first, release);
    until("all delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let sequences = primary.sequences();
    let place = sequences.iter().position(|sequence| *sequence == first);
    assert!(place < Some(4), "{sequences:?}");
    assert_eq!(sequences.len(), 5);
}

#[tokio::test]
async fn what_was_on_its_way_when_it_was_held_or_deleted_is_ended_once() {
    let (primary, outbox) = setup(slow_dot(), NEVER).await;
    for to in ["a", "b", "c"] {
        outbox.queue(&[to], BODY);
    }
    let running = Running::start(&outbox);
    until("one is on its way", || primary.dots() >= 1).await;
    for sequence in 1..=3 {
        if outbox.message(sequence).is_some() {
            outbox.handle(sequence, hold);
            outbox.handle(sequence, release);
        }
    }
    until("all delivered", || outbox.is_empty()).await;
    let last = outbox.queue(&["d"], BODY);
    until("the last is on its way", || primary.dots() == 4).await;
    outbox.handle(last, delete);
    until("it has arrived", || primary.taken().len() == 4).await;
    running.stop().await.unwrap();
    let mut sequences = primary.sequences();
    sequences.sort_unstable();
    assert_eq!(sequences, [1, 2, 3, 4]);
}

#[tokio::test]
async fn refused_and_deferred_recipients_are_tried_again_when_an_operator_wants_it() {
    let script = at_first(
        2,
        |m| matches!(m, Moment::Rcpt(_)),
        Act::Say("550 5.1.1 no"),
    );
    let (primary, outbox) = setup(script, NEVER).await;
    let refused = outbox.queue(&["a", "b"], BODY);
    let running = Running::start(&outbox);
    let is_refused = || {
        let message = outbox.message(refused).unwrap();
        message.recipients.iter().all(|r| r.status.is_final())
    };
    until("refused", is_refused).await;
    outbox.handle(refused, retry);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [refused]);
}

#[tokio::test]
async fn a_recipient_who_is_put_back_while_the_others_are_on_their_way_is_not_forgotten() {
    let (primary, outbox) = setup(slow_dot(), NEVER).await;
    let sequence = outbox.queue_as(&["a", "b"], BODY, |message| {
        message.recipients[1].status = Status::Rejected {
            at: clock().now(),
            reply: "550 5.1.1 no".to_owned(),
        };
    });
    let running = Running::start(&outbox);
    until("it is on its way", || primary.dots() == 1).await;
    outbox.handle(sequence, retry);
    until("delivered to both", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [sequence, sequence]);
}

#[tokio::test]
async fn what_is_held_while_a_worker_connects_is_not_sent_now_nor_after_an_outage() {
    for closings in [0, 3] {
        // The first connection takes its time, so that an operator can act meanwhile.
        let script: Script = Arc::new(move |connection, moment| match moment {
            Moment::Greeting if connection == 1 => Act::After(SLOW),
            Moment::Ehlo if connection <= closings => Act::SayAndClose("421 4.3.2 not now"),
            _ => Act::Usual,
        });
        let (primary, outbox) = setup(script, NEVER).await;
        let held = outbox.queue(&["a"], BODY);
        let sent = outbox.queue(&["b"], BODY);
        let running = Running::start(&outbox);
        until("a connection is opened", || {
            primary.log.lock().unwrap().connections == 1
        })
        .await;
        outbox.handle(held, hold);
        until("the other is delivered", || outbox.message(sent).is_none()).await;
        assert_eq!(primary.sequences(), [sent], "{closings} closings");
        outbox.handle(held, release);
        until("all delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [sent, held]);
    }
}
