//! Primaries that nobody has mail for.

use super::*;

const OFTEN: Timeouts = Timeouts {
    refresh: Duration::from_millis(60),
    ..PATIENT
};

fn observations(outbox: &MapOutbox) -> Vec<Reachability> {
    outbox.state.lock().unwrap().observations.clone()
}

#[tokio::test]
async fn an_idle_primary_that_goes_is_recorded_as_down_and_its_return_is_seen() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let address = primary.address;
    let running = Running::start_with(&outbox, OFTEN);
    until("several looks", || {
        primary.log.lock().unwrap().connections > 3
    })
    .await;
    assert_eq!(observations(&outbox), []);
    primary.stop().await;
    until("down", || !observations(&outbox).is_empty()).await;
    let primary = Primary::start(address, usual(), None).await;
    until("up", || observations(&outbox).len() > 1).await;
    until("several looks", || {
        primary.log.lock().unwrap().connections > 3
    })
    .await;
    running.stop().await.unwrap();
    let observations = observations(&outbox);
    assert!(
        matches!(observations[..], [Reachability::Down(_), Reachability::Up]),
        "{observations:?}"
    );
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn a_primary_that_was_down_without_mail_takes_it_when_it_is_back() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let address = primary.address;
    primary.stop().await;
    let running = Running::start_with(&outbox, OFTEN);
    until("down", || !observations(&outbox).is_empty()).await;
    let sequence = outbox.queue(&["a"], BODY);
    let primary = Primary::start(address, usual(), None).await;
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [sequence]);
}
