//! Looks, on a node that does not lead, whether it reaches primaries that are down for the leader.
//!
//! It connects, says EHLO and goes: nothing is asked about anybody, and nothing is sent. What it finds is
//! for the leader, which may hand leadership over (`spool::ports::Lookout`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rand::random_range;
use spool::policy::Domain;
use spool::ports::Lookout;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::outbound::connection::Terms;
use crate::outbound::limits::{
    FINDING_GRACE, PROBE_TIMEOUTS, SCOUT_LOOK, SCOUT_PATIENCE, SCOUTS_MAX,
};
use crate::outbound::resume;
use crate::outbound::tls::Connectors;
use crate::route::Routes;

/// What all probes of one node share.
struct Scout {
    hostname: String,
    routes: Arc<Routes>,
    connectors: Connectors,
}

/// Probes what the lookout seeks, each domain at its interval, until stopped. `hostname` is what EHLO says.
pub async fn scout<L: Lookout>(
    lookout: Arc<L>,
    routes: Arc<Routes>,
    hostname: String,
    stop: CancellationToken,
) {
    let scout = Arc::new(Scout {
        hostname,
        routes,
        connectors: Connectors::new(),
    });
    // When each domain is probed next; `None` while a probe is under way.
    let mut next: HashMap<String, Option<Instant>> = HashMap::new();
    let mut probes: JoinSet<(Domain, bool)> = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(SCOUT_LOOK) => {}
            Some(probed) = probes.join_next() => {
                let (domain, is_reached) = probed.unwrap_or_else(|error| resume(error));
                let interval = domain.probe_interval;
                lookout.note_reach(&domain.name, is_reached, lasting(interval));
                let soon = interval.mul_f64(random_range(1.0..1.1));
                next.insert(domain.name, Some(Instant::now() + soon));
            }
        }
        let sought = lookout.sought();
        next.retain(|name, at| at.is_none() || sought.iter().any(|domain| domain.name == *name));
        for domain in sought {
            // The nodes do not all knock at once.
            let first = || Instant::now() + domain.probe_interval.mul_f64(random_range(0.0..1.0));
            let at = next
                .entry(domain.name.clone())
                .or_insert_with(|| Some(first()));
            if probes.len() < SCOUTS_MAX && at.is_some_and(|at| at <= Instant::now()) {
                *at = None;
                probes.spawn(scout.clone().probe(domain));
            }
        }
    }
    probes.shutdown().await;
}

/// How long a finding counts where the next one is due after an interval.
pub(super) fn lasting(interval: Duration) -> Duration {
    interval * 2 + FINDING_GRACE
}

impl Scout {
    /// Whether a domain's primary talks to this node.
    async fn probe(self: Arc<Self>, domain: Domain) -> (Domain, bool) {
        let terms = Terms {
            hostname: &self.hostname,
            tls: domain.tls,
            connectors: &self.connectors,
            dns: self.routes.dns(),
            timeouts: PROBE_TIMEOUTS,
            share: None,
        };
        let probed = timeout(SCOUT_PATIENCE, self.routes.connect(&domain, terms)).await;
        let is_reached = match probed {
            Ok(Ok(connection)) => {
                connection.quit().await;
                true
            }
            Ok(Err(unreached)) => {
                let reason = unreached.words;
                tracing::debug!(domain = domain.name, reason, "its primary is not reached");
                false
            }
            Err(_) => false,
        };
        (domain, is_reached)
    }
}
