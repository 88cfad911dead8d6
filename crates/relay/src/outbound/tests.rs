//! The forwarder against primaries on loopback that misbehave on cue.

mod outbox;
mod primary;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use spool::policy::{Domain, Order, Recipients, Tls};
use spool::ports::OutboxError;
use spool::{Clock, Reachability, Status, Timestamp, Verdict};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::limits::Timeouts;
use super::{Config, Forwarder, Metrics};
use outbox::MapOutbox;
use primary::{Act, Moment, Primary, Script};

const DOMAIN: &str = "example.com";
const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const BODY: &[u8] = b"Subject: x\r\n\r\n.dot\r\nend\r\n";

/// Far longer than a healthy step takes on a busy machine.
const PATIENT: Timeouts = Timeouts {
    quit: Duration::from_millis(100),
    ..Timeouts::STANDARD
};

/// For primaries that fall silent.
const HASTY: Timeouts = Timeouts {
    greeting: Duration::from_millis(500),
    block: Duration::from_millis(500),
    ..PATIENT
};

fn clock() -> Clock {
    Clock(|| {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        Timestamp(u64::try_from(since.as_millis()).unwrap())
    })
}

fn usual() -> Script {
    Arc::new(|_, _| Act::Usual)
}

fn domain(primary: SocketAddr) -> Domain {
    Domain {
        name: DOMAIN.into(),
        primary: vec![primary.to_string()],
        recipients: Recipients::Any,
        tls: Tls::Opportunistic,
        order: Order::Recipient,
        connections: 4,
        messages_per_second: 0,
        probe_interval: Duration::from_millis(50),
    }
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), OutboxError>>,
}

impl Running {
    fn start(outbox: &Arc<MapOutbox>) -> Self {
        Self::start_with(outbox, PATIENT)
    }

    fn start_with(outbox: &Arc<MapOutbox>, timeouts: Timeouts) -> Self {
        let stop = CancellationToken::new();
        let config = Config {
            hostname: "node.test".into(),
            timeouts,
        };
        let metrics = Metrics::register(&mut Registry::default());
        let run = Forwarder::run(outbox.clone(), config, clock(), metrics, stop.clone());
        Self {
            stop,
            task: tokio::spawn(run),
        }
    }

    async fn stop(self) -> Result<(), OutboxError> {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .unwrap()
            .unwrap()
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Answers as scripted the first `times` that `when` holds, and as usual after that.
fn at_first(times: usize, when: fn(&Moment) -> bool, act: Act) -> Script {
    let left = AtomicUsize::new(times);
    Arc::new(move |_, moment| {
        let take = |n: usize| n.checked_sub(1);
        if when(moment)
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
        {
            return act.clone();
        }
        Act::Usual
    })
}

async fn setup(script: Script, retry: Duration) -> (Primary, Arc<MapOutbox>) {
    let primary = Primary::start(ANY_PORT, script, None).await;
    let outbox = MapOutbox::new(domain(primary.address), retry);
    (primary, outbox)
}

const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(30);

#[tokio::test]
async fn everything_arrives_unchanged_and_leaves_the_spool() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    let large = b".0123456789\r\n".repeat(30_000);
    outbox.queue(&["a"], BODY);
    outbox.queue(&["a", "b"], &large);
    outbox.queue(&["c"], b"no line end");
    outbox.queue(&["c"], b"");
    let running = Running::start(&outbox);
    until("empty", || outbox.is_empty()).await;
    outbox.queue(&["a"], BODY);
    until("empty again", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let mut taken = primary.taken();
    assert_eq!(taken.len(), 5);
    taken.sort_by_key(primary::Taken::sequence);
    assert_eq!(taken[0].body, [b"Received: 1\r\n", BODY].concat());
    assert_eq!(
        taken[1].body,
        [b"Received: 2\r\n", large.as_slice()].concat()
    );
    assert_eq!(taken[1].to, ["a@example.com", "b@example.com"]);
    assert_eq!(taken[2].body, b"Received: 3\r\nno line end\r\n");
    assert!(outbox.state.lock().unwrap().observations.is_empty());
}

#[tokio::test]
async fn each_recipient_keeps_his_own_verdict() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("no@") => Act::Say("550 5.1.1 no such user"),
        Moment::Rcpt(to) if to.starts_with("later@") => Act::Say("452 4.2.2 full"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    let sequence = outbox.queue(&["no", "yes", "later"], BODY);
    let running = Running::start(&outbox);
    until("reported", || {
        outbox.message(sequence).is_some_and(|m| m.attempts == 1)
    })
    .await;
    running.stop().await.unwrap();
    let message = outbox.message(sequence).unwrap();
    let [no, yes, later] = &message.recipients[..] else {
        panic!()
    };
    assert!(
        matches!(&no.status, Status::Rejected { reply, .. } if reply == "550 5.1.1 no such user")
    );
    assert!(matches!(&yes.status, Status::Delivered { reply, .. } if reply == "250 2.0.0 taken"));
    assert!(matches!(&later.status, Status::Deferred { reason, .. } if reason == "452 4.2.2 full"));
    assert_eq!(primary.taken()[0].to, ["yes@example.com"]);
}

#[tokio::test]
async fn a_deferred_message_is_tried_again_when_it_is_due() {
    for when in [
        (|m| *m == Moment::Mail) as fn(&Moment) -> bool,
        |m| matches!(m, Moment::Rcpt(_)),
        |m| *m == Moment::Data,
        |m| matches!(m, Moment::Dot(_)),
    ] {
        let (primary, outbox) = setup(at_first(1, when, Act::Say("451 4.3.0 later")), SOON).await;
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1]);
        assert_eq!(outbox.state.lock().unwrap().reports.len(), 2);
    }
}

#[tokio::test]
async fn a_deferred_message_does_not_hold_up_the_others() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Dot(body) if body.starts_with(b"Received: 1\r\n") => Act::Say("451 4.3.0 later"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    for _ in 0..3 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until("two delivered", || {
        outbox.state.lock().unwrap().departed.len() == 2
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2, 3]);
}

#[tokio::test]
async fn a_server_that_leaves_in_mid_session_changes_no_message() {
    let script = at_first(1, |m| *m == Moment::Data, Act::SayAndClose("421 4.3.2 bye"));
    let (primary, outbox) = setup(script, NEVER).await;
    for _ in 0..3 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 3]);
    assert_no_deferral(&outbox);
}

fn assert_no_deferral(outbox: &MapOutbox) {
    let state = outbox.state.lock().unwrap();
    let mut verdicts = state
        .reports
        .iter()
        .flat_map(|r| &r.attempts)
        .flat_map(|attempt| &attempt.verdicts);
    assert!(verdicts.all(|(_, verdict)| matches!(verdict, Verdict::Delivered(_))));
}

#[tokio::test]
async fn a_connection_lost_before_the_final_dot_changes_no_message() {
    for when in [
        (|m| *m == Moment::Greeting) as fn(&Moment) -> bool,
        |m| *m == Moment::Ehlo,
        |m| *m == Moment::Mail,
        |m| matches!(m, Moment::Rcpt(_)),
        |m| *m == Moment::Data,
        |m| *m == Moment::Body,
    ] {
        let (primary, outbox) = setup(at_first(2, when, Act::Close), NEVER).await;
        // Too large for the buffers between, so that the final dot is still here when the
        // primary closes at the first line.
        outbox.queue(&["a"], &b"x\r\n".repeat(4 << 20));
        outbox.queue(&["a"], BODY);
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [1, 2, 3]);
        assert_no_deferral(&outbox);
    }
}

#[tokio::test]
async fn a_message_that_breaks_every_connection_is_deferred_in_the_end() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Rcpt(to) if to.starts_with("poison@") => Act::Close,
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["poison"], BODY);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("the other delivered", || {
        outbox.state.lock().unwrap().departed == [2]
    })
    .await;
    until("deferred", || {
        outbox.message(1).is_some_and(|m| m.attempts == 1)
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2]);
}

#[tokio::test]
async fn a_message_in_doubt_is_deferred_and_repeated_later() {
    let (primary, outbox) = setup(
        at_first(1, |m| matches!(m, Moment::Dot(_)), Act::Close),
        SOON,
    )
    .await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
    let state = outbox.state.lock().unwrap();
    let (_, first) = &state.reports[0].attempts[0].verdicts[0];
    assert!(matches!(first, Verdict::Deferred(words) if words.contains("after the final dot")));
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
async fn a_flush_makes_deferred_messages_due_and_wakes_the_probe() {
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
    assert_eq!(primary.taken().len(), 300);

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

#[tokio::test]
async fn a_damaged_body_is_never_forwarded() {
    let (primary, outbox) = setup(usual(), NEVER).await;
    outbox.queue(&["a"], BODY);
    outbox.queue(&["a"], BODY);
    outbox.spoil(1);
    let running = Running::start(&outbox);
    until("the other delivered", || {
        outbox.state.lock().unwrap().departed == [2]
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [2]);
    let message = outbox.message(1).unwrap();
    assert!(matches!(
        message.recipients[0].status,
        Status::Deferred { .. }
    ));
}

#[tokio::test]
async fn a_leader_that_cannot_report_ends() {
    let (_primary, outbox) = setup(usual(), NEVER).await;
    outbox.leads.store(false, Ordering::Relaxed);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    let ended = tokio::time::timeout(Duration::from_secs(20), running.task).await;
    assert!(matches!(
        ended.unwrap().unwrap(),
        Err(OutboxError::NotLeading)
    ));
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

fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["primary.test".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn tls_is_used_as_the_policy_says() {
    for (tls, expected) in [
        (Tls::Off, false),
        (Tls::Opportunistic, true),
        (Tls::Require, true),
    ] {
        let primary = Primary::start(ANY_PORT, usual(), Some(acceptor())).await;
        let outbox = MapOutbox::new(
            Domain {
                tls,
                ..domain(primary.address)
            },
            NEVER,
        );
        outbox.queue(&["a"], &BODY.repeat(10_000));
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(primary.taken()[0].tls, expected, "{tls:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_no_authority_is_not_enough_to_verify() {
    let primary = Primary::start(ANY_PORT, usual(), Some(acceptor())).await;
    let outbox = MapOutbox::new(
        Domain {
            tls: Tls::Verify,
            ..domain(primary.address)
        },
        NEVER,
    );
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    running.stop().await.unwrap();
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn required_tls_that_is_not_offered_keeps_the_mail_here() {
    let primary = Primary::start(ANY_PORT, usual(), None).await;
    let outbox = MapOutbox::new(
        Domain {
            tls: Tls::Require,
            ..domain(primary.address)
        },
        NEVER,
    );
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("down", || {
        !outbox.state.lock().unwrap().observations.is_empty()
    })
    .await;
    running.stop().await.unwrap();
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn a_handshake_that_fails_is_followed_by_clear_text_where_that_is_allowed() {
    // The primary offers STARTTLS and then speaks SMTP instead of TLS.
    let refusing = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_cert_resolver(Arc::new(NoCertificate));
    let acceptor = TlsAcceptor::from(Arc::new(refusing));
    let primary = Primary::start(ANY_PORT, usual(), Some(acceptor)).await;
    let outbox = MapOutbox::new(domain(primary.address), NEVER);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert!(!primary.taken()[0].tls);
}

/// Makes every handshake fail.
#[derive(Debug)]
struct NoCertificate;

impl rustls::server::ResolvesServerCert for NoCertificate {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
}
