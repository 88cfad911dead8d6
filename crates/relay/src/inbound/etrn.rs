//! ETRN: a primary that is back asks for its mail (RFC 1985).
//!
//! What it starts is what `layover flush` starts, of the whole cluster's queue, whichever node is
//! asked. Strangers could keep a primary busy with it, so only a domain's own primary may, known by
//! its address, and hosts that the operator trusts.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use smtp::{EnhancedCode, Reply, command::EtrnNode};
use spool::{Intake, Policy, policy::Domain};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info};

use super::{
    Shared,
    limits::{FLUSH_PAUSE, LOOKUP_TIMEOUT, LOOKUPS_MAX},
};
use crate::route::host::Host;

/// What this node does for ETRN.
#[derive(Debug)]
pub(super) struct Flushes {
    /// When it last flushed each domain of the policy.
    by_domain: Mutex<HashMap<String, Instant>>,
    /// One for each name that may be looked up.
    lookups: Arc<Semaphore>,
}

impl Default for Flushes {
    fn default() -> Self {
        Self {
            by_domain: Mutex::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Flushes {
    fn by_domain(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.by_domain
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a domain may be flushed again, and counts it as flushed then. Returns false when a
    /// flush for another client has begun meanwhile, which is as good.
    async fn begin(&self, domain: &str) -> bool {
        let asked_at = Instant::now();
        loop {
            let next = {
                let mut by_domain = self.by_domain();
                match by_domain.get(domain).copied() {
                    Some(last) if last > asked_at => return false,
                    Some(last) if last.elapsed() < FLUSH_PAUSE => last + FLUSH_PAUSE,
                    _ => {
                        by_domain.retain(|_, last| last.elapsed() < FLUSH_PAUSE);
                        by_domain.insert(domain.to_owned(), Instant::now());
                        return true;
                    }
                }
            };
            sleep_until(next).await;
        }
    }

    /// It could not be flushed.
    fn forget(&self, domain: &str) {
        self.by_domain().remove(domain);
    }
}

/// Starts what a client asks for, if it may, and says what came of it.
pub(super) async fn reply<I: Intake>(shared: &Shared<I>, peer: IpAddr, node: &EtrnNode) -> Reply {
    let Some(policy) = shared.intake.policy() else {
        return unable(node, 3, 0, "this node has no policy yet");
    };
    let domains = match asked_for(&policy, node) {
        Ok(domains) => domains,
        Err(reply) => return reply,
    };
    for domain in &domains {
        if !may_ask(shared, peer, domain).await {
            debug!(%node, domain = %domain.name, "etrn refused: neither its primary nor trusted");
            return unable(node, 7, 1, "this is for its primary and for trusted hosts");
        }
    }
    let mut pending = 0;
    let mut is_counted = true;
    for domain in &domains {
        if !shared.flushes.begin(&domain.name).await {
            is_counted = false;
            // What this node knows of the queue may be a moment old.
            pending += shared.intake.primary(&domain.name).totals.undelivered();
            continue;
        }
        match shared.intake.flush(&domain.name).await {
            Ok(messages) => pending += messages,
            Err(cause) => {
                shared.flushes.forget(&domain.name);
                info!(target: "mail", %peer, %node, %cause, "etrn put off");
                return unable(node, 3, 0, "try again later, or another host");
            }
        }
    }
    if is_counted {
        info!(target: "mail", %peer, %node, pending, "flush started by etrn");
    } else {
        debug!(%node, pending, "etrn: flushed for another client");
    }
    started(node, pending, is_counted)
}

/// The policy's domains that are meant; at least one.
fn asked_for<'p>(policy: &'p Policy, node: &EtrnNode) -> Result<Vec<&'p Domain>, Reply> {
    let domains = match node {
        EtrnNode::Domain(name) => policy.domain_covering(name).into_iter().collect(),
        EtrnNode::Subdomains(name) => policy.domains_below(name),
        EtrnNode::Queue(_) => return Err(unable(node, 5, 4, "queues have no names here")),
    };
    if domains.is_empty() {
        return Err(not_allowed(node));
    }
    Ok(domains)
}

async fn may_ask<I: Intake>(shared: &Shared<I>, peer: IpAddr, domain: &Domain) -> bool {
    // A socket that listens on [::] shows IPv4 peers as ::ffff:a.b.c.d.
    let peer = peer.to_canonical();
    if shared.config.staff.iter().any(|net| net.contains(&peer)) {
        return true;
    }
    let is_primary = async {
        let Ok(route) = shared.routes.find(domain).await else {
            return false;
        };
        for host in route.hosts() {
            if is_at(&shared.flushes.lookups, host, peer).await {
                return true;
            }
        }
        false
    };
    timeout(LOOKUP_TIMEOUT, is_primary).await.unwrap_or(false)
}

/// Whether a host of the primary has an address.
async fn is_at(lookups: &Arc<Semaphore>, host: &Host, peer: IpAddr) -> bool {
    let Ok(permit) = Arc::clone(lookups).acquire_owned().await else {
        return false;
    };
    let host = host.clone();
    // Whoever waits may give up. The lookup goes on all the same, and so it keeps its permit.
    let asked = tokio::spawn(async move {
        let is_there = host.is_at(peer).await;
        drop(permit);
        is_there
    });
    asked.await.unwrap_or(false)
}

/// As much as is known of what was started (RFC 1985 section 5.3): nothing waits, or so many messages do;
/// and where a flush for another client has begun meanwhile, which counted them for that one, that some
/// do, or only that it has begun.
fn started(node: &EtrnNode, pending: u64, is_counted: bool) -> Reply {
    let (code, text) = match (pending, is_counted) {
        (0, true) => (251, format!("OK, no messages waiting for node {node}")),
        (_, true) => (
            253,
            format!("OK, {pending} pending messages for node {node} started"),
        ),
        (0, false) => (250, format!("OK, queuing for node {node} started")),
        (_, false) => (252, format!("OK, pending messages for node {node} started")),
    };
    Reply::new(code, EnhancedCode::new(2, 0, 0), text)
}

fn unable(node: &EtrnNode, subject: u16, detail: u16, why: &str) -> Reply {
    let text = format!("Unable to queue messages for node {node}: {why}");
    Reply::new(458, EnhancedCode::new(4, subject, detail), text)
}

fn not_allowed(node: &EtrnNode) -> Reply {
    let text = format!("Node {node} not allowed: this host keeps no mail for it");
    Reply::new(459, EnhancedCode::new(4, 7, 1), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Route;
    use crate::route::ourselves::Ourselves;

    #[test]
    fn each_code_says_as_much_as_is_known() {
        let node = EtrnNode::Domain("example.com".into());
        for (pending, is_counted, code) in [
            (0, true, 251),
            (1, true, 253),
            (0, false, 250),
            (1, false, 252),
        ] {
            let reply = started(&node, pending, is_counted);
            assert_eq!(reply.code, code, "{reply}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_while_too_many_names_are_looked_up_waits_and_no_longer() {
        let none_free = Arc::new(Semaphore::new(0));
        let route = Route::named(&["localhost:2526".into()], Ourselves::default());
        let asked = is_at(&none_free, &route.hosts()[0], IpAddr::from([127, 0, 0, 1]));
        assert!(timeout(LOOKUP_TIMEOUT, asked).await.is_err());
    }
}
