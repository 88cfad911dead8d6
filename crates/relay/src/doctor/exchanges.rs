//! A domain's MX records: every node is among them, all at one preference, the primary in front of them.
//!
//! Senders try hosts of one preference in any order, so that the nodes share the load; and they go on to the
//! next where one does not answer (RFC 5321 section 5.1). A node that is left out is of no use to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use spool::policy::Domain;

use crate::doctor::{Check, Finding, Node, zone};
use crate::route::exchanges::{Addresses, Exchange, Records};
use crate::route::ourselves::Ourselves;

/// The nodes' preference where no record tells another.
const PREFERENCE: u16 = 20;

/// How far behind the primary the nodes are put that stand in front of it.
const STEP: u16 = 10;

/// Who a domain's MX hosts are.
struct Listed<'a> {
    domain: &'a Domain,
    nodes: &'a [Node],
    exchanges: &'a [Exchange],
    /// The preference of each node that is among them, the lowest of several.
    ours: BTreeMap<u64, u16>,
    /// Those that are no nodes.
    others: Vec<&'a Exchange>,
}

pub(super) fn judge(
    check: &Check,
    domain: &Domain,
    nodes: &[Node],
    records: &Records,
    ourselves: &Ourselves,
) -> Vec<Finding> {
    let lack = |words: &str| {
        let lines = nodes
            .iter()
            .map(|node| zone::mx(&domain.name, PREFERENCE, &node.hostname));
        vec![check.problem(words).with_zone(lines)]
    };
    match records {
        Records::NoDomain => {
            lack("there is no such domain in the DNS: register it, or mend its zone")
        }
        Records::Null => lack(
            "it takes no mail, as its null MX record says: put the primary and the nodes in the place of that",
        ),
        Records::Implicit(_) => lack(
            "it has no MX records, so senders go to the host of that name and never come here: add the primary \
             and the nodes",
        ),
        Records::Exchanges(exchanges) => {
            Listed::new(domain, nodes, exchanges, ourselves).judge(check)
        }
    }
}

impl<'a> Listed<'a> {
    fn new(
        domain: &'a Domain,
        nodes: &'a [Node],
        exchanges: &'a [Exchange],
        ourselves: &Ourselves,
    ) -> Self {
        let mut ours = BTreeMap::new();
        let mut others = Vec::new();
        for exchange in exchanges {
            let ids = members_at(domain, exchange, ourselves);
            if ids.is_empty() {
                others.push(exchange);
            }
            for id in ids {
                let lowest = ours.entry(id).or_insert(exchange.preference);
                *lowest = exchange.preference.min(*lowest);
            }
        }
        Self {
            domain,
            nodes,
            exchanges,
            ours,
            others,
        }
    }

    fn judge(&self, check: &Check) -> Vec<Finding> {
        let mut findings = self.missing(check);
        findings.extend(self.unequal(check));
        findings.extend(self.not_in_front(check));
        findings.extend(self.otherwise_named(check));
        if findings.is_empty() {
            findings.push(check.fine(self.words()));
        }
        findings
    }

    /// The lowest preference of the nodes; `None` when none is listed.
    fn first(&self) -> Option<u16> {
        self.ours.values().min().copied()
    }

    /// The primary's hosts, as far as they are listed.
    fn primaries(&self) -> impl Iterator<Item = &'a Exchange> {
        let is_by_mx = self.domain.primary.is_empty();
        let others = self.others.iter().copied();
        others.filter(move |other| {
            if is_by_mx {
                self.first().is_none_or(|first| other.preference < first)
            } else {
                is_primary(self.domain, other)
            }
        })
    }

    /// What all nodes should have: what most of them have, unless that is not behind the primary.
    fn wanted(&self) -> u16 {
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        for preference in self.ours.values() {
            *counts.entry(*preference).or_default() += 1;
        }
        let common = counts
            .iter()
            .max_by_key(|(preference, count)| (**count, **preference));
        let common = common.map(|(preference, _)| *preference);
        let front = self.primaries().map(|primary| primary.preference).max();
        match (common, front) {
            (Some(common), Some(front)) if common <= front => front.saturating_add(STEP),
            (Some(common), _) => common,
            (None, Some(front)) => front.saturating_add(STEP),
            (None, None) => PREFERENCE,
        }
    }

    fn line(&self, node: &Node) -> String {
        zone::mx(&self.domain.name, self.wanted(), &node.hostname)
    }

    fn missing(&self, check: &Check) -> Vec<Finding> {
        let missing = self
            .nodes
            .iter()
            .filter(|node| !self.ours.contains_key(&node.id));
        let finding = |node: &Node| {
            let words = format!(
                "node {} ({}) is not among its MX hosts, so its senders never come to that node: add a record",
                node.id, node.hostname
            );
            check.problem(words).with_zone([self.line(node)])
        };
        missing.map(finding).collect()
    }

    fn unequal(&self, check: &Check) -> Option<Finding> {
        let preferences: BTreeSet<u16> = self.ours.values().copied().collect();
        if preferences.len() < 2 {
            return None;
        }
        let wanted = self.wanted();
        let of = |node: &Node| Some((self.ours.get(&node.id).copied()?, node.clone()));
        let listed: Vec<(u16, Node)> = self.nodes.iter().filter_map(of).collect();
        let words: Vec<String> = listed
            .iter()
            .map(|(preference, node)| format!("{} {preference}", node.hostname))
            .collect();
        let wrong = listed
            .iter()
            .filter(|(preference, _)| *preference != wanted);
        let finding = check.problem(format!(
            "the nodes have unequal preferences ({}), so they do not share the load: give all of them {wanted}",
            words.join(", ")
        ));
        Some(finding.with_zone(wrong.map(|(_, node)| self.line(node))))
    }

    /// Senders are to come to the primary before they come here, and mail by MX needs one in front.
    fn not_in_front(&self, check: &Check) -> Vec<Finding> {
        let Some(first) = self.first() else {
            return Vec::new();
        };
        if self.domain.primary.is_empty() {
            return self.none_in_front(check, first);
        }
        let late = self
            .primaries()
            .filter(|primary| primary.preference >= first);
        let finding = |primary: &Exchange| {
            let words = format!(
                "its primary {} ({}) is not more preferred than the nodes ({first}), so senders come here though it is \
                 up: give the nodes a higher number, or the primary a lower one",
                primary.name, primary.preference
            );
            let lines = self.nodes.iter().map(|node| self.line(node));
            check.problem(words).with_zone(lines)
        };
        late.map(finding).collect()
    }

    fn none_in_front(&self, check: &Check, first: u16) -> Vec<Finding> {
        if self.primaries().next().is_some() {
            return Vec::new();
        }
        let others: Vec<String> = self.others.iter().map(|other| words_of(other)).collect();
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!(" ({} is not)", others.join(", ")),
        };
        let words = format!(
            "no MX host is more preferred than the nodes ({first}){others}, so its mail has nowhere to go: give its \
             primary a record with a lower number, or name it in the policy"
        );
        vec![check.problem(words)]
    }

    /// Nodes that are listed, and not by the name that they greet with.
    fn otherwise_named(&self, check: &Check) -> Vec<Finding> {
        let is_named = |node: &&Node| {
            let mut exchanges = self.exchanges.iter();
            exchanges.any(|exchange| exchange.name == node.hostname)
        };
        let listed = self
            .nodes
            .iter()
            .filter(|node| self.ours.contains_key(&node.id));
        let finding = |node: &Node| {
            check.warning(format!(
                "node {} is among its MX hosts by another name than {}, which it greets with; strict senders and \
                 certificates mind",
                node.id, node.hostname
            ))
        };
        listed.filter(|node| !is_named(node)).map(finding).collect()
    }

    /// `its MX records name all 3 nodes (20), and in front of them mail.example.com (10)`.
    fn words(&self) -> String {
        let front: Vec<String> = self.primaries().map(words_of).collect();
        let front = match front.as_slice() {
            [] => String::new(),
            front => format!(", and in front of them {}", front.join(", ")),
        };
        let nodes = match self.ours.len() {
            1 => "the node".to_owned(),
            count => format!("all {count} nodes"),
        };
        format!("its MX records name {nodes} ({}){front}", self.wanted())
    }
}

fn words_of(exchange: &Exchange) -> String {
    format!("{} ({})", exchange.name, exchange.preference)
}

/// The members that an MX host leads to: the one of that name, or those at its addresses.
pub(crate) fn members_at(
    domain: &Domain,
    exchange: &Exchange,
    ourselves: &Ourselves,
) -> BTreeSet<u64> {
    if let Some(id) = ourselves.member_at(&exchange.name, &[]) {
        return BTreeSet::from([id]);
    }
    // A primary may run on the very machine.
    if is_primary(domain, exchange) {
        return BTreeSet::new();
    }
    let addresses = known(exchange).iter();
    addresses
        .filter_map(|address| ourselves.member_at("", core::slice::from_ref(address)))
        .collect()
}

/// Whether an MX host is one that the policy names as the domain's primary.
fn is_primary(domain: &Domain, exchange: &Exchange) -> bool {
    domain.primary.iter().any(|primary| {
        let host = tls::host_of(primary);
        match host.parse::<IpAddr>() {
            Ok(address) => known(exchange).contains(&address),
            Err(_) => host
                .trim_end_matches('.')
                .eq_ignore_ascii_case(&exchange.name),
        }
    })
}

const fn known(exchange: &Exchange) -> &[IpAddr] {
    match &exchange.addresses {
        Addresses::Known(addresses) => addresses.as_slice(),
        Addresses::Untold(_) => &[],
    }
}

#[cfg(test)]
mod tests;
