//! What is known of the way to one domain, and the way that this comes to.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use rand::random_range;
use spool::policy::DEFAULT_SMTP_PORT;
use spool::ports::Members;
use tokio::time::Instant;

use crate::route::exchanges::{Records, Turn, Weighed, in_turn, is_nowhere, weigh};
use crate::route::host::Host;
use crate::route::limits::{DOUBT_REFRESH, REFRESH, RETRY};
use crate::route::met::Met;
use crate::route::ourselves::Ourselves;
use crate::route::{NoRoute, Route};

/// What is known of the way to one domain.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) found: Option<Found>,
    /// When the DNS was asked last, and whether it told.
    pub(super) asked: Option<(Instant, bool)>,
    /// When it told last.
    pub(super) told_at: Option<Instant>,
    /// Why it did not when it was asked last.
    pub(super) untold: Option<String>,
    /// Whether the domain has had MX records. It has, where this cluster is one of its MX hosts.
    pub(super) had_exchanges: bool,
    /// Whether there was no route by it, or no host could be reached since.
    pub(super) is_doubted: bool,
    pub(super) met: Met,
    /// What the log was told last.
    pub(super) said: Option<String>,
}

/// The last answer of the DNS.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) records: Records,
    /// The addresses of the members' names.
    pub(super) of_members: HashMap<String, Vec<IpAddr>>,
}

impl Known {
    pub(super) fn is_due(&self) -> bool {
        let Some((at, was_told)) = self.asked else {
            return true;
        };
        let wait = match (was_told, self.is_doubted) {
            (false, _) => RETRY,
            (true, true) => DOUBT_REFRESH,
            (true, false) => REFRESH,
        };
        at.elapsed() >= wait
    }

    /// `is_doubted` names the hosts that are connected to before their equals get mail.
    pub(super) fn route(
        &self,
        domain: &str,
        members: &dyn Members,
        is_doubted: impl Fn(&str) -> bool,
    ) -> Result<Route, NoRoute> {
        let domain = domain.to_owned();
        let Some(found) = &self.found else {
            return Err(NoRoute::Unanswered(domain));
        };
        match &found.records {
            Records::NoDomain => return Err(NoRoute::NoDomain(domain)),
            Records::Null => return Err(NoRoute::Null(domain)),
            Records::Exchanges(_) | Records::Implicit(_) => {}
        }
        let ourselves = Ourselves::new(&members.members(), &found.of_members);
        let weighed = weigh(found.records.exchanges(), &ourselves);
        let words: Vec<String> = weighed.iter().map(ToString::to_string).collect();
        let words = words.join("; ");
        let is_doubted = |name: &str| is_doubted(&at_smtp(name));
        let hosts = in_turn(&weighed, is_doubted, |count| random_range(0..count));
        if is_nowhere(&weighed) {
            return Err(NoRoute::Nowhere(words));
        }
        if hosts.is_empty() {
            return Err(NoRoute::NoneLeft(words));
        }
        let is_named = matches!(found.records, Records::Exchanges(_));
        let exchange_of = is_named.then_some(domain);
        let at_port = |address| SocketAddr::new(address, DEFAULT_SMTP_PORT);
        let host = |turn: Turn| Host {
            name: at_smtp(&turn.name),
            addresses: turn.addresses.into_iter().map(at_port).collect(),
            preference: turn.preference,
            exchange_of: exchange_of.clone(),
            is_met_first: turn.is_met_first,
        };
        let mut route = Route {
            hosts: hosts.into_iter().map(host).collect(),
            ourselves,
            is_named: false,
            words,
        };
        route.have_rest(&self.met);
        Ok(route)
    }

    /// Tells the log of a change.
    pub(super) fn tell(&mut self, domain: &str, route: &Result<Route, NoRoute>) {
        let words = match route {
            Ok(route) => route.to_string(),
            Err(none) => none.to_string(),
        };
        if self.said.as_ref() == Some(&words) {
            return;
        }
        match route {
            Ok(_) => tracing::info!(domain, route = words, "route by mx records"),
            Err(_) => tracing::warn!(domain, reason = words, "its mail waits"),
        }
        self.said = Some(words);
    }
}

/// Where a host takes mail that an MX record names.
pub(super) fn at_smtp(name: &str) -> String {
    format!("{name}:{DEFAULT_SMTP_PORT}")
}

impl Found {
    /// What becomes of each host.
    pub(super) fn weighed(&self, members: &dyn Members) -> Vec<Weighed> {
        let ourselves = Ourselves::new(&members.members(), &self.of_members);
        weigh(self.records.exchanges(), &ourselves)
    }

    /// What the DNS did not tell this time stays as it was.
    pub(super) fn keep(&mut self, before: Self) {
        for (name, addresses) in before.of_members {
            self.of_members.entry(name).or_insert(addresses);
        }
        for exchange in self.records.exchanges_mut() {
            exchange.keep(before.records.exchanges());
        }
    }
}
