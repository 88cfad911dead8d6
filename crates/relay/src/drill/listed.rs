//! Which MX hosts lead to nodes, and which nodes none leads to.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use spool::policy::Domain;
use spool::ports::MemberHost;

use crate::dns::Dns;
use crate::doctor::Node;
use crate::doctor::exchanges::members_at;
use crate::route::exchanges::{Addresses, Exchange, Records};
use crate::route::lookups;
use crate::route::ourselves::Ourselves;

/// An MX host that is a node of this cluster.
#[derive(Clone, Debug)]
pub struct Entrance {
    pub(super) exchange: Exchange,
    pub(super) ourselves: Arc<Ourselves>,
}

impl Entrance {
    /// The host's name, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.exchange.name
    }
}

/// What MX records say of this cluster.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Hosts that lead to nodes, the most preferred first; one that leads to several stands there for each.
    pub entrances: Vec<Entrance>,
    /// Nodes that no MX host leads to, in order of id.
    pub missing: Vec<Node>,
    /// Members that have not told their names since this node's start: whether an MX host leads there is not known.
    pub untold: Vec<u64>,
}

/// Looks up who takes the mail of `name`, a name that falls under the policy's domain, past what the resolver
/// remembers.
///
/// # Errors
/// Why it is not known, or nobody does, in words.
pub async fn listing(
    dns: &Arc<Dns>,
    members: &[MemberHost],
    domain: &Domain,
    name: &str,
) -> Result<Listing, String> {
    lookups::first_answer(dns).await;
    lookups::forget(dns, [name]);
    let (records, of_members) = tokio::join!(
        lookups::records(dns, name, false),
        lookups::addresses_of(dns, Ourselves::names_of(members)),
    );
    let ourselves = Arc::new(Ourselves::new(members, &of_members));
    match records {
        Ok(records) => judge(records, members, domain, name, &ourselves),
        Err(error) => Err(format!("the MX records of {name} are not known: {error}")),
    }
}

fn judge(
    records: Records,
    members: &[MemberHost],
    domain: &Domain,
    name: &str,
    ourselves: &Arc<Ourselves>,
) -> Result<Listing, String> {
    let mut exchanges = match records {
        Records::NoDomain => return Err(format!("there is no domain {name} in the DNS")),
        Records::Null => {
            return Err(format!("{name} takes no mail, as its null MX record says"));
        }
        Records::Implicit(_) => return Err(format!("{name} has no MX records")),
        Records::Exchanges(exchanges) => exchanges,
    };
    exchanges.sort_by(|a, b| (a.preference, &a.name).cmp(&(b.preference, &b.name)));
    let mut names = HashSet::new();
    exchanges.retain(|exchange| names.insert(exchange.name.clone()));
    let mut reached = BTreeSet::new();
    let mut entrances = Vec::new();
    for exchange in exchanges {
        let ids = members_at(domain, &exchange, ourselves);
        entrances.extend(ids.iter().map(|id| Entrance {
            exchange: if ids.len() > 1 {
                part(&exchange, *id, ourselves)
            } else {
                exchange.clone()
            },
            ourselves: Arc::clone(ourselves),
        }));
        reached.extend(ids);
    }
    let nodes = Node::all(members).into_iter();
    let untold = members.iter().filter(|member| member.mail.is_none());
    let untold = untold.map(|member| member.id);
    Ok(Listing {
        entrances,
        missing: nodes.filter(|node| !reached.contains(&node.id)).collect(),
        untold: untold.filter(|id| !reached.contains(id)).collect(),
    })
}

/// The host with the addresses of one node only, where it has those of several.
fn part(exchange: &Exchange, id: u64, ourselves: &Ourselves) -> Exchange {
    let is_its = |address: &IpAddr| ourselves.member_at("", &[*address]) == Some(id);
    let addresses = match &exchange.addresses {
        Addresses::Known(all) => Addresses::Known(all.iter().copied().filter(is_its).collect()),
        untold @ Addresses::Untold(_) => untold.clone(),
    };
    Exchange {
        addresses,
        ..exchange.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use spool::ports::MailHost;

    use super::*;
    use crate::outbound::tests::domain;

    fn member(id: u64) -> MemberHost {
        MemberHost {
            id,
            peer_host: format!("mx{id}.internal"),
            mail: Some(MailHost {
                hostname: format!("mx{id}.example.net"),
                addresses: vec![format!("192.0.2.{id}").parse().unwrap()],
            }),
        }
    }

    fn exchange(preference: u16, name: &str, address: &str) -> Exchange {
        Exchange {
            preference,
            name: name.to_owned(),
            addresses: Addresses::Known(vec![address.parse().unwrap()]),
        }
    }

    fn judged(records: Records) -> Result<(Vec<String>, Vec<u64>), String> {
        let silent = MemberHost {
            mail: None,
            ..member(4)
        };
        let members = [member(1), member(2), member(3), silent];
        let ourselves = Arc::new(Ourselves::new(&members, &HashMap::new()));
        let domain = domain("192.0.2.9:25".parse().unwrap());
        let listing = judge(records, &members, &domain, "example.com", &ourselves)?;
        let names = listing.entrances.iter().map(|it| it.name().to_owned());
        let missing = listing.missing.iter().map(|node| node.id);
        assert_eq!(listing.untold, [4]);
        Ok((names.collect(), missing.collect()))
    }

    #[test]
    fn only_hosts_that_are_nodes_are_gone_through_each_once() {
        let records = Records::Exchanges(vec![
            exchange(30, "backup.example.org", "198.51.100.1"),
            exchange(20, "mx2.example.net", "192.0.2.2"),
            exchange(10, "mail.example.com", "192.0.2.9"),
            exchange(30, "mx2.example.net", "192.0.2.2"),
            // By its address, as it greets with another name.
            exchange(20, "in.example.com", "192.0.2.1"),
        ]);
        let names = ["in.example.com", "mx2.example.net"].map(str::to_owned);
        assert_eq!(judged(records), Ok((names.to_vec(), vec![3])));
    }

    #[test]
    fn a_host_that_is_several_nodes_is_gone_through_for_each() {
        let addresses = ["192.0.2.3", "192.0.2.1", "192.0.2.77"];
        let exchange = Exchange {
            preference: 10,
            name: "in.example.com".to_owned(),
            addresses: Addresses::Known(addresses.map(|it| it.parse().unwrap()).to_vec()),
        };
        let members = [member(1), member(2), member(3)];
        let ourselves = Ourselves::new(&members, &HashMap::new());
        let only = |address: &str| Addresses::Known(vec![address.parse().unwrap()]);
        assert_eq!(part(&exchange, 1, &ourselves).addresses, only("192.0.2.1"));
        assert_eq!(part(&exchange, 3, &ourselves).addresses, only("192.0.2.3"));
        let names = ["in.example.com", "in.example.com"].map(str::to_owned);
        let judged = judged(Records::Exchanges(vec![exchange]));
        assert_eq!(judged, Ok((names.to_vec(), vec![2])));
    }

    #[test]
    fn without_mx_records_there_is_nothing_to_go_through() {
        let itself = exchange(0, "example.com", "192.0.2.1");
        for (records, words) in [
            (Records::NoDomain, "there is no domain"),
            (Records::Null, "takes no mail"),
            (Records::Implicit(itself), "has no MX records"),
        ] {
            let said = judged(records).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }
}
