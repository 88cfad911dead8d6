//! Connections that domains with the same primary share.

use super::*;

fn connections(primary: &Primary) -> usize {
    primary.log.lock().unwrap().connections
}

#[tokio::test]
async fn mail_waits_for_a_place_that_other_domains_leave() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let host = primary.address.to_string();
    let running = Running::start(&outbox);
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(running.places.take(&host, 4).await);
    }
    outbox.queue(&["a"], BODY);
    until("in line", || running.places.waiting(&host) == 1).await;
    assert!(others[0].is_wanted());
    assert_eq!(connections(&primary), 0);
    others.pop();
    until("delivered", || outbox.is_empty()).await;
    assert!(!others[0].is_wanted());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_queue_leaves_its_places_to_other_domains_in_turn() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Data => Act::After(Duration::from_millis(10)),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    let host = primary.address.to_string();
    let count = 40;
    for _ in 0..count {
        outbox.queue(&["a"], BODY);
    }
    let brief = Timeouts {
        turn: Duration::from_millis(20),
        ..PATIENT
    };
    outbox.adopt(Some(Domain {
        connections: 1,
        ..domain(primary.address)
    }));
    let running = Running::start_with(&outbox, brief);
    until("begun", || connections(&primary) == 1).await;
    for _ in 0..2 {
        let turn = running.places.take(&host, 1).await;
        assert!(!outbox.is_empty(), "it did not wait for all of them");
        drop(turn);
    }
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), (1..=count).collect::<Vec<_>>());
    assert!(connections(&primary) >= 3);
}
