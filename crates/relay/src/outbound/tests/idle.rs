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

#[tokio::test]
async fn a_primary_all_of_whose_mail_is_put_off_is_looked_after_like_an_idle_one() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(_) => Act::Say("450 4.2.1 mailbox busy"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    let address = primary.address;
    outbox.queue(&["a"], BODY);
    let running = Running::start_with(&outbox, OFTEN);
    until("deferred", || {
        outbox.message(1).is_some_and(|m| m.attempts == 1)
    })
    .await;
    primary.stop().await;
    until("down", || !observations(&outbox).is_empty()).await;
    let _primary = Primary::start(address, usual(), None).await;
    until("up", || observations(&outbox).len() > 1).await;
    running.stop().await.unwrap();
    let observations = observations(&outbox);
    assert!(
        matches!(observations[..], [Reachability::Down(_), Reachability::Up]),
        "{observations:?}"
    );
}

#[tokio::test]
async fn why_a_primary_is_down_is_told_anew_when_it_is_another_reason() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let address = primary.address;
    primary.stop().await;
    outbox.queue(&["a"], BODY);
    let running = Running::start_with(&outbox, OFTEN);
    until("down", || !observations(&outbox).is_empty()).await;
    let closed: Script = Arc::new(|_, moment| match moment {
        Moment::Greeting => Act::SayAndClose("421 4.3.2 the database is recovered"),
        _ => Act::Usual,
    });
    let _primary = Primary::start(address, closed, None).await;
    until("told anew", || observations(&outbox).len() > 1).await;
    running.stop().await.unwrap();
    let observations = observations(&outbox);
    assert!(
        matches!(&observations[1], Reachability::Down(words) if words.contains("is recovered")),
        "{observations:?}"
    );
}

#[tokio::test]
async fn a_primary_that_a_new_policy_names_is_asked_at_once() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let named = domain(primary.address);
    primary.stop().await;
    outbox.adopt(None);
    let running = Running::start_with(
        &outbox,
        Timeouts {
            refresh: Duration::from_hours(1),
            ..PATIENT
        },
    );
    until("the forwarder looks around", || {
        outbox.version.receiver_count() > 0
    })
    .await;
    outbox.adopt(Some(named));
    until("down", || !observations(&outbox).is_empty()).await;
    running.stop().await.unwrap();
}
