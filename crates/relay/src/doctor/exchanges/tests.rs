use std::collections::HashMap;

use spool::Policy;
use spool::ports::{MailHost, MemberHost};

use super::*;
use crate::doctor::Verdict;

fn domain(primary: &str) -> Domain {
    let text = format!("[[domain]]\nname = \"example.com\"\n{primary}");
    let policy = Policy::parse(&text).unwrap();
    policy.domains[0].clone()
}

/// Three nodes, mx1 to mx3 at 192.0.2.1 to 192.0.2.3.
fn members() -> Vec<MemberHost> {
    let member = |id: u64| MemberHost {
        id,
        peer_host: format!("10.0.0.{id}"),
        mail: Some(MailHost {
            hostname: format!("mx{id}.example.net"),
            addresses: vec![ip(&format!("192.0.2.{id}"))],
        }),
    };
    (1..=3).map(member).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn exchange(preference: u16, name: &str, addresses: &[&str]) -> Exchange {
    Exchange {
        preference,
        name: name.to_owned(),
        addresses: Addresses::Known(addresses.iter().map(|address| ip(address)).collect()),
    }
}

fn node(preference: u16, id: u64) -> Exchange {
    exchange(
        preference,
        &format!("mx{id}.example.net"),
        &[&format!("192.0.2.{id}")],
    )
}

fn primary(preference: u16) -> Exchange {
    exchange(preference, "mail.example.com", &["192.0.2.10"])
}

fn judged(domain: &Domain, records: &Records) -> Vec<Finding> {
    let members = members();
    let ourselves = Ourselves::new(&members, &HashMap::new());
    let check = Check::of("mx", "example.com");
    judge(&check, domain, &Node::all(&members), records, &ourselves)
}

#[track_caller]
fn single(domain: &Domain, exchanges: Vec<Exchange>) -> Finding {
    let mut found = judged(domain, &Records::Exchanges(exchanges));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn all_nodes_behind_the_primary_are_fine_however_the_primary_is_found() {
    for named in [
        "",
        "primary = [\"mail.example.com\"]",
        "primary = [\"192.0.2.10:2525\"]",
    ] {
        let exchanges = vec![primary(10), node(20, 1), node(20, 2), node(20, 3)];
        let found = single(&domain(named), exchanges);
        assert_eq!(found.verdict, Verdict::Fine);
        assert_eq!(
            found.text,
            "its MX records name all 3 nodes (20), and in front of them mail.example.com (10)"
        );
    }
    // Whom the policy names need not be an MX host at all.
    let exchanges = vec![node(10, 1), node(10, 2), node(10, 3)];
    let found = single(&domain("primary = [\"mail.internal\"]"), exchanges);
    assert_eq!(found.verdict, Verdict::Fine);
}

#[test]
fn a_node_that_is_left_out_is_named_with_its_line() {
    let found = single(&domain(""), vec![primary(10), node(30, 1), node(30, 3)]);
    assert_eq!(found.verdict, Verdict::Problem);
    assert!(
        found.text.starts_with("node 2 (mx2.example.net)"),
        "{found:?}"
    );
    assert_eq!(found.zone, ["example.com. IN MX 30 mx2.example.net."]);
}

#[test]
fn a_domain_that_leads_to_the_primary_alone_is_given_all_lines() {
    let found = judged(&domain(""), &Records::Exchanges(vec![primary(10)]));
    let lines: Vec<&String> = found.iter().flat_map(|finding| &finding.zone).collect();
    assert_eq!(
        lines,
        [
            "example.com. IN MX 20 mx1.example.net.",
            "example.com. IN MX 20 mx2.example.net.",
            "example.com. IN MX 20 mx3.example.net."
        ]
    );
}

#[test]
fn unequal_preferences_are_made_what_most_have() {
    let exchanges = vec![primary(10), node(20, 1), node(30, 2), node(20, 3)];
    let found = single(&domain(""), exchanges);
    assert_eq!(found.verdict, Verdict::Problem);
    assert!(
        found
            .text
            .contains("(mx1.example.net 20, mx2.example.net 30, mx3.example.net 20)"),
        "{found:?}"
    );
    assert_eq!(found.zone, ["example.com. IN MX 20 mx2.example.net."]);
}

#[test]
fn nodes_in_front_of_their_primary_are_put_behind_it() {
    let exchanges = vec![node(10, 1), node(10, 2), node(10, 3), primary(10)];
    let named = single(
        &domain("primary = [\"mail.example.com\"]"),
        exchanges.clone(),
    );
    assert_eq!(named.verdict, Verdict::Problem);
    assert_eq!(
        named.zone,
        [
            "example.com. IN MX 20 mx1.example.net.",
            "example.com. IN MX 20 mx2.example.net.",
            "example.com. IN MX 20 mx3.example.net."
        ]
    );
    let by_mx = single(&domain(""), exchanges);
    assert_eq!(by_mx.verdict, Verdict::Problem);
    assert!(
        by_mx.text.contains("(mail.example.com (10) is not)"),
        "{by_mx:?}"
    );
}

#[test]
fn a_domain_without_mx_records_is_given_them() {
    for records in [
        Records::NoDomain,
        Records::Null,
        Records::Implicit(exchange(0, "example.com", &["192.0.2.10"])),
    ] {
        let found = judged(&domain(""), &records);
        assert_eq!(found[0].verdict, Verdict::Problem);
        assert_eq!(found[0].zone.len(), 3, "{found:?}");
    }
}

#[test]
fn one_name_for_all_nodes_is_pointed_out() {
    let all = exchange(
        20,
        "mx.example.net",
        &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    );
    let found = judged(&domain(""), &Records::Exchanges(vec![primary(10), all]));
    let verdicts: Vec<Verdict> = found.iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts, [Verdict::Warning; 3], "{found:?}");
}
