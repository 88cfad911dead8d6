//! Primaries that are down, silent, senseless or busy.

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;
use crate::outbound::connection::{Broken, Connection, Terms};
use crate::outbound::tls::Connectors;
use crate::route::Route;
use crate::route::host::Host;
use crate::route::ourselves::Ourselves;
use crate::route::tests::routes_of_members;

#[tokio::test]
async fn a_primary_that_turns_out_to_be_one_of_our_own_nodes_gets_nothing() {
    let (primary, outbox) = setup(offering("250 MX2.example.net ESMTP Layover"), NEVER).await;
    outbox.queue(&["a"], BODY);
    let routes = routes_of_members(&["mx1.example.net", "mx2.example.net"]);
    let running = Running::by_routes(&outbox, 1, PATIENT, routes);
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(primary.taken().len(), 0);
    let observations = outbox.state.lock().unwrap().observations.clone();
    assert!(
        matches!(&observations[0], Reachability::Down(words) if words.contains("node 2 of this cluster")),
        "{observations:?}"
    );

    // The next one of the policy gets it, as after any that is of no use.
    let second = Primary::start(ANY_PORT, usual(), None).await;
    let outbox = MapOutbox::new(
        Domain {
            primary: [primary.address, second.address]
                .map(|it| it.to_string())
                .into(),
            ..domain(primary.address)
        },
        NEVER,
    );
    outbox.queue(&["a"], BODY);
    let routes = routes_of_members(&["mx1.example.net", "mx2.example.net"]);
    let running = Running::by_routes(&outbox, 1, PATIENT, routes);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!((primary.taken().len(), second.taken().len()), (0, 1));
    drop(primary);

    // One that has a node's name and is none runs beside it.
    let (primary, outbox) = setup(offering("250 mx2.example.net ESMTP Postfix"), NEVER).await;
    outbox.queue(&["a"], BODY);
    let routes = routes_of_members(&["mx1.example.net", "mx2.example.net"]);
    let running = Running::by_routes(&outbox, 1, PATIENT, routes);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
}

/// Listens and takes no connection: what is sent there gets no answer. It ends with what is returned.
async fn swallowing() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(ANY_PORT).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    // The kernel answers for so many as may wait to be accepted, and drops the packets of the rest.
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        filling.push(connected.unwrap());
        assert!(filling.len() < 100, "there is room for everybody");
    }
    (address, filling, listener)
}

#[tokio::test]
async fn an_address_that_swallows_packets_holds_up_no_other() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let (swallowing, _filling, _listener) = swallowing().await;
    let host = Host {
        addresses: vec![swallowing, primary.address],
        ..Route::named(&["primary.test:25".to_owned()], Ourselves::default()).hosts()[0].clone()
    };
    let connectors = Connectors::new();
    let routes = routes_without_dns();
    let terms = Terms {
        hostname: "node.test",
        tls: Tls::Off,
        connectors: &connectors,
        dns: routes.dns(),
        timeouts: PATIENT,
        share: None,
    };
    let opening = Connection::open(&host, terms);
    // Half of the patience with a host, as a share of each address, would be too long for this.
    let opened = tokio::time::timeout(PATIENT.connect / 2, opening).await;
    opened.unwrap().unwrap();
}

#[tokio::test]
async fn a_host_that_is_only_waited_for_comes_behind_the_others_for_a_while() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let (swallowing, _filling, _listener) = swallowing().await;
    let hosts = vec![swallowing.to_string(), primary.address.to_string()];
    let outbox = MapOutbox::new(
        Domain {
            primary: hosts,
            connections: 1,
            ..domain(primary.address)
        },
        NEVER,
    );
    let impatient = Timeouts {
        connect: Duration::from_secs(3),
        // A connection for each message.
        connection_age: Duration::ZERO,
        ..PATIENT
    };
    for _ in 0..30 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start_with(&outbox, impatient);
    // Ten seconds of waiting would be three messages.
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.log.lock().unwrap().connections, 30);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_silent_primary_is_down_and_one_that_falls_silent_loses_the_connection() {
    let (primary, outbox) =
        setup(at_first(1, |m| *m == Moment::Greeting, Act::Silence), NEVER).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start_with(&outbox, HASTY);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
    assert_no_deferral(&outbox);
    let observations = outbox.state.lock().unwrap().observations.clone();
    assert!(matches!(&observations[0], Reachability::Down(words) if words.contains("no greeting")));

    let (primary, outbox) = setup(at_first(1, |m| *m == Moment::Body, Act::Silence), NEVER).await;
    outbox.queue(&["a"], &vec![b'x'; 20 << 20]);
    let running = Running::start_with(&outbox, HASTY);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
}

#[tokio::test]
async fn giant_and_senseless_replies_are_a_failure_of_the_primary() {
    let giant: &'static str = Box::leak(vec!["250-x"; 10_000].join("\r\n").into_boxed_str());
    for words in [giant, "hello yourself"] {
        let (primary, outbox) =
            setup(at_first(1, |m| *m == Moment::Ehlo, Act::Say(words)), NEVER).await;
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1]);
        assert_no_deferral(&outbox);
        let observations = outbox.state.lock().unwrap().observations.clone();
        assert!(matches!(
            observations[..],
            [Reachability::Down(_), Reachability::Up]
        ));
    }
}

#[tokio::test]
async fn a_primary_that_is_down_is_probed_and_changes_nothing() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let address = primary.address;
    primary.stop().await;
    let outbox = MapOutbox::new(domain(address), NEVER);
    for n in 0..50 {
        outbox.queue(&[if n % 2 == 0 { "a" } else { "b" }], BODY);
    }
    let running = Running::start(&outbox);
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    assert!(outbox.state.lock().unwrap().reports.is_empty());
    let primary = Primary::start(address, usual(), None).await;
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let observations = outbox.state.lock().unwrap().observations.clone();
    assert!(matches!(
        observations[..],
        [Reachability::Down(_), Reachability::Up]
    ));
    assert_no_deferral(&outbox);
    assert_eq!(primary.taken().len(), 50);
}

#[tokio::test]
async fn a_new_leader_probes_a_primary_that_was_recorded_down_at_once() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let domain = Domain {
        probe_interval: NEVER,
        ..domain(primary.address)
    };
    let outbox = MapOutbox::new(domain, NEVER);
    outbox.set_down("told by another leader");
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(
        outbox.state.lock().unwrap().observations,
        [Reachability::Up]
    );
}

#[tokio::test]
async fn the_second_host_is_used_when_the_first_is_gone() {
    let gone = Primary::start(ANY_PORT, usual(), None).await;
    let address = gone.address;
    gone.stop().await;
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let hosts = vec![address.to_string(), primary.address.to_string()];
    let outbox = MapOutbox::new(
        Domain {
            primary: hosts,
            ..domain(address)
        },
        NEVER,
    );
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert!(outbox.state.lock().unwrap().observations.is_empty());
}

#[tokio::test]
async fn a_primary_that_refuses_the_second_connection_is_busy_and_not_down() {
    let script: Script = Arc::new(|connection, moment| match moment {
        Moment::Greeting if connection > 1 => Act::SayAndClose("421 4.7.0 one at a time"),
        Moment::Dot(_) => Act::After(Duration::from_millis(2)),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    for n in 0..100 {
        outbox.queue(&[&format!("user{n}")], BODY);
    }
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.taken().len(), 100);
    assert!(primary.taken().iter().all(|taken| taken.connection == 1));
    assert!(outbox.state.lock().unwrap().observations.is_empty());
}

#[tokio::test]
async fn a_forwarder_that_stops_waits_for_no_greeting() {
    let (primary, outbox) = setup(Arc::new(|_, _| Act::Silence), NEVER).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("a connection", || {
        primary.log.lock().unwrap().connections > 0
    })
    .await;
    let stopping = Instant::now();
    running.stop().await.unwrap();
    assert!(stopping.elapsed() < STOP_GRACE);
    assert!(outbox.claims().is_empty(), "it is given back");
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_greeting_that_comes_octet_by_octet_has_its_time_as_a_whole() {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let route = Route::named(
        &[listener.local_addr().unwrap().to_string()],
        Ourselves::default(),
    );
    let dripping = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220-").await.unwrap();
        while stream.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let connectors = Connectors::new();
    let routes = routes_without_dns();
    let terms = Terms {
        hostname: "node.test",
        tls: Tls::Off,
        connectors: &connectors,
        dns: routes.dns(),
        timeouts: HASTY,
        share: None,
    };
    let opening = Connection::open(&route.hosts()[0], terms);
    let broken = tokio::time::timeout(Duration::from_secs(20), opening)
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(broken, Broken::Silent("greeting", _)), "{broken}");
    dripping.abort();
}
