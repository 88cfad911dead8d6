//! What the nodes greet with, and call themselves in EHLO (RFC 5321 section 4.1.1.1).

use std::net::IpAddr;

use spool::ports::MemberHost;

use crate::doctor::{Check, Finding, Node};

/// Whether each member has a name that others can look up, and that is its own.
#[must_use]
pub fn names(members: &[MemberHost]) -> Vec<Finding> {
    let nodes = Node::all(members);
    let findings = members.iter().map(|member| {
        let check = Check::of("helo", format!("node {}", member.id));
        match nodes.iter().find(|node| node.id == member.id) {
            Some(node) => of_node(&check, node, &nodes),
            None => check.skipped(
                "it has not told its name since the asked node was started: look whether it runs, and ask again",
            ),
        }
    });
    findings.collect()
}

fn of_node(check: &Check, node: &Node, nodes: &[Node]) -> Finding {
    let name = &node.hostname;
    let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    if is_address || !name.trim_end_matches('.').contains('.') {
        return check.problem(format!(
            "it calls itself {name}, which no receiver can look up: give it its name in the DNS, with its domain, \
             as [node] hostname"
        ));
    }
    let mut others = nodes.iter().filter(|other| other.id != node.id);
    match others.find(|other| other.hostname == *name) {
        Some(other) => check.problem(format!(
            "it calls itself {name}, as node {} does: give each node a name of its own as [node] hostname",
            other.id
        )),
        None => check.fine(format!("it calls itself {name}")),
    }
}

#[cfg(test)]
mod tests {
    use spool::ports::MailHost;

    use super::*;
    use crate::doctor::Verdict;

    fn member(id: u64, hostname: Option<&str>) -> MemberHost {
        MemberHost {
            id,
            peer_host: "10.0.0.1".to_owned(),
            mail: hostname.map(|hostname| MailHost {
                hostname: hostname.to_owned(),
                addresses: Vec::new(),
            }),
        }
    }

    #[test]
    fn each_node_needs_a_whole_name_of_its_own() {
        let members = [
            member(1, Some("MX1.example.net")),
            member(2, Some("mx2")),
            member(3, Some("192.0.2.3")),
            member(4, None),
            member(5, Some("mx1.example.net")),
        ];
        let found = names(&members);
        let verdicts: Vec<Verdict> = found.iter().map(|finding| finding.verdict).collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Problem,
                Verdict::Problem,
                Verdict::Problem,
                Verdict::Skipped,
                Verdict::Problem
            ]
        );
        assert!(found[0].text.contains("as node 5 does"), "{found:?}");
        let [alone] = &names(&members[..1])[..] else {
            panic!("one member, one finding");
        };
        assert_eq!(alone.verdict, Verdict::Fine);
    }
}
