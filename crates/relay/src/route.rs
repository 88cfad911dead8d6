//! Where a domain's mail goes: to the hosts that the policy names, or by MX records.
//!
//! ```text
//!   policy: primary ────────────────────────────────────────┐
//!                                                           ▼
//!   DNS ─▶ lookups ─▶ records, kept ─▶ weigh ─▶ in turn ─▶ Route ─▶ Connection
//!                                        ▲                             │
//!   Members (names, addresses) ─▶ ourselves ───────────────────────────┘ is it one of us?
//! ```
//!
//! Both ends of the node come here: what delivers, asks, or wonders whether a client is a primary. While
//! the DNS does not answer, its last answer counts. That no host is left is never a reason to give mail
//! back: it waits.

pub(crate) mod exchanges;
mod explanation;
pub(crate) mod host;
mod known;
pub mod limits;
pub(crate) mod lookups;
pub(crate) mod met;
pub(crate) mod ourselves;
mod senders;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use smtp::client::Failure;
use spool::destination::NO_ROUTE;
use spool::policy::Domain;
use spool::ports::{MemberHost, Members};
use tokio::time::Instant;

use crate::dns::Dns;
use crate::outbound::connection::{Broken, Connection, Terms};
use crate::route::exchanges::Records;
use crate::route::host::Host;
use crate::route::known::{Found, Known, at_smtp};
use crate::route::lookups::Untold;
use crate::route::met::{Meeting, Met};
use crate::route::ourselves::Ourselves;
pub(crate) use crate::route::senders::Unreached;

/// Why there is no host that a domain's mail may go to. The words begin with [`NO_ROUTE`], also where they are
/// the reason why a primary is down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// Nothing is known, now or from before.
    #[error(
        "{NO_ROUTE}the DNS does not tell which hosts take the mail of {0}; look after the name servers, \
         or name its primary in the policy"
    )]
    Unanswered(String),
    /// The DNS says that there is nothing.
    #[error(
        "{NO_ROUTE}there is no domain {0} in the DNS; mend its zone, or name its primary in the policy"
    )]
    NoDomain(String),
    /// RFC 7505.
    #[error(
        "{NO_ROUTE}{0} takes no mail, as its null MX record says; mend its zone, or name its primary in the \
         policy"
    )]
    Null(String),
    /// Each is ourselves, or not more preferred, or nowhere, or not known; the words say which.
    #[error(
        "{NO_ROUTE}{0}; a primary needs an MX record with a lower number than those of this cluster's \
         nodes, and an address, or is named in the policy"
    )]
    NoneLeft(String),
    /// The DNS says that not one of them has an address.
    #[error("{NO_ROUTE}{0}; mend the zone, or name the domain's primary in the policy")]
    Nowhere(String),
}

/// None of a domain's hosts can be talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotConnected {
    /// Why.
    pub(crate) words: String,
    /// The last of those that are not talked to because they do not offer STARTTLS.
    pub(crate) without_starttls: Option<String>,
}

/// Where a domain's mail may go.
#[derive(Clone, Debug)]
pub struct Route {
    /// In the order in which they are tried; one at least.
    hosts: Vec<Host>,
    /// Whom the hosts must not turn out to be.
    ourselves: Ourselves,
    /// Whether it is the policy that names them, and not MX records.
    is_named: bool,
    words: String,
}

/// None of a route's hosts was of use.
#[derive(Debug, Default)]
struct Unopened {
    /// Why, of each that was tried.
    reasons: Vec<String>,
    /// Whether the last one is this cluster itself, or may be.
    is_ours: bool,
    /// The last of those that are not talked to because they do not offer STARTTLS.
    without_starttls: Option<String>,
}

impl Route {
    /// To the hosts that the policy names. `ourselves` knows the names of this cluster.
    pub(crate) fn named(primary: &[String], ourselves: Ourselves) -> Self {
        let host = |name: &String| Host {
            name: name.clone(),
            addresses: Vec::new(),
            preference: 0,
            exchange_of: None,
            is_met_first: false,
        };
        Self {
            hosts: primary.iter().map(host).collect(),
            ourselves,
            is_named: true,
            words: primary.join(", "),
        }
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Puts those last that were waited for in vain just now.
    fn have_rest(&mut self, met: &Met) {
        self.hosts.sort_by_key(|host| met.is_resting(&host.name));
    }

    /// Opens a connection to the first of the hosts that talks to us, and notes whom it has met.
    async fn open_first(&self, terms: Terms<'_>, met: &mut Met) -> Result<Connection, Unopened> {
        let mut opened: Option<Connection> = None;
        let mut unopened = Unopened::default();
        let mut ours: Option<u16> = None;
        for host in self.hosts() {
            // Mail comes back that a host takes which is not more preferred than this cluster.
            if ours.is_some_and(|ours| host.preference >= ours) {
                continue;
            }
            if opened.is_some() && !host.is_met_first {
                break;
            }
            let began = Instant::now();
            let terms = Terms {
                // It is only met, and who has a place waits for no other.
                share: terms.share.filter(|_| opened.is_none()),
                ..terms
            };
            match Connection::open(host, terms).await {
                Ok(connection) => {
                    let Some(objection) = self.objection(&connection) else {
                        met.note(&host.name, Meeting::Stranger);
                        match opened {
                            None => opened = Some(connection),
                            Some(_) => connection.quit().await,
                        }
                        continue;
                    };
                    met.note(&host.name, Meeting::Ourselves);
                    connection.quit().await;
                    let reason = format!("{}: {objection}", host.name);
                    unopened.reasons.push(reason);
                    unopened.is_ours = true;
                    // The policy's hosts are tried in order, whatever one of them is.
                    ours = ours.or_else(|| (!self.is_named).then_some(host.preference));
                    if let Some(equal) = opened.take() {
                        equal.quit().await;
                    }
                }
                Err(broken) => {
                    met.note(&host.name, Meeting::of_silence(began));
                    unopened.reasons.push(format!("{}: {broken}", host.name));
                    if matches!(broken, Broken::Session(Failure::TlsNotOffered)) {
                        unopened.without_starttls = Some(host.name.clone());
                    }
                }
            }
        }
        opened.ok_or(unopened)
    }

    /// Why a host that was connected to must not get mail: it is this cluster, or may be. A primary that the policy names
    /// may have the name of the node beside which it runs.
    pub(crate) fn objection(&self, connection: &Connection) -> Option<String> {
        let session = &connection.session;
        let said = [session.greeting(), session.hello()].into_iter().flatten();
        let mut said = said.filter_map(|reply| reply.lines.first().map(String::as_str));
        match self.is_named {
            true => said.find_map(|line| self.ourselves.node_of(line)),
            false => self.ourselves.recognise(said),
        }
    }
}

impl fmt::Display for Route {
    /// `mail.example.com:25`, or `mail.example.com (10) -> 192.0.2.10; mx1.example.net (20) is this
    /// cluster itself (node 1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// Knows the ways to all domains of the policy.
pub struct Routes {
    dns: Arc<Dns>,
    members: Arc<dyn Members>,
    /// Those that were asked for: as many as policies have named.
    by_domain: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Known>>>>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}

impl Routes {
    /// Routes by what this resolver says. `members` are those whom no mail is sent to.
    #[must_use]
    pub fn new(dns: Arc<Dns>, members: Arc<dyn Members>) -> Self {
        Self {
            dns,
            members,
            by_domain: Mutex::default(),
        }
    }

    /// What the members greet with; of one that has not told that, where it is reached. Cheap.
    pub(crate) fn names_of_members(&self) -> Vec<String> {
        let members = self.members.members().into_iter();
        let name = |member: MemberHost| member.mail.map_or(member.peer_host, |mail| mail.hostname);
        members.map(name).collect()
    }

    /// What they ask.
    pub(crate) fn dns(&self) -> &Dns {
        &self.dns
    }

    /// The way to a domain, now. Takes as long as the DNS does where its last answer is old.
    ///
    /// # Errors
    /// There is none, and why.
    pub async fn find(&self, domain: &Domain) -> Result<Route, NoRoute> {
        let known = self.known(&domain.name);
        // Whoever comes meanwhile waits for the same answer.
        let mut known = known.lock().await;
        if !domain.primary.is_empty() {
            // Without their addresses: a primary may run beside a node.
            let ourselves = Ourselves::new(&self.members.members(), &HashMap::new());
            let mut route = Route::named(&domain.primary, ourselves);
            route.have_rest(&known.met);
            return Ok(route);
        }
        if known.is_due() {
            self.look_up(&domain.name, &mut known).await;
        }
        let is_doubted = |host: &str| known.met.is_doubted(host);
        let route = known.route(&domain.name, &*self.members, is_doubted);
        // Whoever mends a zone does not wait until what was wrong is forgotten everywhere.
        known.is_doubted |= route.is_err();
        known.tell(&domain.name, &route);
        route
    }

    /// Opens a connection to the first of a domain's hosts that talks to us.
    ///
    /// # Errors
    /// Why none does.
    pub(crate) async fn connect(
        &self,
        domain: &Domain,
        terms: Terms<'_>,
    ) -> Result<Connection, NotConnected> {
        let route = self.find(domain).await.map_err(|none| NotConnected {
            words: none.to_string(),
            without_starttls: None,
        })?;
        let known = self.known(&domain.name);
        if let Some(first) = route.hosts().first() {
            known.lock().await.met.try_again(&first.name);
        }
        let mut met = Met::default();
        let opened = route.open_first(terms, &mut met).await;
        {
            let mut known = known.lock().await;
            if !domain.primary.is_empty() {
                known
                    .met
                    .keep(|host| domain.primary.iter().any(|name| name == host));
            }
            known.met.learn(met);
            known.is_doubted |= opened.is_err();
        }
        let unopened = match opened {
            Ok(connection) => return Ok(connection),
            Err(unopened) => unopened,
        };
        // Of a more preferred one that can not be reached there is hope.
        let is_routeless = unopened.is_ours && unopened.reasons.len() == 1;
        let reasons = unopened.reasons.join("; ");
        Err(NotConnected {
            words: if is_routeless {
                format!("{NO_ROUTE}{reasons}")
            } else {
                reasons
            },
            without_starttls: unopened.without_starttls,
        })
    }

    fn known(&self, domain: &str) -> Arc<tokio::sync::Mutex<Known>> {
        let mut by_domain = self
            .by_domain
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_domain.entry(domain.to_owned()).or_default())
    }

    async fn look_up(&self, domain: &str, known: &mut Known) {
        if known.asked.is_none() {
            lookups::first_answer(&self.dns).await;
        }
        if known.is_doubted {
            let found = known.found.as_ref();
            let hosts = found.map_or(&[][..], |found| found.records.exchanges());
            let hosts = hosts.iter().map(|exchange| exchange.name.as_str());
            lookups::forget(&self.dns, hosts.chain([domain]));
        }
        let names = Ourselves::names_of(&self.members.members());
        let (records, of_members) = tokio::join!(
            lookups::records(&self.dns, domain, known.had_exchanges),
            lookups::addresses_of(&self.dns, names),
        );
        let was_told = known.asked.is_none_or(|(_, was_told)| was_told);
        match records {
            Ok(records) => {
                let mut found = Found {
                    records,
                    of_members,
                };
                if let Some(before) = known.found.take() {
                    found.keep(before);
                }
                known.had_exchanges |= matches!(found.records, Records::Exchanges(_));
                let exchanges = found.records.exchanges();
                known.met.keep(|host| {
                    let mut names = exchanges.iter().map(|exchange| at_smtp(&exchange.name));
                    names.any(|name| name == host)
                });
                known.found = Some(found);
                known.is_doubted = false;
                let now = Instant::now();
                known.asked = Some((now, true));
                known.told_at = Some(now);
                known.untold = None;
            }
            Err(error) => {
                if was_told && known.found.is_some() {
                    tracing::warn!(
                        domain, %error,
                        "its mx records can not be looked up: the last answer counts"
                    );
                }
                known.asked = Some((Instant::now(), false));
                known.untold = Some(error.to_string());
                // Whoever mends the zone does not wait until that answer is forgotten everywhere.
                known.is_doubted |= matches!(error, Untold::Vanished);
            }
        }
    }
}
