//! Policies that change while mail is on its way.

use super::*;
use crate::outbound::limits::WINDOW_MESSAGES_MAX;

/// Where nobody listens.
async fn gone() -> SocketAddr {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let address = primary.address;
    primary.stop().await;
    address
}

async fn until_down(outbox: &MapOutbox) {
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
}

/// Greets nobody.
fn silent() -> Script {
    Arc::new(|_, _| Act::Silence)
}

#[tokio::test]
async fn mail_for_a_primary_that_is_down_goes_to_the_one_that_takes_its_place() {
    let seldom = |address| Domain {
        probe_interval: NEVER,
        ..domain(address)
    };
    let outbox = MapOutbox::new(seldom(gone().await), NEVER);
    for _ in 0..20 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until_down(&outbox).await;
    let next = Primary::start(ANY_PORT, usual(), None).await;
    outbox.adopt(Some(seldom(next.address)));
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(next.sequences(), (1..=20).collect::<Vec<u64>>());
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_primary_that_hangs_is_left_as_soon_as_there_is_another() {
    // Under a delivery, and under a probe.
    for down in [false, true] {
        let silent = Primary::start(ANY_PORT, silent(), None).await;
        let outbox = MapOutbox::new(domain(silent.address), NEVER);
        if down {
            outbox.set_down("told by another leader");
        }
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("connected", || silent.log.lock().unwrap().connections > 0).await;
        let next = Primary::start(ANY_PORT, usual(), None).await;
        outbox.adopt(Some(domain(next.address)));
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(next.sequences(), [1], "{down}");
    }
}

#[tokio::test]
async fn what_is_on_its_way_when_the_primary_changes_ends_there_and_comes_once() {
    let slow: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(_) => Act::After(Duration::from_millis(3)),
        _ => Act::Usual,
    });
    let first = Primary::start(ANY_PORT, slow, None).await;
    let outbox = MapOutbox::new(domain(first.address), NEVER);
    for n in 0..600 {
        outbox.queue(&[["a", "b", "c"][n % 3]], BODY);
    }
    let running = Running::start(&outbox);
    until("some are delivered", || first.taken().len() > 30).await;
    let second = Primary::start(ANY_PORT, usual(), None).await;
    outbox.adopt(Some(domain(second.address)));
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let (earlier, later) = (first.taken(), second.taken());
    assert_eq!(earlier.len() + later.len(), 600, "each once");
    assert!(!later.is_empty());
    for name in ["a", "b", "c"] {
        let to = format!("{name}@{DOMAIN}");
        let all = earlier.iter().chain(&later);
        let order: Vec<u64> = all
            .filter(|taken| taken.to.contains(&to))
            .map(primary::Taken::sequence)
            .collect();
        assert!(order.is_sorted(), "{name}: {order:?}");
    }
    assert_eq!(outbox.state.lock().unwrap().unclaimed_reports, 0);
}

#[tokio::test]
async fn mail_of_a_domain_that_leaves_the_policy_waits_until_it_is_back() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let known = domain(primary.address);
    outbox.adopt(None);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    outbox.adopt(Some(known.clone()));
    until("delivered", || outbox.is_empty()).await;
    for n in 0..300 {
        outbox.queue(&[["a", "b"][n % 2]], BODY);
    }
    until("some are delivered", || primary.taken().len() > 20).await;
    outbox.adopt(None);
    // All claims are given back.
    until("the domain's task has ended", || outbox.claims().is_empty()).await;
    let left = outbox.state.lock().unwrap().messages.len();
    outbox.adopt(Some(known));
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.taken().len(), 301, "each once; {left} were left");
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn connections_and_order_are_those_of_the_policy_in_force() {
    let slow: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(_) => Act::After(Duration::from_millis(2)),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(slow, NEVER).await;
    for n in 0..400 {
        outbox.queue(&[["a", "b", "c", "d"][n % 4]], BODY);
    }
    let running = Running::start(&outbox);
    until("several at once", || {
        primary.log.lock().unwrap().open_max > 1
    })
    .await;
    let strict = Domain {
        order: Order::Strict,
        connections: 1,
        ..domain(primary.address)
    };
    outbox.adopt(Some(strict));
    let settled = || {
        let taken = primary.taken();
        let last = taken.iter().rev().take(20);
        let last: Vec<u64> = last.map(primary::Taken::sequence).collect();
        last.len() == 20 && last.is_sorted_by(|later, earlier| *later == *earlier + 1)
    };
    until("one after the other", settled).await;
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.taken().len(), 400, "each once");
}

#[tokio::test]
async fn a_long_queue_turns_to_another_primary_within_a_second_and_is_not_read_at_once() {
    let slow: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(_) => Act::After(Duration::from_millis(5)),
        _ => Act::Usual,
    });
    let mut primary = Primary::start(ANY_PORT, slow.clone(), None).await;
    let outbox = MapOutbox::new(domain(primary.address), NEVER);
    for n in 0..100_000 {
        outbox.queue(&[&format!("user{}", n % 50)], b"Subject: x\r\n\r\n");
    }
    let running = Running::start(&outbox);
    // A machine that is busy with something else may be late once.
    let mut waits = Vec::new();
    while !waits.iter().any(|wait| *wait <= Duration::from_secs(1)) {
        assert!(waits.len() < 3, "{waits:?}");
        until("some are delivered", || primary.taken().len() > 20).await;
        primary = Primary::start(ANY_PORT, slow.clone(), None).await;
        let began = Instant::now();
        outbox.adopt(Some(domain(primary.address)));
        until("the next one gets mail", || !primary.taken().is_empty()).await;
        waits.push(began.elapsed());
    }
    let claims = outbox.claims().len();
    assert!(
        claims <= WINDOW_MESSAGES_MAX,
        "{claims} are in memory, no more than a window"
    );
    running.stop().await.unwrap();
    assert!(
        outbox.claims().is_empty(),
        "what has not started is given back"
    );
    assert_eq!(outbox.state.lock().unwrap().unclaimed_reports, 0);
}
