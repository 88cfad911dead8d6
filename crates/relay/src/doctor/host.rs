//! A node's own name: whether it leads to the node, and the node's addresses lead back to it.
//!
//! Receivers look an address up that connects to them, and trust it more, or at all, when its name leads back
//! to it. Nodes send to primaries, and reports to the hosts of senders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::doctor::{Check, Finding, Node, zone};

/// What the DNS says of a node's name.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// What it is an alias of.
    pub(super) alias: Option<String>,
    /// Where it leads; or why that is not known.
    pub(super) places: Result<Vec<Place>, String>,
}

/// An address of a node.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) address: IpAddr,
    pub(super) pointer: Pointer,
}

/// What an address says it is called.
#[derive(Clone, Debug)]
pub(super) enum Pointer {
    Names {
        /// In lower case; none when there are none.
        names: Vec<String>,
        /// The first that has the address.
        confirmed: Option<String>,
    },
    /// Why it is not known.
    Untold(String),
}

pub(super) fn judge(node: &Node, said: &Said) -> Vec<Finding> {
    let check = Check::of("address", node.hostname.as_str());
    let places = match &said.places {
        Ok(places) => places,
        Err(why) => return vec![check.skipped(format!("its addresses are not known: {why}"))],
    };
    if places.is_empty() {
        let public = node.addresses.iter().filter(|address| is_public(**address));
        return vec![
            check
                .problem(format!(
                    "the name of node {} has no address in the DNS, so no sender finds it",
                    node.id
                ))
                .with_zone(public.map(|address| zone::address(&node.hostname, *address))),
        ];
    }
    let mut findings = vec![of_addresses(&check, node, said.alias.as_deref(), places)];
    // What nobody on the Internet reaches, nobody there looks up.
    let public = places.iter().filter(|place| is_public(place.address));
    findings.extend(public.map(|place| of_pointer(node, place)));
    findings
}

fn of_addresses(check: &Check, node: &Node, alias: Option<&str>, places: &[Place]) -> Finding {
    if let Some(alias) = alias {
        let direct = places
            .iter()
            .map(|place| zone::address(&node.hostname, place.address));
        return check
            .problem(format!(
                "the name of node {} is an alias of {alias}, which a name in an MX record must not be: give it \
                 addresses of its own in place of the CNAME record",
                node.id
            ))
            .with_zone(direct);
    }
    let addresses: Vec<String> = places
        .iter()
        .map(|place| place.address.to_string())
        .collect();
    let addresses = addresses.join(", ");
    match places.iter().find(|place| !is_public(place.address)) {
        Some(place) => check.warning(format!(
            "it leads to {}, which nobody reaches from the Internet: take that out of the DNS that the Internet sees",
            place.address
        )),
        None => check.fine(format!("it leads to {addresses}")),
    }
}

fn of_pointer(node: &Node, place: &Place) -> Finding {
    let check = Check::of("ptr", node.hostname.as_str());
    let address = place.address;
    let line = zone::pointer(address, &node.hostname);
    match &place.pointer {
        Pointer::Untold(why) => check.skipped(format!("what {address} is called is not known: {why}")),
        Pointer::Names { names, .. } if names.contains(&node.hostname) => {
            check.fine(format!("{address} leads back to it"))
        }
        Pointer::Names { names, .. } if names.is_empty() => check
            .problem(format!(
                "{address} has no name, so receivers distrust what comes from there: have your provider give it one"
            ))
            .with_zone([line]),
        Pointer::Names {
            confirmed: Some(other),
            ..
        } => check
            .warning(format!(
                "{address} is called {other}, which leads to it, but is not what the node calls itself; strict \
                 receivers mind"
            ))
            .with_zone([line]),
        Pointer::Names { names, .. } => check
            .problem(format!(
                "{address} is called {}, which does not lead to it, so receivers distrust what comes from there: have \
                 your provider correct it",
                names.join(", ")
            ))
            .with_zone([line]),
    }
}

/// Whether an address can be one of the Internet's.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || is_shared(v4))
        }
        IpAddr::V6(v6) => !is_internal(v6),
    }
}

/// Of the networks behind a provider's address translation (RFC 6598).
const fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

const fn is_internal(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn node() -> Node {
        Node {
            id: 2,
            hostname: "mx2.example.net".to_owned(),
            addresses: vec![ip("10.0.0.2"), ip("192.0.2.2")],
        }
    }

    fn place(address: &str, names: &[&str], confirmed: Option<&str>) -> Place {
        Place {
            address: ip(address),
            pointer: Pointer::Names {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                confirmed: confirmed.map(str::to_owned),
            },
        }
    }

    fn judged(
        alias: Option<&str>,
        places: Vec<Place>,
    ) -> Vec<(&'static str, Verdict, Vec<String>)> {
        let said = Said {
            alias: alias.map(str::to_owned),
            places: Ok(places),
        };
        let found = judge(&node(), &said).into_iter();
        found
            .map(|finding| (finding.check, finding.verdict, finding.zone))
            .collect()
    }

    #[test]
    fn a_name_and_its_addresses_lead_to_each_other() {
        let own = "mx2.example.net";
        let sound = vec![
            place("192.0.2.2", &[own], Some(own)),
            place("2001:db8::2", &["other.test", own], Some(own)),
        ];
        assert_eq!(
            judged(None, sound),
            [
                ("address", Verdict::Fine, vec![]),
                ("ptr", Verdict::Fine, vec![]),
                ("ptr", Verdict::Fine, vec![]),
            ]
        );
    }

    #[test]
    fn a_name_that_leads_nowhere_is_given_the_public_addresses_that_are_known() {
        let line = "mx2.example.net. IN A 192.0.2.2".to_owned();
        assert_eq!(
            judged(None, Vec::new()),
            [("address", Verdict::Problem, vec![line])]
        );
    }

    #[test]
    fn an_alias_is_to_have_addresses_of_its_own() {
        let found = judged(
            Some("host.example.org"),
            vec![place("192.0.2.2", &["mx2.example.net"], None)],
        );
        let line = "mx2.example.net. IN A 192.0.2.2".to_owned();
        assert_eq!(found[0], ("address", Verdict::Problem, vec![line]));
    }

    #[test]
    fn what_an_address_is_called_matters() {
        let line = "2.2.0.192.in-addr.arpa. IN PTR mx2.example.net.".to_owned();
        for (names, confirmed, verdict) in [
            (vec![], None, Verdict::Problem),
            (vec!["old.example.org"], None, Verdict::Problem),
            (vec!["host2.test"], Some("host2.test"), Verdict::Warning),
        ] {
            let found = judged(None, vec![place("192.0.2.2", &names, confirmed)]);
            assert_eq!(found[1], ("ptr", verdict, vec![line.clone()]), "{names:?}");
        }
    }

    #[test]
    fn addresses_of_inner_networks_are_pointed_out_and_not_looked_up_further() {
        for address in ["10.0.0.2", "127.0.0.1", "100.64.0.1", "fd00::2", "fe80::2"] {
            assert_eq!(
                judged(None, vec![place(address, &[], None)]),
                [("address", Verdict::Warning, vec![])],
                "{address}"
            );
        }
    }

    #[test]
    fn what_the_dns_does_not_tell_is_not_judged() {
        let said = Said {
            alias: None,
            places: Err("dns does not answer".to_owned()),
        };
        let found = judge(&node(), &said);
        assert_eq!(found[0].verdict, Verdict::Skipped);
        let place = Place {
            address: ip("192.0.2.2"),
            pointer: Pointer::Untold("dns does not answer".to_owned()),
        };
        let said = Said {
            alias: None,
            places: Ok(vec![place]),
        };
        assert_eq!(judge(&node(), &said)[1].verdict, Verdict::Skipped);
    }
}
