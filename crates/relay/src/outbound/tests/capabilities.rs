//! What a primary offers: remembered, and kept to.

use spool::Offers;

use super::*;

/// Answers EHLO with these words, and is a usual primary for the rest.
fn offering(words: &'static str) -> Script {
    Arc::new(move |_, moment| match moment {
        Moment::Ehlo => Act::Say(words),
        _ => Act::Usual,
    })
}

fn told(outbox: &MapOutbox) -> Vec<Offers> {
    outbox.state.lock().unwrap().offers.clone()
}

#[tokio::test]
async fn what_a_primary_offers_is_recorded_once() {
    let script = offering("250-primary.test\r\n250-SIZE 1000000\r\n250-SMTPUTF8\r\n250 DSN");
    let (primary, outbox) = setup(script, NEVER).await;
    for _ in 0..2 {
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
    }
    assert_eq!(primary.log.lock().unwrap().connections, 2);
    let expected = Offers {
        size_max: Some(1_000_000),
        smtputf8: true,
        dsn: true,
        ..Offers::default()
    };
    assert_eq!(
        told(&outbox),
        [expected],
        "the second contact told nothing new"
    );
}

#[tokio::test]
async fn a_probe_learns_before_anything_is_sent() {
    let (primary, outbox) = setup(offering("250-primary.test\r\n250 SIZE 1000"), NEVER).await;
    outbox.set_down("told by another leader");
    let running = Running::start(&outbox);
    until("up", || {
        outbox.state.lock().unwrap().observations == [Reachability::Up]
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(told(&outbox).len(), 1);
    assert_eq!(told(&outbox)[0].size_max, Some(1000));
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn a_server_that_knows_helo_only_tells_nothing() {
    let (primary, outbox) = setup(offering("502 5.5.1 what?"), NEVER).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
    assert!(told(&outbox).is_empty());
}
