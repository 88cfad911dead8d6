//! The forwarder against primaries on loopback that misbehave on cue.

mod breaks;
mod capabilities;
mod chunks;
mod claims;
mod couriers;
mod damage;
mod full;
mod idle;
mod lease;
mod octets;
mod operators;
mod order;
mod origins;
mod outages;
pub(crate) mod outbox;
mod pauses;
mod places;
mod policies;
pub(crate) mod primary;
mod probe;
mod probes;
mod recovery;
mod reports;
mod scouts;
mod sentry;
pub(crate) mod tls;
mod verdicts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use spool::policy::{Domain, Order, Quota, Recipients, Tls};
use spool::ports::OutboxError;
use spool::{Clock, Reachability, Status, Timestamp, Verdict};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::limits::{BREAKS_MAX, STOP_GRACE, Timeouts};
use super::{Config, Forwarder, Leftovers, Metrics, Places, Progress};
use crate::route::Routes;
use crate::route::tests::routes_without_dns;
use outbox::MapOutbox;
use primary::{Act, Moment, Primary, Script};

pub(crate) const DOMAIN: &str = "example.com";
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

pub(crate) fn clock() -> Clock {
    Clock(|| {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        Timestamp(u64::try_from(since.as_millis()).unwrap())
    })
}

fn usual() -> Script {
    Arc::new(|_, _| Act::Usual)
}

pub(crate) fn domain(primary: SocketAddr) -> Domain {
    Domain {
        name: DOMAIN.into(),
        primary: vec![primary.to_string()],
        recipients: Recipients::Any,
        sentry: false,
        tls: Tls::Opportunistic,
        order: Order::Recipient,
        connections: 4,
        messages_per_second: 0,
        probe_interval: Duration::from_millis(50),
        quota: Quota::default(),
        recovery_guard: true,
        xclient: false,
        canary: None,
    }
}

/// Answers EHLO with these words, and is a usual primary for the rest.
fn offering(words: &'static str) -> Script {
    Arc::new(move |_, moment| match moment {
        Moment::Ehlo => Act::Say(words),
        _ => Act::Usual,
    })
}

struct Running {
    progress: Progress,
    places: Places,
    leftovers: Leftovers,
    stop: CancellationToken,
    task: JoinHandle<Result<(), OutboxError>>,
}

impl Running {
    fn start(outbox: &Arc<MapOutbox>) -> Self {
        Self::start_with(outbox, PATIENT)
    }

    fn start_with(outbox: &Arc<MapOutbox>, timeouts: Timeouts) -> Self {
        Self::lead(outbox, outbox.term.load(Ordering::Relaxed), timeouts)
    }

    /// Starts a forwarder of a term, whether it leads or not.
    fn lead(outbox: &Arc<MapOutbox>, term: u64, timeouts: Timeouts) -> Self {
        Self::by_routes(outbox, term, timeouts, routes_without_dns())
    }

    /// Starts the next forwarder of this node, in the present term.
    fn after(leftovers: Leftovers, outbox: &Arc<MapOutbox>) -> Self {
        let term = outbox.term.load(Ordering::Relaxed);
        Self::with_leftovers(leftovers, outbox, term, PATIENT, routes_without_dns())
    }

    /// The same with ways that are not named by the policy.
    fn by_routes(
        outbox: &Arc<MapOutbox>,
        term: u64,
        timeouts: Timeouts,
        routes: Arc<Routes>,
    ) -> Self {
        Self::with_leftovers(Leftovers::default(), outbox, term, timeouts, routes)
    }

    fn with_leftovers(
        leftovers: Leftovers,
        outbox: &Arc<MapOutbox>,
        term: u64,
        timeouts: Timeouts,
        routes: Arc<Routes>,
    ) -> Self {
        let stop = CancellationToken::new();
        let (progress, places) = (Progress::default(), Places::default());
        let config = Config {
            term,
            hostname: "node.test".into(),
            routes,
            places: places.clone(),
            timeouts,
            progress: progress.clone(),
            leftovers: leftovers.clone(),
        };
        let metrics = Metrics::register(&mut Registry::default());
        let run = Forwarder::run(outbox.clone(), config, clock(), metrics, stop.clone());
        Self {
            progress,
            places,
            leftovers,
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

pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
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

fn assert_no_deferral(outbox: &MapOutbox) {
    let state = outbox.state.lock().unwrap();
    let mut verdicts = state
        .reports
        .iter()
        .flat_map(|r| &r.attempts)
        .flat_map(|attempt| &attempt.verdicts);
    assert!(verdicts.all(|(_, verdict)| matches!(verdict, Verdict::Delivered(_))));
}
