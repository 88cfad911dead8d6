//! Order, flushes and the rate.

use super::*;

#[tokio::test]
async fn order_per_recipient_holds_over_parallel_connections() {
    let script: Script = Arc::new(|connection, moment| match moment {
        Moment::Dot(body) => {
            Act::After(Duration::from_millis((connection + body.len()) as u64 % 4))
        }
        Moment::Mail if connection == 3 => Act::Close,
        _ => Act::Usual,
    });
    let primary = Primary::start(ANY_PORT, script, None).await;
    let domain = Domain {
        connections: 10,
        ..domain(primary.address)
    };
    let outbox = MapOutbox::new(domain, NEVER);
    let names: Vec<String> = (0..7).map(|n| format!("user{n}")).collect();
    for n in 0..1500usize {
        let first = names[n * 31 % 7].as_str();
        let second = names[(n / 3) % 7].as_str();
        let to: &[&str] = if n % 5 == 0 && first != second {
            &[first, second]
        } else {
            &[first]
        };
        outbox.queue(to, BODY);
    }
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let taken = primary.taken();
    assert_eq!(taken.len(), 1500, "each once");
    for name in &names {
        let address = format!("{name}@{DOMAIN}");
        let order: Vec<u64> = taken
            .iter()
            .filter(|t| t.to.contains(&address))
            .map(primary::Taken::sequence)
            .collect();
        assert!(order.is_sorted(), "{name}: {order:?}");
    }
    let log = primary.log.lock().unwrap();
    assert!(log.open_max > 1, "connections ran in parallel");
    assert!(log.open_max <= 10);
    assert_eq!(log.overlaps, 0);
    assert!(
        log.connections < 40,
        "connections are reused: {}",
        log.connections
    );
}

#[tokio::test]
async fn messages_that_are_put_back_leave_again_in_order_although_later_ones_were_read() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.contains("busy") => Act::Say("450 4.2.0 later"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    let sequences: Vec<u64> = (0..30).map(|_| outbox.queue(&["a"], BODY)).collect();
    let messages = sequences
        .iter()
        .filter_map(|n| outbox.message(*n))
        .collect();
    // It keeps the domain's task from beginning anew.
    outbox.queue(&["busy"], BODY);
    let running = Running::start(&outbox);
    let left = || outbox.state.lock().unwrap().departed.len();
    until("delivered", || left() == 30).await;
    outbox.put_back(messages);
    until("delivered again", || left() == 30).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [sequences.clone(), sequences].concat());
}

#[tokio::test]
async fn a_flush_makes_deferred_messages_due_in_order_and_wakes_the_probe() {
    let (primary, outbox) = setup(
        at_first(
            300,
            |m| matches!(m, Moment::Rcpt(_)),
            Act::Say("450 4.2.0 later"),
        ),
        NEVER,
    )
    .await;
    for _ in 0..300 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    let deferred = || {
        outbox
            .state
            .lock()
            .unwrap()
            .messages
            .values()
            .all(|m| m.attempts == 1)
    };
    until("all deferred", deferred).await;
    outbox.flush();
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), Vec::from_iter(1..=300));

    let gone = Primary::start(ANY_PORT, usual(), None).await;
    let address = gone.address;
    gone.stop().await;
    let outbox = MapOutbox::new(
        Domain {
            probe_interval: NEVER,
            ..domain(address)
        },
        NEVER,
    );
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    let primary = Primary::start(address, usual(), None).await;
    outbox.flush();
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.taken().len(), 1);
}

#[tokio::test]
async fn the_rate_is_kept() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let outbox = MapOutbox::new(
        Domain {
            messages_per_second: 50,
            ..domain(primary.address)
        },
        NEVER,
    );
    for n in 0..11 {
        outbox.queue(&[&format!("user{n}")], BODY);
    }
    let started = Instant::now();
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    assert!(started.elapsed() >= Duration::from_millis(195));
    running.stop().await.unwrap();
}
