//! The node's one way to ask the DNS.
//!
//! ```text
//!   lookup ── do they answer? ── no ─▶ LookupError::NotAnswering, at once
//!               │ yes                           ▲
//!               ▼                               │ no answer: again every few seconds
//!            Resolver ── no answer ─▶ doubt ─▶ run: asks for the root's name servers
//!                                               │ any answer: they do
//! ```
//!
//! Whoever waits for a lookup mostly keeps a client waiting, so name servers that are gone may cost
//! that time once, and not every client again. As long as nobody wants anything of the DNS, nothing is
//! sent.

mod anchors;
mod answer;
pub mod limits;
mod metrics;
mod names;
mod servers;
#[cfg(test)]
pub(crate) mod tests;
mod validated;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    lookup::Lookup,
    net::NetError,
    proto::rr::{Name, RData, RecordType},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use anchors::{Anchors, AnchorsError};
pub use answer::{Answer, LookupError, Mx};
use limits::{ASK_AGAIN, DOUBT_AFTER, LOOKUP_TIMEOUT, PROBE_TIMEOUT, QUERIES_MAX};
pub use metrics::Metrics;
use servers::Resolvers;
pub use servers::{RESOLV_CONF, Servers};
pub(crate) use validated::Tlsa;

/// The resolver of this node, and whether its name servers answer.
///
/// They do not until [`Dns::run`] has heard of them, which it tries once somebody wants something.
#[derive(Debug)]
pub struct Dns {
    servers: Servers,
    /// `None` when it is not known whom to ask.
    resolvers: RwLock<Option<Resolvers>>,
    is_answering: AtomicBool,
    is_wanted: AtomicBool,
    doubted: Notify,
    to_read_again: Notify,
    queries: Semaphore,
    metrics: Metrics,
    anchors: Anchors,
}

impl Dns {
    /// Reads whom to ask. A machine that does not say gets a line in the log, and no DNS.
    #[must_use]
    pub fn new(servers: Servers, anchors: Anchors, metrics: Metrics) -> Self {
        let resolvers = match servers.resolvers(&anchors.0) {
            Ok(resolvers) => Some(resolvers),
            Err(error) => {
                warn!(%error, "no dns: it is not known which name servers to ask");
                None
            }
        };
        Self {
            servers,
            resolvers: RwLock::new(resolvers),
            is_answering: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            doubted: Notify::new(),
            to_read_again: Notify::new(),
            queries: Semaphore::new(QUERIES_MAX),
            metrics,
            anchors,
        }
    }

    /// Says that lookups are to come, so that by then it is known whether there is any use in them.
    /// The first lookup says so too.
    pub fn wanted(&self) {
        if !self.is_wanted.swap(true, Ordering::Relaxed) {
            self.doubted.notify_one();
        }
    }

    /// Whether the name servers answered when they were asked last.
    #[must_use]
    pub fn is_answering(&self) -> bool {
        self.is_answering.load(Ordering::Relaxed)
    }

    /// Has it found out now whether they still answer. For those who ask through [`Dns::resolver`]
    /// and waited in vain; a lookup does it by itself.
    pub fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Reads the system's `resolv.conf` again, if the name servers are from there.
    pub fn read_again(&self) {
        self.to_read_again.notify_one();
    }

    /// The resolver itself, for a library that brings its own questions about who sent a message. What is asked
    /// through it is neither counted nor bounded here.
    ///
    /// # Errors
    /// [`LookupError::NotAnswering`].
    pub fn resolver(&self) -> Result<TokioResolver, LookupError> {
        self.resolver_of(|resolvers| &resolvers.judging)
    }

    fn resolver_of(
        &self,
        pick: impl FnOnce(&Resolvers) -> &TokioResolver,
    ) -> Result<TokioResolver, LookupError> {
        self.wanted();
        if !self.is_answering() {
            return Err(LookupError::NotAnswering);
        }
        self.with_resolvers(|resolvers| pick(resolvers).clone())
            .ok_or(LookupError::NotAnswering)
    }

    /// All that remember answers.
    pub(crate) fn caches(&self) -> Vec<TokioResolver> {
        let all = |resolvers: &Resolvers| {
            [
                &resolvers.caching,
                &resolvers.judging,
                &resolvers.validating,
            ]
            .map(Clone::clone)
            .to_vec()
        };
        self.with_resolvers(all).unwrap_or_default()
    }

    /// The IPv4 addresses of a host.
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn ipv4(&self, name: &str) -> Result<Answer<Ipv4Addr>, LookupError> {
        let address = |data: &RData| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        };
        self.lookup(answer::name(name)?, RecordType::A, address)
            .await
    }

    /// The IPv6 addresses of a host.
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn ipv6(&self, name: &str) -> Result<Answer<Ipv6Addr>, LookupError> {
        let address = |data: &RData| match data {
            RData::AAAA(address) => Some(address.0),
            _ => None,
        };
        self.lookup(answer::name(name)?, RecordType::AAAA, address)
            .await
    }

    /// The hosts that take a domain's mail, as the answer orders them.
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn mx(&self, name: &str) -> Result<Answer<Mx>, LookupError> {
        let host = |data: &RData| match data {
            RData::MX(mx) => Some(Mx::new(mx)),
            _ => None,
        };
        self.lookup(answer::name(name)?, RecordType::MX, host).await
    }

    /// The texts at a name, the strings of each put together (RFC 7208 section 3.3).
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn txt(&self, name: &str) -> Result<Answer<Vec<u8>>, LookupError> {
        let text = |data: &RData| match data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        };
        self.lookup(answer::name(name)?, RecordType::TXT, text)
            .await
    }

    /// The name that a name is an alias of.
    ///
    /// # Errors
    /// Why it is not known.
    pub(crate) async fn alias(&self, name: &str) -> Result<Answer<String>, LookupError> {
        let target = |data: &RData| match data {
            RData::CNAME(target) => Some(answer::text(&target.0)),
            _ => None,
        };
        self.lookup(answer::name(name)?, RecordType::CNAME, target)
            .await
    }

    /// What is said of the certificate of a service, signed or not: to know whether anything is.
    ///
    /// # Errors
    /// Why it is not known.
    pub(crate) async fn tlsa(&self, name: &str) -> Result<Answer<Tlsa>, LookupError> {
        self.lookup(answer::name(name)?, RecordType::TLSA, Tlsa::of)
            .await
    }

    /// The names that an address says it has. Whether they have that address is another question.
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn ptr(&self, address: IpAddr) -> Result<Answer<String>, LookupError> {
        let host = |data: &RData| match data {
            RData::PTR(host) => Some(answer::text(&host.0)),
            _ => None,
        };
        self.lookup(Name::from(address), RecordType::PTR, host)
            .await
    }

    async fn lookup<T>(
        &self,
        name: Name,
        kind: RecordType,
        take: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, LookupError> {
        let answer = match self.resolver_of(|resolvers| &resolvers.caching) {
            Ok(resolver) => {
                let asked = resolver.lookup(name, kind);
                answer::read(self.awaited(LOOKUP_TIMEOUT, asked).await, take)
            }
            Err(error) => Err(error),
        };
        self.account(answer.as_ref().map(Answer::result));
        answer
    }

    /// Waits for a lookup's turn and for what it finds.
    async fn awaited(
        &self,
        patience: Duration,
        lookup: impl Future<Output = Result<Lookup, NetError>>,
    ) -> Result<Lookup, NetError> {
        let mut pending = Pending::new(self);
        let asked = async {
            // It is never closed, so this only waits.
            let _turn = self.queries.acquire().await;
            lookup.await
        };
        let found = timeout(patience, asked).await;
        pending.is_over = true;
        found.unwrap_or(Err(NetError::Timeout))
    }

    /// Counts what a lookup has come to.
    fn account(&self, came_to: Result<&'static str, &LookupError>) {
        match came_to {
            Ok(result) => self.metrics.count(result),
            Err(error) => {
                self.metrics.count(error.result());
                if matches!(error, LookupError::Unanswered(_)) {
                    self.doubt();
                }
            }
        }
    }

    /// Finds out whether the name servers answer, whenever there is doubt, until the token is
    /// cancelled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.watch()).await;
    }

    async fn watch(&self) {
        loop {
            tokio::select! {
                () = self.doubted.notified() => {}
                () = self.to_read_again.notified() => {
                    self.read_servers();
                    if !self.is_wanted.load(Ordering::Relaxed) {
                        continue;
                    }
                }
            }
            let mut is_told = false;
            while !self.ask().await {
                self.note(false);
                if !is_told {
                    let servers = self.with_resolvers(|resolvers| resolvers.addresses.clone());
                    warn!(
                        servers = ?servers.unwrap_or_default(),
                        "dns does not answer, and what needs it goes without: look after the name servers, \
                         or name others in [dns] servers"
                    );
                    is_told = true;
                }
                tokio::select! {
                    () = sleep(ASK_AGAIN) => {}
                    () = self.to_read_again.notified() => self.read_servers(),
                }
            }
            if !self.note(true) {
                info!("dns answers");
            }
        }
    }

    /// Whether there is any answer to a question that every name server can answer.
    async fn ask(&self) -> bool {
        let Some(probing) = self.with_resolvers(|resolvers| resolvers.probing.clone()) else {
            return false;
        };
        let asked = probing.lookup(Name::root(), RecordType::NS);
        match timeout(PROBE_TIMEOUT, asked).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => !answer::is_none(&error),
            Err(_) => false,
        }
    }

    /// Returns what was noted before.
    fn note(&self, is_answering: bool) -> bool {
        self.metrics.answering.set(i64::from(is_answering));
        self.is_answering.swap(is_answering, Ordering::Relaxed)
    }

    fn read_servers(&self) {
        if matches!(self.servers, Servers::Listed(_)) {
            return;
        }
        // A small file of the system's, and no client waits for this task.
        match self.servers.resolvers(&self.anchors.0) {
            Ok(resolvers) => {
                info!(servers = ?resolvers.addresses, "name servers read again");
                *self
                    .resolvers
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = Some(resolvers);
            }
            Err(error) => warn!(%error, "the name servers stay as they were"),
        }
    }

    fn with_resolvers<T>(&self, take: impl FnOnce(&Resolvers) -> T) -> Option<T> {
        let resolvers = self
            .resolvers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        resolvers.as_ref().map(take)
    }
}

/// A lookup under way. Whoever gives one up has waited for it, so there is doubt then.
struct Pending<'a> {
    dns: &'a Dns,
    since: Instant,
    is_over: bool,
}

impl<'a> Pending<'a> {
    fn new(dns: &'a Dns) -> Self {
        Self {
            dns,
            since: Instant::now(),
            is_over: false,
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= DOUBT_AFTER {
            self.dns.metrics.count("unanswered");
            self.dns.doubt();
        }
    }
}
