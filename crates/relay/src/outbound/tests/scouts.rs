//! Nodes that do not lead and look whether they reach a primary.

use super::*;
use crate::outbound::scout;

#[tokio::test]
async fn a_primary_that_is_down_for_the_leader_is_looked_for_and_gets_nothing() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    outbox.set_down("the leader does not reach it");
    outbox.queue(&["a"], BODY);
    let stop = CancellationToken::new();
    let hostname = "node.test".to_owned();
    let routes = routes_without_dns();
    let scouting = tokio::spawn(scout(outbox.clone(), routes, hostname, stop.clone()));
    let reached = || outbox.state.lock().unwrap().reached.clone();
    until("it is reached", || reached().contains(&true)).await;
    assert!(primary.taken().is_empty());
    primary.stop().await;
    until("it is not", || reached().last() == Some(&false)).await;
    outbox.state.lock().unwrap().destination.reachability = Reachability::Up;
    stop.cancel();
    scouting.await.unwrap();
}

#[tokio::test]
async fn a_leader_notes_whether_it_reaches_a_primary_that_is_not_ready() {
    let script = at_first(1, |m| *m == Moment::Greeting, Act::SayAndClose("554 no"));
    let (_primary, outbox) = setup(script, NEVER).await;
    outbox.set_down("told by another leader");
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(outbox.state.lock().unwrap().reached, [false, true]);
}
