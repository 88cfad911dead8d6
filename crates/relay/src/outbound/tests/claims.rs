//! What earlier leaders have claimed, and what this one gives back.

use std::collections::BTreeMap;

use super::*;

/// Takes a while, so that a message is in flight when something happens.
const SLOW: Duration = Duration::from_millis(300);

/// Long enough to see what happens before it is over, on a busy machine too.
const DOUBTFUL: Timeouts = Timeouts {
    in_doubt: Duration::from_millis(800),
    ..PATIENT
};

/// Never over.
const FOR_EVER: Timeouts = Timeouts {
    in_doubt: NEVER,
    ..PATIENT
};

fn slow_dot() -> Script {
    Arc::new(|_, moment| match moment {
        Moment::Dot(_) => Act::After(SLOW),
        _ => Act::Usual,
    })
}

fn delivered() -> Verdict {
    Verdict::Delivered("250 2.0.0 taken from another".into())
}

#[tokio::test]
async fn what_is_read_ahead_is_claimed_in_few_commands_before_it_starts() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    for n in 0..400 {
        outbox.queue(&[&format!("user{n}")], BODY);
    }
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.taken().len(), 400);
    let state = outbox.state.lock().unwrap();
    assert!(state.claims.is_empty(), "reports end claims");
    assert!(state.claim_commands <= 6, "{}", state.claim_commands);
    assert_eq!(state.unclaimed_reports, 0);
}

#[tokio::test]
async fn mail_in_doubt_holds_its_place_and_everyone_elses_goes_on() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    for to in ["a", "b", "a", "c", "b"] {
        outbox.queue(&[to], BODY);
    }
    outbox.claim_for(1, &[1]);
    outbox.term.store(2, Ordering::Relaxed);
    let running = Running::start_with(&outbox, DOUBTFUL);
    until("the others delivered", || primary.taken().len() == 3).await;
    assert_eq!(outbox.message(1).unwrap().attempts, 0);
    until("all delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let sequences = primary.sequences();
    assert_eq!(sequences[3..], [1, 3], "{sequences:?}");
}

#[tokio::test]
async fn a_report_of_the_earlier_leader_ends_the_doubt_without_a_repeat() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    for to in ["a", "a", "b"] {
        outbox.queue(&[to], BODY);
    }
    outbox.claim_for(1, &[1, 3]);
    outbox.term.store(2, Ordering::Relaxed);
    let running = Running::start_with(&outbox, FOR_EVER);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(primary.taken().is_empty());
    outbox.report_for(1, 1, delivered());
    until("the one behind it delivered", || primary.taken().len() == 1).await;
    outbox.report_for(1, 3, Verdict::Deferred("451 4.3.0 later".into()));
    until("only the deferred one is left", || {
        outbox.state.lock().unwrap().messages.len() == 1
    })
    .await;
    outbox.flush();
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2, 3]);
}

#[tokio::test]
async fn what_the_earlier_leader_releases_starts_at_once_and_in_order() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    for _ in 0..4 {
        outbox.queue(&["a"], BODY);
    }
    outbox.claim_for(1, &[1, 2, 3]);
    outbox.term.store(2, Ordering::Relaxed);
    let running = Running::start_with(&outbox, FOR_EVER);
    outbox.release_for(1, &[2, 3]);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(primary.taken().is_empty(), "all stand behind the first");
    outbox.release_for(1, &[1]);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn what_the_forwarder_before_it_has_reported_late_in_the_same_term_is_not_repeated() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    for _ in 0..3 {
        outbox.queue(&["a"], BODY);
    }
    let term = outbox.term.load(Ordering::Relaxed);
    outbox.claim_for(term, &[1, 2]);
    outbox.report_late(term, 1, delivered());
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2, 3]);
}

#[tokio::test]
async fn deferred_mail_in_doubt_waits_as_well() {
    let (primary, outbox) = setup(usual(), SOON).await;
    outbox.queue(&["a"], BODY);
    outbox.report_for(1, 1, Verdict::Deferred("451 4.3.0 later".into()));
    outbox.claim_for(1, &[1]);
    outbox.term.store(2, Ordering::Relaxed);
    let started = Instant::now();
    let running = Running::start_with(&outbox, DOUBTFUL);
    until("delivered", || outbox.is_empty()).await;
    assert!(started.elapsed() >= DOUBTFUL.in_doubt);
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
}

#[tokio::test]
async fn more_mail_in_doubt_than_the_window_holds_keeps_its_order() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let names: Vec<String> = (0..7).map(|n| format!("user{n}")).collect();
    for n in 0..2500usize {
        outbox.queue(&[&names[n * 31 % 7]], BODY);
    }
    outbox.claim_for(1, &Vec::from_iter(1..2000));
    outbox.term.store(2, Ordering::Relaxed);
    let running = Running::start_with(&outbox, DOUBTFUL);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let taken = primary.taken();
    assert_eq!(taken.len(), 2500, "each once");
    for name in &names {
        let address = format!("{name}@{DOMAIN}");
        let to_him = taken.iter().filter(|t| t.to.contains(&address));
        let order: Vec<u64> = to_him.map(primary::Taken::sequence).collect();
        assert!(order.is_sorted(), "{name}: {order:?}");
    }
}

#[tokio::test]
async fn a_leader_that_stops_reports_what_is_in_flight_and_gives_the_rest_back() {
    let (primary, outbox) = setup(slow_dot(), NEVER).await;
    for n in 0..50 {
        outbox.queue(&[&format!("user{n}")], BODY);
    }
    let running = Running::start(&outbox);
    until("all claimed", || outbox.claims().len() == 50).await;
    until("one at the dot", || primary.dots() > 0).await;
    running.stop().await.unwrap();
    assert_eq!(outbox.claims(), BTreeMap::new());
    let left = outbox.state.lock().unwrap().messages.len();
    assert_eq!(left + primary.taken().len(), 50);
    assert!(left > 40);
}

#[tokio::test]
async fn a_leader_that_may_not_claim_any_more_ends_and_tells_what_it_has_done() {
    let (primary, outbox) = setup(slow_dot(), NEVER).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("at the dot", || primary.dots() > 0).await;
    outbox.term.store(2, Ordering::Relaxed);
    outbox.queue(&["b"], BODY);
    let ended = tokio::time::timeout(Duration::from_secs(20), running.task).await;
    assert!(matches!(
        ended.unwrap().unwrap(),
        Err(OutboxError::NotLeading)
    ));
    assert_eq!(primary.sequences(), [1]);
    assert_eq!(outbox.state.lock().unwrap().departed, [1]);
    assert_eq!(outbox.claims(), BTreeMap::new());
}

#[tokio::test]
async fn two_leaders_at_once_deliver_nothing_twice() {
    let (primary, outbox) = setup(slow_dot(), NEVER).await;
    for n in 0..30 {
        outbox.queue(&[&format!("user{}", n % 10)], BODY);
    }
    let deposed = Running::start(&outbox);
    until("one at the dot", || primary.dots() > 0).await;
    outbox.term.store(2, Ordering::Relaxed);
    let leader = Running::start_with(&outbox, FOR_EVER);
    // It hears late.
    tokio::time::sleep(SLOW / 2).await;
    deposed.stop().await.unwrap();
    until("delivered", || outbox.is_empty()).await;
    leader.stop().await.unwrap();
    let mut sequences = primary.sequences();
    sequences.sort_unstable();
    assert_eq!(sequences, Vec::from_iter(1..=30));
}

#[tokio::test]
async fn a_leader_that_starts_anew_in_its_term_waits_for_nothing() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    outbox.queue(&["a"], BODY);
    outbox.claim_for(1, &[1]);
    let running = Running::start_with(&outbox, FOR_EVER);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
}

#[tokio::test]
async fn what_was_claimed_for_a_primary_that_stays_down_is_given_back_and_claimed_again_in_order() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let address = primary.address;
    primary.stop().await;
    let outbox = MapOutbox::new(domain(address), NEVER);
    for _ in 0..3 {
        outbox.queue(&["a"], BODY);
    }
    let brief = Timeouts {
        claims: Duration::from_millis(50),
        ..PATIENT
    };
    let running = Running::start_with(&outbox, brief);
    until("claimed", || {
        outbox.state.lock().unwrap().claim_commands > 0
    })
    .await;
    until("given back", || outbox.claims().is_empty()).await;
    outbox.queue(&["a"], BODY);
    let primary = Primary::start(address, usual(), None).await;
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 3, 4]);
    assert_eq!(outbox.state.lock().unwrap().unclaimed_reports, 0);
    assert_no_deferral(&outbox);
}
