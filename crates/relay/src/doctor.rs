//! Whether the DNS leads senders to this cluster, and receivers back to its nodes.
//!
//! ```text
//!   Dns ─▶ what is said ─┬▶ exchanges, mta_sts: of a domain ─┬▶ Finding, with the lines that
//!                        ├▶ host, tlsa: of a node           ─┤  are missing in a zone (zone)
//!                        └▶ inbound: what answers there     ─┤
//!   Members ─▶ helo: what the nodes greet with ──────────────┘
//! ```
//!
//! Whoever asks wants to know how things are now, so what this node's resolver remembers is forgotten first.
//! What the name servers themselves remember they go on saying for as long as the records let them.

pub(crate) mod exchanges;
mod finding;
mod helo;
mod host;
mod inbound;
pub mod limits;
mod mta_sts;
mod tlsa;
mod zone;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use spool::policy::Domain;
use spool::ports::MemberHost;
use tokio::task::JoinSet;

pub use finding::{Check, Finding, Verdict};
pub use helo::names;
pub use host::is_public;
pub use inbound::inbound;
pub use tlsa::tlsa;

use crate::dns::Dns;
use crate::doctor::host::{Place, Pointer, Said};
use crate::route::exchanges::Addresses;
use crate::route::lookups;
use crate::route::ourselves::Ourselves;

/// A node, as those know it who send mail to it or get mail from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// What it greets with, in lower case.
    pub hostname: String,
    /// The addresses that its configuration names; some may be of use in its own network only.
    pub addresses: Vec<IpAddr>,
}

impl Node {
    /// Those of the members that have told their names.
    #[must_use]
    pub fn all(members: &[MemberHost]) -> Vec<Self> {
        let told = members.iter().filter_map(|member| {
            let mail = member.mail.as_ref()?;
            Some(Self {
                id: member.id,
                hostname: mail.hostname.to_ascii_lowercase(),
                addresses: mail.addresses.clone(),
            })
        });
        told.collect()
    }
}

/// Whether name servers answer this node, so that there is any use in what follows. Waits a moment for their
/// first sign of life.
pub async fn servers(dns: &Dns, node: &str) -> Finding {
    let check = Check::of("dns", node);
    lookups::first_answer(dns).await;
    if dns.is_answering() {
        check.fine("name servers answer")
    } else {
        check.problem(
            "no name server answers, so nothing of the DNS was looked at: look after the name servers, or name \
             others in [dns] servers",
        )
    }
}

/// Whether senders of mail for a domain come to every node, and to its primary before, and whether its MTA-STS policy
/// lets them.
pub async fn domain(dns: &Arc<Dns>, members: &[MemberHost], domain: &Domain) -> Vec<Finding> {
    let check = Check::of("mx", domain.name.as_str());
    if domain.name.starts_with("*.") {
        return vec![check.skipped(format!(
            "{} stands for many names: see for yourself that each of them has MX records",
            domain.name
        ))];
    }
    lookups::forget(dns, [domain.name.as_str()]);
    let nodes = Node::all(members);
    let (records, of_members, of_mta_sts) = tokio::join!(
        lookups::records(dns, &domain.name, false),
        lookups::addresses_of(dns, Ourselves::names_of(members)),
        mta_sts::look(dns, &domain.name, &nodes),
    );
    let mut findings = match records {
        Ok(records) => {
            let ourselves = Ourselves::new(members, &of_members);
            exchanges::judge(&check, domain, &nodes, &records, &ourselves)
        }
        Err(error) => vec![check.skipped(format!("its MX records are not known: {error}"))],
    };
    findings.extend(of_mta_sts);
    findings
}

/// Whether a node's name leads to it, and its addresses back to the name.
pub async fn host(dns: &Arc<Dns>, node: &Node) -> Vec<Finding> {
    if node.hostname.parse::<IpAddr>().is_ok() || node.hostname.starts_with('[') {
        // What is wrong with that, the check of the names says.
        return Vec::new();
    }
    lookups::forget(dns, [node.hostname.as_str()]);
    let (alias, addresses) = tokio::join!(
        dns.alias(&node.hostname),
        lookups::addresses(dns, &node.hostname)
    );
    let said = Said {
        alias: alias.ok().and_then(|alias| alias.into_records().pop()),
        places: match addresses {
            Addresses::Known(addresses) => Ok(places(dns, addresses).await),
            Addresses::Untold(why) => Err(why),
        },
    };
    host::judge(node, &said)
}

/// The addresses that a node has, as far as its name and its configuration tell; those of its own machine are left out.
pub async fn addresses(dns: &Dns, node: &Node) -> BTreeSet<IpAddr> {
    lookups::forget(dns, [node.hostname.as_str()]);
    let found = match lookups::addresses(dns, &node.hostname).await {
        Addresses::Known(found) => found,
        Addresses::Untold(_) => Vec::new(),
    };
    let all = node.addresses.iter().copied().chain(found);
    all.map(|address| address.to_canonical())
        .filter(|address| !address.is_loopback())
        .collect()
}

/// Addresses, and what each says it is called.
async fn places(dns: &Arc<Dns>, addresses: Vec<IpAddr>) -> Vec<Place> {
    let mut lookups = JoinSet::new();
    for (number, address) in addresses.into_iter().enumerate() {
        let dns = Arc::clone(dns);
        lookups.spawn(async move {
            let pointer = pointer(&dns, address).await;
            (number, Place { address, pointer })
        });
    }
    let mut places = lookups.join_all().await;
    places.sort_by_key(|(number, _)| *number);
    places.into_iter().map(|(_, place)| place).collect()
}

async fn pointer(dns: &Dns, address: IpAddr) -> Pointer {
    lookups::forget(dns, [zone::reverse(address).as_str()]);
    let names = match dns.ptr(address).await {
        Ok(names) => names.into_records(),
        Err(error) => return Pointer::Untold(error.to_string()),
    };
    match dns.confirmed_name(address).await {
        Ok(confirmed) => Pointer::Names { names, confirmed },
        Err(error) => Pointer::Untold(error.to_string()),
    }
}
