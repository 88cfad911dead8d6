//! Primaries that are watched because their domain has a sentry.

use super::*;

fn watched(primary: SocketAddr) -> Domain {
    Domain {
        sentry: true,
        ..domain(primary)
    }
}

impl MapOutbox {
    fn observations(&self) -> Vec<Reachability> {
        self.state.lock().unwrap().observations.clone()
    }
}

fn connections(primary: &Primary) -> usize {
    primary.log.lock().unwrap().connections
}

#[tokio::test]
async fn a_primary_is_watched_without_mail_and_changes_alone_are_recorded() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let address = primary.address;
    let outbox = MapOutbox::new(watched(address), NEVER);
    let running = Running::start(&outbox);
    until("several probes", || connections(&primary) > 3).await;
    assert_eq!(outbox.observations(), []);
    primary.stop().await;
    until("down", || !outbox.observations().is_empty()).await;
    let primary = Primary::start(address, usual(), None).await;
    until("up", || outbox.observations().len() > 1).await;
    until("several probes", || connections(&primary) > 3).await;
    running.stop().await.unwrap();
    let observations = outbox.observations();
    assert!(
        matches!(observations[..], [Reachability::Down(_), Reachability::Up]),
        "{observations:?}"
    );
}

#[tokio::test]
async fn a_primary_is_watched_while_its_mail_is_deferred() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(_) => Act::Say("450 4.2.1 later"),
        _ => Act::Usual,
    });
    let primary = Primary::start(ANY_PORT, script, None).await;
    let outbox = MapOutbox::new(watched(primary.address), NEVER);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("deferred", || {
        !outbox.state.lock().unwrap().reports.is_empty()
    })
    .await;
    let before = connections(&primary);
    until("several probes", || connections(&primary) > before + 3).await;
    primary.stop().await;
    until("down", || !outbox.observations().is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(outbox.state.lock().unwrap().reports.len(), 1);
}

#[tokio::test]
async fn mail_of_a_watched_primary_leaves_at_once() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let domain = Domain {
        probe_interval: NEVER,
        ..watched(primary.address)
    };
    let outbox = MapOutbox::new(domain, NEVER);
    let running = Running::start(&outbox);
    until("a new leader's first probe", || connections(&primary) > 0).await;
    for number in 1..4 {
        assert_eq!(outbox.queue(&["a"], BODY), number);
        until("delivered", || outbox.is_empty()).await;
    }
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 3]);
    assert_eq!(outbox.observations(), []);
}

#[tokio::test]
async fn mail_that_comes_while_a_probe_connects_goes_over_its_connection() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Greeting => Act::After(Duration::from_millis(300)),
        _ => Act::Usual,
    });
    let primary = Primary::start(ANY_PORT, script, None).await;
    let domain = Domain {
        probe_interval: NEVER,
        ..watched(primary.address)
    };
    let outbox = MapOutbox::new(domain, NEVER);
    let running = Running::start(&outbox);
    until("a probe", || connections(&primary) > 0).await;
    outbox.queue(&["a"], BODY);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(connections(&primary), 1);
}

#[tokio::test]
async fn an_idle_primary_without_a_sentry_is_asked_once_and_then_left_alone_for_long() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let probed_seldom = Domain {
        probe_interval: NEVER,
        ..domain(primary.address)
    };
    let outbox = MapOutbox::new(probed_seldom, NEVER);
    let running = Running::start(&outbox);
    until("asked by the new leader", || connections(&primary) == 1).await;
    outbox.queue(&["a"], BODY);
    until("delivered", || outbox.is_empty()).await;
    tokio::time::sleep(watched(primary.address).probe_interval * 5).await;
    running.stop().await.unwrap();
    assert_eq!(connections(&primary), 2);
}
