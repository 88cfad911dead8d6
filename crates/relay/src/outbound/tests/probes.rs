//! Primaries that are asked whether they are back.

use spool::policy::WhileDown;

use super::*;

/// An outage of a primary whose recipients are verified, of which one is known.
async fn verified(script: Script) -> (Primary, Arc<MapOutbox>) {
    let primary = Primary::start(ANY_PORT, script, None).await;
    let unknown_while_down = WhileDown::Accept;
    let domain = Domain {
        recipients: Recipients::Verify { unknown_while_down },
        ..domain(primary.address)
    };
    let outbox = MapOutbox::new(domain, NEVER);
    outbox.set_down("told by another leader");
    let known = "anna@example.com".to_owned();
    outbox.state.lock().unwrap().known.insert(known);
    (primary, outbox)
}

fn is_rcpt(moment: &Moment) -> bool {
    matches!(moment, Moment::Rcpt(_))
}

#[tokio::test]
async fn one_that_puts_off_whom_it_knows_is_not_ready() {
    let script = at_first(3, is_rcpt, Act::Say("451 4.3.0 directory unavailable"));
    let (primary, outbox) = verified(script).await;
    outbox.queue(&["anna"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_no_deferral(&outbox);
    assert_eq!(primary.taken()[0].connection, 5, "four probes went before");
}

#[tokio::test]
async fn a_full_mailbox_holds_up_nobody_else() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("anna@") => Act::Say("452 4.2.2 full"),
        _ => Act::Usual,
    });
    let (primary, outbox) = verified(script).await;
    outbox.queue(&["anna"], BODY);
    outbox.queue(&["bert"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || primary.sequences() == [2]).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn one_that_dislikes_the_question_gets_its_mail_all_the_same() {
    let script: Script = Arc::new(|connection, moment| match moment {
        Moment::Mail if connection < 8 => Act::Say("450 4.7.1 null sender greylisted"),
        _ => Act::Usual,
    });
    let (primary, outbox) = verified(script).await;
    outbox.queue(&["anna"], BODY);
    let hasty = Timeouts {
        hesitation: Duration::from_millis(150),
        ..PATIENT
    };
    let running = Running::start_with(&outbox, hasty);
    until("up", || {
        outbox.state.lock().unwrap().observations == [Reachability::Up]
    })
    .await;
    assert!(primary.log.lock().unwrap().connections < 8);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn one_that_comes_and_goes_is_not_written_of_each_time() {
    // Every probe succeeds, and every message is turned away.
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Mail => Act::SayAndClose("421 4.3.2 shutting down"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("several probes", || {
        primary.log.lock().unwrap().connections > 8
    })
    .await;
    running.stop().await.unwrap();
    let observations = outbox.state.lock().unwrap().observations.clone();
    assert!(
        matches!(observations[..], [Reachability::Down(_), Reachability::Up]),
        "{observations:?}"
    );
}

#[tokio::test]
async fn one_that_went_just_after_its_return_is_recorded_down_in_the_end() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let outbox = MapOutbox::new(domain(primary.address), NEVER);
    {
        let mut state = outbox.state.lock().unwrap();
        state.destination.since = clock().now();
    }
    primary.stop().await;
    outbox.queue(&["a"], BODY);
    let steady = Duration::from_millis(400);
    let hasty = Timeouts { steady, ..PATIENT };
    let began = Instant::now();
    let running = Running::start_with(&outbox, hasty);
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    assert!(began.elapsed() >= steady / 2);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn one_that_hangs_up_on_a_question_is_asked_about_somebody_else() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("anna@") => Act::SayAndClose("421 4.3.0 broken mailbox"),
        _ => Act::Usual,
    });
    let (primary, outbox) = verified(script).await;
    let other = "bert@example.com".to_owned();
    outbox.state.lock().unwrap().known.insert(other);
    outbox.queue(&["anna"], BODY);
    outbox.queue(&["bert"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || primary.sequences() == [2]).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn one_that_hangs_up_on_every_question_gets_its_mail_all_the_same() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Mail => Act::Close,
        _ => Act::Usual,
    });
    let (_primary, outbox) = verified(script).await;
    outbox.queue(&["anna"], BODY);
    let hasty = Timeouts {
        hesitation: Duration::from_millis(150),
        ..PATIENT
    };
    let running = Running::start_with(&outbox, hasty);
    until("up", || {
        let observations = outbox.state.lock().unwrap().observations.clone();
        observations.first() == Some(&Reachability::Up)
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_flush_ends_a_probe_that_hangs() {
    let script = at_first(1, |m| *m == Moment::Greeting, Act::Silence);
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.set_down("told by another leader");
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("a probe hangs", || {
        primary.log.lock().unwrap().connections == 1
    })
    .await;
    outbox.flush();
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_probe_that_hangs_stands_in_the_way_of_no_other() {
    // As a host does that hung when it took the connection, and was restarted.
    let script = at_first(1, |m| *m == Moment::Greeting, Act::Silence);
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.adopt(Some(Domain {
        probe_interval: SOON,
        ..domain(primary.address)
    }));
    outbox.set_down("told by another leader");
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    // Long before anybody gives up on the greeting.
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_no_deferral(&outbox);
}
