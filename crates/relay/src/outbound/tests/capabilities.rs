//! What a primary offers: remembered, and kept to.

use spool::Offers;

use super::*;

/// Answers EHLO with these words, and is a usual primary for the rest.
fn offering(words: &'static str) -> Script {
    Arc::new(move |_, moment| match moment {
        Moment::Ehlo => Act::Say(words),
        _ => Act::Usual,
    })
}

fn told(outbox: &MapOutbox) -> Vec<Offers> {
    outbox.state.lock().unwrap().offers.clone()
}

#[tokio::test]
async fn what_a_primary_offers_is_recorded_once() {
    let script = offering("250-primary.test\r\n250-SIZE 1000000\r\n250-SMTPUTF8\r\n250 DSN");
    let (primary, outbox) = setup(script, NEVER).await;
    for _ in 0..2 {
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
    }
    assert_eq!(primary.log.lock().unwrap().connections, 2);
    let expected = Offers {
        size_max: Some(1_000_000),
        smtputf8: true,
        dsn: true,
        ..Offers::default()
    };
    assert_eq!(
        told(&outbox),
        [expected],
        "the second contact told nothing new"
    );
}

#[tokio::test]
async fn a_probe_learns_before_anything_is_sent() {
    let (primary, outbox) = setup(offering("250-primary.test\r\n250 SIZE 1000"), NEVER).await;
    outbox.set_down("told by another leader");
    let running = Running::start(&outbox);
    until("up", || {
        outbox.state.lock().unwrap().observations == [Reachability::Up]
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(told(&outbox).len(), 1);
    assert_eq!(told(&outbox)[0].size_max, Some(1000));
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn a_server_that_knows_helo_only_tells_nothing() {
    let (primary, outbox) = setup(offering("502 5.5.1 what?"), NEVER).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
    assert!(told(&outbox).is_empty());
}

#[tokio::test]
async fn no_transaction_has_more_recipients_than_the_primary_takes() {
    let script = offering("250-primary.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2");
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a", "b", "c", "d", "e"], BODY);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let to: Vec<Vec<String>> = primary.taken().into_iter().map(|taken| taken.to).collect();
    let expected: [&[&str]; 4] = [
        &["a@example.com", "b@example.com"],
        &["c@example.com", "d@example.com"],
        &["e@example.com"],
        &["a@example.com"],
    ];
    assert_eq!(to, expected);
    assert_eq!(
        outbox.state.lock().unwrap().reports[0].attempts[0]
            .verdicts
            .len(),
        5
    );
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_connection_carries_no_more_messages_than_the_primary_takes() {
    let script = offering("250-primary.test\r\n250 LIMITS MAILMAX=2 RCPTMAX=1");
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a", "b", "c"], BODY);
    outbox.queue(&["a"], BODY);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let taken = primary.taken();
    assert_eq!(taken.len(), 5);
    for connection in 1..=primary.log.lock().unwrap().connections {
        let over = taken.iter().filter(|taken| taken.connection == connection);
        assert!(over.count() <= 2);
    }
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn who_has_a_message_does_not_get_it_again_when_a_later_transaction_breaks() {
    let offers = "250-primary.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1";
    for (act, reason) in [
        (Act::Close, "connection"),
        (Act::SayAndClose("421 4.3.2 bye"), "421 4.3.2 bye"),
    ] {
        for at_dot in [true, false] {
            let act = act.clone();
            let left = AtomicUsize::new(1);
            let script: Script = Arc::new(move |_, moment| {
                let here = match moment {
                    Moment::Ehlo => return Act::Say(offers),
                    // The first of the two transactions has ended by then.
                    Moment::Rcpt(to) => !at_dot && to.starts_with("b@"),
                    Moment::Dot(_) if at_dot => left.fetch_xor(1, Ordering::SeqCst) == 0,
                    _ => false,
                };
                if here { act.clone() } else { Act::Usual }
            });
            let (primary, outbox) = setup(script, NEVER).await;
            let sequence = outbox.queue(&["a", "b"], BODY);
            let running = Running::start(&outbox);
            until("reported", || {
                outbox.message(sequence).is_some_and(|m| m.attempts == 1)
            })
            .await;
            running.stop().await.unwrap();
            let message = outbox.message(sequence).unwrap();
            assert!(matches!(
                &message.recipients[0].status,
                Status::Delivered { .. }
            ));
            let second = &message.recipients[1].status;
            assert!(
                matches!(second, Status::Deferred { reason: words, .. } if words.contains(reason)),
                "{second:?}"
            );
            assert_eq!(primary.taken().len(), 1);
        }
    }
}
