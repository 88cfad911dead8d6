//! Bodies that are not what was accepted.

use super::outbox::Damage;
use super::*;

const DAMAGES: [Damage; 3] = [Damage::Octets, Damage::Missing, Damage::Unreadable];

#[tokio::test]
async fn a_damaged_body_is_mended_and_leaves_in_its_turn() {
    for damage in DAMAGES {
        let (primary, outbox) = setup(usual(), NEVER).await;
        for _ in 0..3 {
            outbox.queue(&["a"], BODY);
        }
        outbox.spoil_here(2, damage);
        let running = Running::start(&outbox);
        until("all delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1, 2, 3], "{damage:?}");
        let taken = primary.taken();
        assert_eq!(taken[1].body, [b"Received: 2\r\n", BODY].concat());
        assert_eq!(outbox.state.lock().unwrap().mends, [2]);
        assert_no_deferral(&outbox);
    }
}

#[tokio::test]
async fn a_body_that_nobody_has_whole_is_never_forwarded() {
    for damage in DAMAGES {
        let (primary, outbox) = setup(usual(), NEVER).await;
        outbox.queue(&["a"], BODY);
        outbox.queue(&["a"], BODY);
        outbox.spoil(1, damage);
        let running = Running::start(&outbox);
        until("the other delivered", || {
            outbox.state.lock().unwrap().departed == [2]
        })
        .await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [2], "{damage:?}");
        assert_deferred(&outbox, 1);
        assert_eq!(outbox.state.lock().unwrap().mends, [1]);
    }
}

#[tokio::test]
async fn a_body_that_was_mended_in_vain_is_deferred_after_a_few_tries() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    outbox.queue(&["a"], BODY);
    outbox.queue(&["a"], BODY);
    outbox.spoil_here(1, Damage::Octets);
    outbox.forgets.store(true, Ordering::Relaxed);
    let running = Running::start(&outbox);
    until("the other delivered", || {
        outbox.state.lock().unwrap().departed == [2]
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2]);
    assert_deferred(&outbox, 1);
    let mends = outbox.state.lock().unwrap().mends.len();
    assert_eq!(mends, BREAKS_MAX as usize);
}

#[tokio::test]
async fn a_deferred_body_that_is_whole_elsewhere_later_is_mended_then() {
    let (primary, outbox) = setup(usual(), SOON).await;
    outbox.queue(&["a"], BODY);
    let whole = outbox.spoil(1, Damage::Missing);
    let running = Running::start(&outbox);
    until("it is deferred", || {
        !outbox.state.lock().unwrap().reports.is_empty()
    })
    .await;
    outbox.appear_elsewhere(1, whole);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
}

#[tokio::test]
async fn a_forwarder_that_stops_waits_for_no_body() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    outbox.queue(&["a"], BODY);
    outbox.spoil_here(1, Damage::Octets);
    outbox.others_silent.store(true, Ordering::Relaxed);
    let running = Running::start(&outbox);
    until("it is asked for", || {
        !outbox.state.lock().unwrap().mends.is_empty()
    })
    .await;
    let stopping = Instant::now();
    running.stop().await.unwrap();
    assert!(stopping.elapsed() < STOP_GRACE);
    assert!(outbox.claims().is_empty(), "it is given back");
    assert!(primary.taken().is_empty());
    assert_no_deferral(&outbox);
}

fn assert_deferred(outbox: &MapOutbox, sequence: u64) {
    let message = outbox.message(sequence).unwrap();
    assert!(matches!(
        message.recipients[0].status,
        Status::Deferred { .. }
    ));
}
