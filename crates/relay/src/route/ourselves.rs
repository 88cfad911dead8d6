//! Who this cluster is, so that it never sends mail to itself.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use spool::ports::MemberHost;

/// What the nodes of every version greet with, behind their name. Of a member that has not told its
/// name nothing else can be known.
const GREETING_OF_LAYOVER: &str = "ESMTP Layover";

/// The names and addresses of every member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ourselves {
    names: BTreeMap<String, u64>,
    addresses: BTreeMap<IpAddr, u64>,
    /// Members that have not told their names since this node's start.
    untold: Vec<u64>,
}

impl Ourselves {
    /// `resolved` are the addresses that the DNS gives for the members' names, as far as it does.
    pub(crate) fn new(members: &[MemberHost], resolved: &HashMap<String, Vec<IpAddr>>) -> Self {
        let mut ourselves = Self::default();
        for member in members {
            ourselves.add_host(&member.peer_host, member.id, resolved);
            match &member.mail {
                Some(mail) => {
                    ourselves.add_host(&mail.hostname, member.id, resolved);
                    let addresses = mail.addresses.iter().map(IpAddr::to_canonical);
                    ourselves
                        .addresses
                        .extend(addresses.map(|address| (address, member.id)));
                }
                None => ourselves.untold.push(member.id),
            }
        }
        ourselves
    }

    /// Every name that may have addresses in the DNS.
    pub(crate) fn names_of(members: &[MemberHost]) -> Vec<String> {
        let told = members.iter().filter_map(|member| member.mail.as_ref());
        let mut names: Vec<String> = told
            .map(|mail| &mail.hostname)
            .chain(members.iter().map(|member| &member.peer_host))
            .map(|host| normal(host))
            .filter(|host| literal(host).is_none())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn add_host(&mut self, host: &str, id: u64, resolved: &HashMap<String, Vec<IpAddr>>) {
        let host = normal(host);
        if let Some(address) = literal(&host) {
            self.addresses.insert(address.to_canonical(), id);
            return;
        }
        let addresses = resolved.get(&host).into_iter().flatten();
        let addresses = addresses.map(|address| (address.to_canonical(), id));
        self.addresses.extend(addresses);
        self.names.insert(host, id);
    }

    /// The member that a host is, by its name or one of its addresses.
    pub(crate) fn member_at(&self, name: &str, addresses: &[IpAddr]) -> Option<u64> {
        let by_name = self.names.get(&normal(name));
        let mut addresses = addresses.iter().map(IpAddr::to_canonical);
        let by_address = || addresses.find_map(|address| self.addresses.get(&address));
        by_name.or_else(by_address).copied()
    }

    /// Why a server that introduces itself so is this cluster, or may be: these are the first lines of
    /// its greeting and of its reply to EHLO.
    pub(crate) fn recognise<'l>(&self, lines: impl IntoIterator<Item = &'l str>) -> Option<String> {
        let mut lines = lines.into_iter();
        lines.find_map(|line| self.named_by(line).or_else(|| self.untold_by(line)))
    }

    /// Why a server that introduces itself so is a Layover, and a node of this cluster. Whatever else has a node's name
    /// may run beside it.
    pub(crate) fn node_of(&self, line: &str) -> Option<String> {
        let is_layover = line.ends_with(GREETING_OF_LAYOVER);
        is_layover.then(|| self.named_by(line)).flatten()
    }

    fn named_by(&self, line: &str) -> Option<String> {
        let name = normal(line.split_whitespace().next().unwrap_or_default());
        let id = self.names.get(&name)?;
        Some(format!(
            "it introduces itself as {name}, which is node {id} of this cluster"
        ))
    }

    fn untold_by(&self, line: &str) -> Option<String> {
        let id = self.untold.first()?;
        line.ends_with(GREETING_OF_LAYOVER).then(|| {
            format!(
                "it is a Layover, and may be node {id} of this cluster, which has not told its name since \
                 this node was started"
            )
        })
    }
}

/// Names are compared in lower case and without a trailing dot.
fn normal(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower.strip_suffix('.').map(str::to_owned).unwrap_or(lower)
}

/// An address instead of a name, in brackets or without.
fn literal(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use spool::ports::MailHost;

    use super::*;

    fn member(id: u64, peer_host: &str, mail: Option<(&str, &[&str])>) -> MemberHost {
        let mail = mail.map(|(hostname, addresses)| MailHost {
            hostname: hostname.to_owned(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        });
        MemberHost {
            id,
            peer_host: peer_host.to_owned(),
            mail,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_member_is_known_by_each_of_its_names_and_addresses() {
        let members = [
            member(1, "10.0.0.1", Some(("MX1.example.net", &["192.0.2.1"]))),
            member(2, "mx2.internal", Some(("mx2.example.net", &[]))),
        ];
        assert_eq!(
            Ourselves::names_of(&members),
            ["mx1.example.net", "mx2.example.net", "mx2.internal"]
        );
        let resolved = [("mx2.example.net".to_owned(), vec![ip("2001:db8::2")])].into();
        let ourselves = Ourselves::new(&members, &resolved);
        assert_eq!(ourselves.member_at("mx1.EXAMPLE.net.", &[]), Some(1));
        assert_eq!(ourselves.member_at("mx2.internal", &[]), Some(2));
        for (address, id) in [
            ("10.0.0.1", 1),
            ("192.0.2.1", 1),
            ("::ffff:192.0.2.1", 1),
            ("2001:db8::2", 2),
        ] {
            let addresses = [ip("198.51.100.1"), ip(address)];
            assert_eq!(ourselves.member_at("alias.test", &addresses), Some(id));
        }
        assert_eq!(
            ourselves.member_at("mail.example.com", &[ip("192.0.2.10")]),
            None
        );
    }

    #[test]
    fn a_server_that_introduces_itself_by_one_of_our_names_is_ourselves() {
        let members = [member(1, "mx1.internal", Some(("mx1.example.net", &[])))];
        let ourselves = Ourselves::new(&members, &HashMap::new());
        let lines = ["load-balancer.test ESMTP", "Mx1.Example.net greets you"];
        assert!(ourselves.recognise(lines).is_some());
        assert_eq!(
            ourselves.recognise(["mail.example.com ESMTP Layover", ""]),
            None
        );
    }

    #[test]
    fn what_has_a_nodes_name_and_is_no_layover_may_run_beside_it() {
        let members = [
            member(1, "mx1.internal", Some(("mx1.example.net", &[]))),
            member(2, "mx2.internal", None),
        ];
        let ourselves = Ourselves::new(&members, &HashMap::new());
        let node = ourselves.node_of("mx1.example.net ESMTP Layover");
        assert!(node.unwrap().contains("node 1"));
        assert_eq!(ourselves.node_of("mx1.example.net ESMTP Postfix"), None);
        assert_eq!(ourselves.node_of("backup.test ESMTP Layover"), None);
    }

    #[test]
    fn a_layover_is_ourselves_as_long_as_a_member_has_not_told_its_name() {
        let members = [
            member(1, "mx1.internal", Some(("mx1.example.net", &[]))),
            member(2, "mx2.internal", None),
        ];
        let ourselves = Ourselves::new(&members, &HashMap::new());
        let why = ourselves.recognise(["backup.test ESMTP Layover"]);
        assert!(why.unwrap().contains("may be node 2"));
        assert_eq!(
            ourselves.recognise(["mail.example.com ESMTP Postfix"]),
            None
        );
    }
}
