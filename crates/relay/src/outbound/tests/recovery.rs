//! Primaries that come back from an outage, and are not always themselves.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use spool::guard::{Guard, Step, Tripped};

use super::*;

/// An outage is over, and the primary refuses whom `refuses` says.
async fn returned(refuses: fn(&str) -> bool, retry: Duration) -> (Primary, Arc<MapOutbox>) {
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Rcpt(to) if refuses(to) => Act::Say("550 5.1.1 no such user"),
        Moment::Dot(_) => Act::After(Duration::from_millis(2)),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, retry).await;
    outbox.set_down("told by another leader");
    (primary, outbox)
}

impl MapOutbox {
    fn steps(&self) -> Vec<Step> {
        self.state.lock().unwrap().steps.clone()
    }

    fn guard(&self) -> Option<Guard> {
        self.state
            .lock()
            .unwrap()
            .destination
            .guard
            .as_deref()
            .cloned()
    }

    fn is_held(&self) -> bool {
        self.guard().is_some_and(|guard| guard.tripped.is_some())
    }

    fn reports(&self) -> Vec<Verdict> {
        let state = self.state.lock().unwrap();
        let attempts = state.reports.iter().flat_map(|report| &report.attempts);
        let verdicts = attempts.flat_map(|attempt| &attempt.verdicts);
        verdicts.map(|(_, verdict)| verdict.clone()).collect()
    }

    fn rejected(&self) -> usize {
        let is_rejected = |verdict: &&Verdict| matches!(verdict, Verdict::Rejected(_));
        self.reports().iter().filter(is_rejected).count()
    }
}

fn queue_for_many(outbox: &MapOutbox, count: usize) {
    for number in 0..count {
        outbox.queue(&[&format!("user{number}")], BODY);
    }
}

/// Long enough for something that must not happen to happen.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_primary_that_refuses_everybody_is_held_and_nothing_is_rejected_until_an_operator_resumes()
 {
    let (primary, outbox) = returned(|_| true, NEVER).await;
    queue_for_many(&outbox, 40);
    let running = Running::start(&outbox);
    until("held", || outbox.is_held()).await;
    until("reported", || outbox.reports().len() == 20).await;
    // There is new mail, and somebody flushes.
    queue_for_many(&outbox, 5);
    outbox.flush();
    a_while().await;
    assert_eq!(outbox.reports().len(), 20);
    assert_eq!(outbox.rejected(), 0);
    let words = "550 5.1.1 no such user (not believed so soon after an outage, and tried again)";
    let put_off = |verdict: &Verdict| matches!(verdict, Verdict::Deferred(told) if told == words);
    assert!(
        outbox.reports().iter().all(put_off),
        "{:?}",
        outbox.reports()
    );
    assert!(matches!(
        &outbox.steps()[..],
        [Step::Begun, Step::Tripped { why, .. }] if why.starts_with("it refused 20 of the first 20 ")
    ));
    outbox.resume();
    until("everything is rejected", || outbox.rejected() == 45).await;
    running.stop().await.unwrap();
    assert_eq!(primary.taken().len(), 0);
}

#[tokio::test]
async fn what_was_held_back_arrives_in_order_once_the_primary_is_mended() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = is_mended.clone();
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Rcpt(_) if !mended.load(Ordering::SeqCst) => Act::Say("550 5.1.1 no such user"),
        Moment::Dot(_) => Act::After(Duration::from_millis(2)),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.set_down("told by another leader");
    for number in 0..60 {
        outbox.queue(&[["a", "b", "c"][number % 3]], BODY);
    }
    let running = Running::start(&outbox);
    until("held", || outbox.is_held()).await;
    is_mended.store(true, Ordering::SeqCst);
    until("reported", || outbox.reports().len() == 20).await;
    outbox.resume();
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    for recipient in 0..3 {
        let all = primary.sequences().into_iter();
        let own: Vec<u64> = all.filter(|sequence| sequence % 3 == recipient).collect();
        assert!(own.is_sorted(), "{own:?}");
        assert_eq!(own.len(), 20);
    }
}

#[tokio::test]
async fn some_strangers_among_many_are_rejected_once_the_primary_is_believed() {
    let refuses = |to: &str| ["user3@example.com", "user7@example.com"].contains(&to);
    let (primary, outbox) = returned(refuses, SOON).await;
    queue_for_many(&outbox, 100);
    let running = Running::start(&outbox);
    until("all have their verdict", || outbox.rejected() == 2).await;
    until("delivered", || primary.taken().len() == 98).await;
    running.stop().await.unwrap();
    assert!(matches!(
        outbox.steps()[..],
        [Step::Begun, Step::Passed { .. }]
    ));
    let on_trial: Vec<usize> = primary.taken()[..18].iter().map(|t| t.connection).collect();
    let first = on_trial[0];
    assert!(
        on_trial.iter().all(|one| *one == first),
        "one at a time: {on_trial:?}"
    );
    assert_eq!(primary.log.lock().unwrap().overlaps, 0);
}

#[tokio::test]
async fn a_message_that_takes_long_holds_up_no_trial() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(body) if body.starts_with(b"Received: 1\r\n") => Act::Silence,
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.set_down("told by another leader");
    queue_for_many(&outbox, 40);
    let running = Running::start(&outbox);
    until("the others are delivered", || primary.taken().len() == 39).await;
    assert!(matches!(
        outbox.steps()[..],
        [Step::Begun, Step::Passed { .. }]
    ));
    running.task.abort();
}

#[tokio::test]
async fn mail_for_nobody_that_came_first_holds_nothing_up() {
    let (primary, outbox) = returned(|to| to.starts_with("nobody"), SOON).await;
    for number in 0..5 {
        outbox.queue(&[&format!("nobody{number}")], BODY);
    }
    queue_for_many(&outbox, 6);
    let running = Running::start(&outbox);
    until("all have their verdict", || outbox.rejected() == 5).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [6, 7, 8, 9, 10, 11]);
    assert!(matches!(
        outbox.steps()[..],
        [Step::Begun, Step::Passed { .. }]
    ));
}

#[tokio::test]
async fn one_whom_the_primary_knew_is_enough() {
    let (primary, outbox) = returned(|to| to == "anna@example.com", NEVER).await;
    let known = "anna@example.com".to_owned();
    outbox.state.lock().unwrap().known.insert(known);
    outbox.queue(&["bert"], BODY);
    outbox.queue(&["Anna"], BODY);
    let sequence = outbox.queue(&["anna", "bert"], BODY);
    let running = Running::start(&outbox);
    until("held", || outbox.is_held()).await;
    running.stop().await.unwrap();
    let why = outbox.guard().unwrap().tripped.unwrap().why;
    assert!(
        why.contains("anna@example.com, whom it knew before"),
        "{why}"
    );
    assert_eq!(outbox.rejected(), 0);
    // Who has got it does not get it again.
    let delivered = primary
        .sequences()
        .iter()
        .filter(|s| **s == sequence)
        .count();
    assert_eq!(delivered, 1);
}

#[tokio::test]
async fn a_verdict_on_a_sender_or_on_a_message_is_none_on_the_recipient() {
    let named = AtomicUsize::new(0);
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Rcpt(_) if named.fetch_add(1, Ordering::SeqCst) == 0 => {
            Act::Say("554 5.7.1 sender is on a list")
        }
        Moment::Dot(body) if body.starts_with(b"Received: 2") => Act::Say("554 5.6.0 spam"),
        _ => Act::Usual,
    });
    let (_primary, outbox) = setup(script, SOON).await;
    outbox.set_down("told by another leader");
    let known = "anna@example.com".to_owned();
    outbox.state.lock().unwrap().known.insert(known);
    outbox.queue(&["anna"], BODY);
    outbox.queue(&["anna"], BODY);
    let running = Running::start(&outbox);
    until("passed", || outbox.steps().len() == 2).await;
    until("rejected", || outbox.rejected() > 0).await;
    running.stop().await.unwrap();
    assert!(matches!(
        outbox.steps()[..],
        [Step::Begun, Step::Passed { .. }]
    ));
}

#[tokio::test]
async fn a_new_leader_sends_nothing_of_a_domain_that_is_held() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let tripped = Tripped {
        at: clock().now(),
        why: "told by another leader".to_owned(),
    };
    outbox.state.lock().unwrap().destination.guard = Some(Box::new(Guard {
        begun_at: clock().now(),
        tripped: Some(tripped),
    }));
    queue_for_many(&outbox, 3);
    let running = Running::start(&outbox);
    a_while().await;
    assert_eq!(primary.log.lock().unwrap().connections, 0);
    outbox.resume();
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_leader_begins_an_unfinished_trial_anew() {
    let (_primary, outbox) = returned(|_| true, NEVER).await;
    {
        let mut state = outbox.state.lock().unwrap();
        state.destination.reachability = Reachability::Up;
        state.destination.guard = Some(Box::new(Guard {
            begun_at: clock().now(),
            tripped: None,
        }));
    }
    queue_for_many(&outbox, 10);
    let running = Running::start(&outbox);
    until("held", || outbox.is_held()).await;
    running.stop().await.unwrap();
    assert_eq!(outbox.rejected(), 0);
}

#[tokio::test]
async fn an_old_trial_is_not_passed_by_the_time_under_an_earlier_leader() {
    let (primary, outbox) = returned(|to| to != "user0@example.com", NEVER).await;
    {
        let mut state = outbox.state.lock().unwrap();
        state.destination.reachability = Reachability::Up;
        state.destination.guard = Some(Box::new(Guard {
            begun_at: Timestamp(clock().now().0 - 7_200_000),
            tripped: None,
        }));
    }
    queue_for_many(&outbox, 10);
    let running = Running::start(&outbox);
    until("held", || outbox.is_held()).await;
    running.stop().await.unwrap();
    assert_eq!(outbox.rejected(), 0);
    assert_eq!(primary.taken().len(), 1);
}

#[tokio::test]
async fn a_trial_that_the_policy_does_not_want_is_ended() {
    let (primary, outbox) = returned(|_| true, NEVER).await;
    outbox.adopt(Some(Domain {
        recovery_guard: false,
        ..domain(primary.address)
    }));
    {
        let mut state = outbox.state.lock().unwrap();
        state.destination.reachability = Reachability::Up;
        state.destination.guard = Some(Box::new(Guard {
            begun_at: clock().now(),
            tripped: None,
        }));
    }
    let running = Running::start(&outbox);
    until("ended", || outbox.guard().is_none()).await;
    running.stop().await.unwrap();
    assert!(matches!(outbox.steps()[..], [Step::Passed { .. }]));
}

#[tokio::test]
async fn a_recovery_without_mail_or_without_a_guard_is_no_trial() {
    for recovery_guard in [true, false] {
        let (primary, outbox) = returned(|to| to == "user0@example.com", NEVER).await;
        outbox.adopt(Some(Domain {
            recovery_guard,
            sentry: recovery_guard,
            ..domain(primary.address)
        }));
        if !recovery_guard {
            queue_for_many(&outbox, 2);
        }
        let running = Running::start(&outbox);
        until("up", || {
            outbox.state.lock().unwrap().observations == [Reachability::Up]
        })
        .await;
        if !recovery_guard {
            until("rejected", || outbox.rejected() == 1).await;
        }
        running.stop().await.unwrap();
        assert_eq!(outbox.steps(), []);
    }
}

#[tokio::test]
async fn after_an_outage_connections_begin_with_one_and_grow_by_rounds() {
    let slow: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(_) => Act::After(Duration::from_millis(3)),
        _ => Act::Usual,
    });
    let primary = Primary::start(ANY_PORT, slow, None).await;
    let address = primary.address;
    let outbox = MapOutbox::new(domain(address), NEVER);
    queue_for_many(&outbox, 200);
    let running = Running::start(&outbox);
    until("all connections are in use", || {
        primary.log.lock().unwrap().open_max == 4
    })
    .await;
    primary.stop().await;
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    // How many messages had come when each connection was opened.
    let opened = Arc::new(Mutex::new(Vec::new()));
    let (noted, dots) = (opened.clone(), AtomicUsize::new(0));
    let counting: Script = Arc::new(move |_, moment| {
        match moment {
            Moment::Greeting => noted.lock().unwrap().push(dots.load(Ordering::SeqCst)),
            Moment::Dot(_) => drop(dots.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
        match moment {
            Moment::Dot(_) => Act::After(Duration::from_millis(3)),
            _ => Act::Usual,
        }
    });
    let primary = Primary::start(address, counting, None).await;
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.log.lock().unwrap().open_max, 4);
    // The first one is the probe's.
    let opened = opened.lock().unwrap()[1..5].to_vec();
    let rounds = [0, 1, 1 + 2, 1 + 2 + 3];
    assert!(
        opened
            .iter()
            .zip(rounds)
            .all(|(dots, round)| *dots >= round),
        "{opened:?}"
    );
}

#[tokio::test]
async fn it_is_told_how_a_domain_is_getting_on() {
    let (primary, outbox) = returned(|_| true, NEVER).await;
    let seldom = Domain {
        probe_interval: NEVER,
        ..domain(primary.address)
    };
    primary.stop().await;
    outbox.adopt(Some(seldom));
    queue_for_many(&outbox, 3);
    let running = Running::start(&outbox);
    let error = || {
        running
            .progress
            .of(DOMAIN)
            .and_then(|course| course.last_error)
    };
    until("told", || error().is_some()).await;
    assert!(error().unwrap().1.contains("connecting failed"));
    let progress = running.progress.clone();
    running.stop().await.unwrap();
    assert!(
        progress.of(DOMAIN).is_none(),
        "who does not lead knows nothing"
    );
}

#[tokio::test]
async fn whom_the_probe_was_refused_is_still_a_witness_in_the_trial() {
    let is_lost = Arc::new(AtomicBool::new(false));
    let lost = is_lost.clone();
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Rcpt(_) if lost.load(Ordering::SeqCst) => Act::Say("550 5.1.1 no such user"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["anna"], BODY);
    // The forwarder that remembers her keeps leading.
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    until("its task has ended", || {
        running.progress.of(DOMAIN).is_none()
    })
    .await;
    is_lost.store(true, Ordering::SeqCst);
    {
        let mut state = outbox.state.lock().unwrap();
        state.destination.reachability = Reachability::Down("switched off".to_owned());
        state.destination.since = Timestamp(0);
    }
    outbox.queue(&["anna"], BODY);
    until("held", || outbox.is_held()).await;
    running.stop().await.unwrap();
    assert_eq!(outbox.rejected(), 0);
    assert_eq!(primary.taken().len(), 1);
}

#[tokio::test]
async fn an_outage_that_was_not_even_recorded_is_followed_by_a_trial() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let address = primary.address;
    primary.stop().await;
    let outbox = MapOutbox::new(domain(address), NEVER);
    // It came back just now, and so it is not recorded yet that it is down again.
    outbox.state.lock().unwrap().destination.since = clock().now();
    queue_for_many(&outbox, 40);
    let steady = Timeouts {
        steady: NEVER,
        ..PATIENT
    };
    let running = Running::start_with(&outbox, steady);
    until("claimed", || {
        outbox.state.lock().unwrap().claim_commands > 0
    })
    .await;
    a_while().await;
    assert_eq!(outbox.state.lock().unwrap().observations, []);
    let refuses: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(_) => Act::Say("550 5.1.1 no such user"),
        _ => Act::Usual,
    });
    let _primary = Primary::start(address, refuses, None).await;
    until("held", || outbox.is_held()).await;
    running.stop().await.unwrap();
    assert_eq!(outbox.rejected(), 0);
}
