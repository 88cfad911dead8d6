//! Domains whose mail is kept back while the forwarder runs.

use super::*;

/// Takes a while, so that a message is in flight when something happens.
fn slow_dot() -> Script {
    Arc::new(|_, moment| match moment {
        Moment::Dot(_) => Act::After(Duration::from_millis(300)),
        _ => Act::Usual,
    })
}

fn is_observed(outbox: &MapOutbox, is_meant: impl Fn(&Reachability) -> bool) -> bool {
    let state = outbox.state.lock().unwrap();
    state.observations.last().is_some_and(is_meant)
}

#[tokio::test]
async fn nothing_starts_in_a_pause_and_what_is_on_its_way_ends() {
    let (primary, outbox) = setup(slow_dot(), NEVER).await;
    for _ in 0..4 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until("the first is on its way", || primary.dots() == 1).await;
    outbox.pause(Some(None));
    until("the first is delivered", || outbox.message(1).is_none()).await;
    outbox.flush();
    let connections = primary.log.lock().unwrap().connections;
    until("the primary was asked twice", || {
        primary.log.lock().unwrap().connections >= connections + 2
    })
    .await;
    assert_eq!(primary.sequences(), [1], "a flush changes nothing");
    outbox.pause(None);
    until("all delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 3, 4]);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_pause_ends_by_itself() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let until_when = clock().now().after(Duration::from_millis(400));
    outbox.pause(Some(Some(until_when)));
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    assert!(clock().now() >= until_when);
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
}

#[tokio::test]
async fn it_is_known_during_a_pause_whether_the_primary_answers() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let address = primary.address;
    let outbox = MapOutbox::new(domain(address), NEVER);
    outbox.pause(Some(None));
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    primary.stop().await;
    let is_down = |known: &Reachability| matches!(known, Reachability::Down(_));
    until("down", || is_observed(&outbox, is_down)).await;
    let primary = Primary::start(address, usual(), None).await;
    until("up", || is_observed(&outbox, |known| !is_down(known))).await;
    assert!(primary.taken().is_empty());
    outbox.pause(None);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
}
