//! Signs of life: a primary that is thought to be down, and connects to us.
//!
//! A server that starts again sends what it had queued, and some of that comes here. So when a client has
//! the address of a primary that is down, its domain is flushed as for ETRN, and the leader asks at once
//! whether it is back. Its connection is one like others, and allows it nothing.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use spool::{Intake, policy::Domain};
use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use super::{
    Shared,
    limits::{LOOKUP_TIMEOUT, SIGN_PAUSE, SIGN_REFRESH},
};

/// Where primaries are that are down, and which of them have shown themselves.
#[derive(Debug, Default)]
pub(super) struct Signs(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    looked_up_at: Option<Instant>,
    /// The domains whose primary is down, with its addresses.
    down: Vec<(String, Vec<IpAddr>)>,
    /// When each domain was last flushed for one.
    heeded: HashMap<String, Instant>,
}

impl Signs {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to look up again who is down. The caller does it.
    fn is_old(&self) -> bool {
        let mut known = self.known();
        let is_old = known
            .looked_up_at
            .is_none_or(|at| at.elapsed() >= SIGN_REFRESH);
        if is_old {
            known.looked_up_at = Some(Instant::now());
        }
        is_old
    }

    /// The domains that are to be flushed for a client; they count as flushed.
    fn begin(&self, client: IpAddr) -> Vec<String> {
        let mut known = self.known();
        let known = &mut *known;
        known.heeded.retain(|_, at| at.elapsed() < SIGN_PAUSE);
        let shown = known.down.iter().filter(|(domain, addresses)| {
            addresses.contains(&client) && !known.heeded.contains_key(domain)
        });
        let shown: Vec<String> = shown.map(|(domain, _)| domain.clone()).collect();
        for domain in &shown {
            known.heeded.insert(domain.clone(), Instant::now());
        }
        shown
    }
}

/// Has the primaries asked whether they are back that are down and have a client's address.
pub(super) async fn heed<I: Intake>(shared: &Shared<I>, client: IpAddr) {
    // A socket that listens on [::] shows IPv4 clients as ::ffff:a.b.c.d.
    let client = client.to_canonical();
    let heeded = timeout(LOOKUP_TIMEOUT, async {
        if shared.signs.is_old() {
            let down = look_up(shared).await;
            shared.signs.known().down = down;
        }
        for domain in shared.signs.begin(client) {
            if !shared.intake.primary(&domain).is_down() {
                continue;
            }
            info!(target: "mail", %client, domain, "the primary, which is down, has connected");
            if let Err(cause) = shared.intake.flush(&domain).await {
                debug!(domain, %cause, "its probe was not hurried");
            }
        }
    });
    // What takes too long is left: the primary is probed anyway.
    heeded.await.ok();
}

async fn look_up<I: Intake>(shared: &Shared<I>) -> Vec<(String, Vec<IpAddr>)> {
    let policy = shared.intake.policy();
    let domains = policy.iter().flat_map(|policy| &policy.domains);
    let mut down = Vec::new();
    for domain in domains.filter(|domain| shared.intake.primary(&domain.name).is_down()) {
        down.push((domain.name.clone(), addresses(shared, domain).await));
    }
    down
}

async fn addresses<I: Intake>(shared: &Shared<I>, domain: &Domain) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let route = match shared.routes.find(domain).await {
        Ok(route) => route,
        Err(none) => {
            debug!(domain = domain.name, %none, "the primary is nowhere");
            return addresses;
        }
    };
    for host in route.hosts() {
        match host.addresses().await {
            Ok(found) => addresses.extend(found.iter().map(|address| address.ip().to_canonical())),
            Err(error) => debug!(host = host.name, %error, "no address of the primary found"),
        }
    }
    addresses
}
