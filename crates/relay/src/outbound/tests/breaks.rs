//! Connections that end under a message.

use super::*;

/// The steps of a dialogue at which a server may turn away from a message.
const STEPS: [fn(&Moment) -> bool; 4] = [
    |m| *m == Moment::Mail,
    |m| matches!(m, Moment::Rcpt(_)),
    |m| *m == Moment::Data,
    |m| matches!(m, Moment::Dot(_)),
];

#[tokio::test]
async fn a_server_that_says_421_changes_no_message_and_not_the_order() {
    for when in STEPS {
        let script = at_first(3, when, Act::SayAndClose("421 4.3.2 bye"));
        let (primary, outbox) = setup(script, NEVER).await;
        for _ in 0..3 {
            outbox.queue(&["a"], BODY);
        }
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1, 2, 3]);
        assert_no_deferral(&outbox);
        let observations = outbox.state.lock().unwrap().observations.clone();
        assert!(
            matches!(&observations[0], Reachability::Down(words) if words.contains("421 4.3.2"))
        );
    }
}

#[tokio::test]
async fn a_server_that_says_421_to_every_second_message_gets_them_over_new_connections() {
    for when in STEPS {
        let said = AtomicUsize::new(0);
        let script: Script = Arc::new(move |_, moment| {
            if when(moment) && said.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
                return Act::SayAndClose("421 4.7.0 enough");
            }
            Act::Usual
        });
        let (primary, outbox) = setup(script, NEVER).await;
        for _ in 0..5 {
            outbox.queue(&["a"], BODY);
        }
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1, 2, 3, 4, 5]);
        assert_no_deferral(&outbox);
        assert!(outbox.state.lock().unwrap().observations.is_empty());
    }
}

#[tokio::test]
async fn a_message_that_alone_is_told_421_is_deferred_in_the_end() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(body) if body.starts_with(b"Received: 1\r\n") => {
            Act::SayAndClose("421 4.3.0 scanner crashed")
        }
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a"], BODY);
    outbox.queue(&["b"], BODY);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("deferred", || {
        outbox.message(1).is_some_and(|m| m.attempts == 1)
    })
    .await;
    until("the others delivered", || {
        outbox.state.lock().unwrap().departed == [2, 3]
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2, 3]);
}

#[tokio::test]
async fn a_connection_lost_before_the_final_dot_changes_no_message() {
    for when in [
        (|m| *m == Moment::Greeting) as fn(&Moment) -> bool,
        |m| *m == Moment::Ehlo,
        |m| *m == Moment::Mail,
        |m| matches!(m, Moment::Rcpt(_)),
        |m| *m == Moment::Data,
        |m| *m == Moment::Body,
    ] {
        let (primary, outbox) = setup(at_first(2, when, Act::Close), NEVER).await;
        // Too large for the buffers between, so that the final dot is still here when the
        // primary closes at the first line.
        outbox.queue(&["a"], &b"x\r\n".repeat(4 << 20));
        outbox.queue(&["a"], BODY);
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1, 2, 3]);
        assert_no_deferral(&outbox);
    }
}

#[tokio::test]
async fn a_message_that_breaks_every_connection_is_deferred_in_the_end() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("poison@") => Act::Close,
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["poison"], BODY);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("the other delivered", || {
        outbox.state.lock().unwrap().departed == [2]
    })
    .await;
    until("deferred", || {
        outbox.message(1).is_some_and(|m| m.attempts == 1)
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2]);
}

#[tokio::test]
async fn a_message_in_doubt_is_repeated_before_the_later_ones() {
    let script = at_first(2, |m| matches!(m, Moment::Dot(_)), Act::Close);
    let (primary, outbox) = setup(script, NEVER).await;
    for _ in 0..3 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 3]);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_message_that_stays_in_doubt_is_deferred_in_the_end() {
    let script = at_first(3, |m| matches!(m, Moment::Dot(_)), Act::Close);
    let (primary, outbox) = setup(script, SOON).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
    let state = outbox.state.lock().unwrap();
    let (_, first) = &state.reports[0].attempts[0].verdicts[0];
    assert!(matches!(first, Verdict::Deferred(words) if words.contains("after the final dot")));
}

#[tokio::test]
async fn a_message_that_was_deferred_in_doubt_is_repeated_once_each_time() {
    let script = at_first(5, |m| matches!(m, Moment::Dot(_)), Act::Close);
    let (primary, outbox) = setup(script, SOON).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
    // Three at first, and one for each of two more.
    let reports = outbox.state.lock().unwrap().reports.len();
    assert_eq!((reports, primary.log.lock().unwrap().dots), (4, 6));
}

#[tokio::test]
async fn a_message_that_takes_long_holds_up_none_for_others() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(body) if body.starts_with(b"Received: 1\r\n") => Act::Silence,
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    for to in ["a", "b", "a", "c"] {
        outbox.queue(&[to], BODY);
    }
    let running = Running::start(&outbox);
    until("the others are delivered", || {
        outbox.state.lock().unwrap().departed == [2, 4]
    })
    .await;
    // It stays the only one that is under way for its recipient.
    assert_eq!(primary.log.lock().unwrap().overlaps, 0);
    running.task.abort();
}

#[tokio::test]
async fn a_connection_that_has_lasted_long_gets_no_further_message() {
    for (connection_age, connections) in [(Duration::ZERO, 3), (PATIENT.connection_age, 1)] {
        let (primary, outbox) = setup(usual(), NEVER).await;
        for _ in 0..3 {
            outbox.queue(&["a"], BODY);
        }
        let running = Running::start_with(
            &outbox,
            Timeouts {
                connection_age,
                ..PATIENT
            },
        );
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1, 2, 3]);
        assert_eq!(primary.log.lock().unwrap().connections, connections);
    }
}
