//! What keeps a message here: no lease, no leadership, too much that is not recorded.

use super::*;

#[tokio::test]
async fn nothing_is_handed_over_without_a_lease() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    outbox.lease_ms.store(50, Ordering::Relaxed);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(primary.taken().is_empty());
    outbox.lease_ms.store(5000, Ordering::Relaxed);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_lease_that_ends_in_mid_message_keeps_the_final_dot_back() {
    let (primary, outbox) = setup(
        at_first(
            1,
            |m| *m == Moment::Data,
            Act::After(Duration::from_millis(200)),
        ),
        NEVER,
    )
    .await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("a connection", || {
        primary.log.lock().unwrap().connections > 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    outbox.lease_ms.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(primary.taken().is_empty());
    outbox.lease_ms.store(5000, Ordering::Relaxed);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
}

/// Waits until as many messages are unrecorded as there are connections, and others wait in front of their dots.
async fn all_places_taken(primary: &Primary) {
    until("others wait in front of their dots", || {
        let log = primary.log.lock().unwrap();
        log.dots == 4 && !log.open.is_empty()
    })
    .await;
}

#[tokio::test]
async fn no_more_goes_out_unrecorded_than_there_are_connections() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let sequences: Vec<u64> = (0..50).map(|_| outbox.queue(&["a", "b"], BODY)).collect();
    for _ in 0..50 {
        outbox.queue(&["c"], BODY);
    }
    outbox.cut_off.store(true, Ordering::Relaxed);
    let running = Running::start(&outbox);
    all_places_taken(&primary).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(primary.dots(), 4, "as many as connections");
    // What is delivered while one is under way is in another.
    assert_eq!(outbox.reporting.load(Ordering::Relaxed), 2);
    outbox.cut_off.store(false, Ordering::Relaxed);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.taken().len(), 100, "each once");
    let first = |n: &u64| sequences.contains(n);
    let order: Vec<u64> = primary.sequences().into_iter().filter(first).collect();
    assert_eq!(order, sequences);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_leader_whose_results_are_not_taken_hands_over_no_more() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let recipients: Vec<String> = (0..50).map(|number| format!("r{number}")).collect();
    for recipient in &recipients {
        outbox.queue(&[recipient.as_str()], BODY);
    }
    outbox.cut_off.store(true, Ordering::Relaxed);
    let running = Running::start(&outbox);
    all_places_taken(&primary).await;
    outbox.leads.store(false, Ordering::Relaxed);
    outbox.cut_off.store(false, Ordering::Relaxed);
    let ended = tokio::time::timeout(Duration::from_secs(20), running.task).await;
    assert!(matches!(
        ended.unwrap().unwrap(),
        Err(OutboxError::NotLeading)
    ));
    assert_eq!(primary.dots(), 4, "as many as connections");
}

#[tokio::test]
async fn a_report_beside_one_that_failed_is_not_waited_for() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let recipients: Vec<String> = (0..50).map(|number| format!("r{number}")).collect();
    for recipient in &recipients {
        outbox.queue(&[recipient.as_str()], BODY);
    }
    outbox.cut_off.store(true, Ordering::Relaxed);
    let running = Running::start(&outbox);
    all_places_taken(&primary).await;
    until("two are under way", || {
        outbox.reporting.load(Ordering::Relaxed) == 2
    })
    .await;
    outbox.refuses_one.store(true, Ordering::Relaxed);
    let ended = tokio::time::timeout(Duration::from_secs(20), running.task).await;
    assert!(matches!(
        ended.unwrap().unwrap(),
        Err(OutboxError::NotLeading)
    ));
    assert_eq!(primary.dots(), 4, "as many as connections");
}

#[tokio::test]
async fn a_leader_that_cannot_report_ends() {
    let (_primary, outbox) = setup(usual(), NEVER).await;
    let running = Running::start(&outbox);
    outbox.queue(&["a"], BODY);
    until("delivered", || outbox.is_empty()).await;
    outbox.leads.store(false, Ordering::Relaxed);
    outbox.queue(&["a"], BODY);
    let ended = tokio::time::timeout(Duration::from_secs(20), running.task).await;
    assert!(matches!(
        ended.unwrap().unwrap(),
        Err(OutboxError::NotLeading)
    ));
}

/// A leader whose quorum goes while results are under way, and the leftovers of its forwarder.
async fn left_over(primary: &Primary, outbox: &Arc<MapOutbox>) -> Leftovers {
    outbox.cut_off.store(true, Ordering::Relaxed);
    let running = Running::start(outbox);
    all_places_taken(primary).await;
    outbox.leads.store(false, Ordering::Relaxed);
    outbox.cut_off.store(false, Ordering::Relaxed);
    let ended = tokio::time::timeout(Duration::from_secs(20), running.task).await;
    assert!(ended.unwrap().unwrap().is_err());
    outbox.leads.store(true, Ordering::Relaxed);
    running.leftovers
}

#[tokio::test]
async fn what_a_leader_knows_it_tells_once_its_quorum_is_back() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let recipients: Vec<String> = (0..20).map(|number| format!("r{number}")).collect();
    let sequences: Vec<u64> = (recipients.iter())
        .map(|recipient| outbox.queue(&[recipient.as_str()], BODY))
        .collect();
    let leftovers = left_over(&primary, &outbox).await;
    let running = Running::after(leftovers, &outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let mut taken = primary.sequences();
    taken.sort_unstable();
    assert_eq!(taken, sequences, "each once");
}

#[tokio::test]
async fn what_is_left_over_of_another_term_is_given_up() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    for number in 0..10 {
        outbox.queue(&[&format!("r{number}")], BODY);
    }
    let leftovers = left_over(&primary, &outbox).await;
    outbox.term.fetch_add(1, Ordering::Relaxed);
    let reports = outbox.state.lock().unwrap().reports.len();
    let term = outbox.term.load(Ordering::Relaxed);
    leftovers.report(&*outbox, term).await.unwrap();
    assert_eq!(outbox.state.lock().unwrap().reports.len(), reports);
}
