use std::collections::HashMap;

use proptest::prelude::*;
use spool::ports::{MailHost, MemberHost};

use super::*;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn exchange(preference: u16, name: &str, last: u8) -> Exchange {
    Exchange {
        preference,
        name: name.to_owned(),
        addresses: Addresses::Known(vec![ip(last)]),
    }
}

/// A cluster whose nodes 1 to 3 are mx1 to mx3 at 192.0.2.1 to 3.
fn cluster() -> Ourselves {
    let members: Vec<MemberHost> = (1..=3)
        .map(|id| MemberHost {
            id: u64::from(id),
            peer_host: format!("mx{id}.internal"),
            mail: Some(MailHost {
                hostname: format!("mx{id}.example.net"),
                addresses: vec![ip(id)],
            }),
        })
        .collect();
    Ourselves::new(&members, &HashMap::new())
}

fn used(exchanges: &[Exchange]) -> Vec<String> {
    let weighed = weigh(exchanges, &cluster());
    let hosts = in_turn(&weighed, |_| false, |count| count - 1);
    hosts.into_iter().map(|host| host.name).collect()
}

#[test]
fn hosts_more_preferred_than_the_cluster_are_used_in_their_order() {
    let exchanges = [
        exchange(20, "mx1.example.net", 1),
        exchange(15, "second.example.com", 11),
        exchange(20, "mx2.example.net", 2),
        exchange(10, "mail.example.com", 10),
        exchange(30, "elsewhere.test", 30),
    ];
    assert_eq!(used(&exchanges), ["mail.example.com", "second.example.com"]);
}

#[test]
fn the_most_preferred_of_all_members_counts() {
    // Node 1 at 40 must not send to node 2 at 10, nor to what stands between them.
    let exchanges = [
        exchange(40, "mx1.example.net", 1),
        exchange(10, "mx2.example.net", 2),
        exchange(20, "mail.example.com", 10),
    ];
    assert!(used(&exchanges).is_empty());
}

#[test]
fn a_host_of_the_clusters_own_preference_is_not_used() {
    let exchanges = [
        exchange(10, "mail.example.com", 10),
        exchange(10, "mx1.example.net", 1),
    ];
    assert!(used(&exchanges).is_empty());
}

#[test]
fn a_member_under_another_name_is_known_by_its_address() {
    let exchanges = [
        exchange(20, "backup.example.com", 3),
        exchange(30, "elsewhere.test", 30),
    ];
    assert!(used(&exchanges).is_empty());
}

#[test]
fn a_host_that_may_be_ourselves_keeps_out_those_behind_it() {
    let unknown = Exchange {
        addresses: Addresses::Untold("no answer".to_owned()),
        ..exchange(10, "a.example.com", 0)
    };
    let exchanges = [
        unknown,
        exchange(10, "b.example.com", 10),
        exchange(20, "c.example.com", 11),
    ];
    assert_eq!(used(&exchanges), ["b.example.com"]);
}

#[test]
fn a_route_is_told_in_words() {
    let exchanges = [
        exchange(20, "mx1.example.net", 1),
        exchange(20, "mx9.example.net", 9),
        Exchange {
            addresses: Addresses::Known(vec![ip(10), "2001:db8::10".parse().unwrap()]),
            ..exchange(10, "mail.example.com", 0)
        },
        Exchange {
            addresses: Addresses::Known(Vec::new()),
            ..exchange(5, "old.example.com", 0)
        },
    ];
    let words: Vec<String> = weigh(&exchanges, &cluster())
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        words,
        [
            "old.example.com (5) has no address",
            "mail.example.com (10) -> 192.0.2.10, [2001:db8::10]",
            "mx1.example.net (20) is this cluster itself (node 1)",
            "mx9.example.net (20) is not more preferred than what is, or may be, this cluster",
        ]
    );
}

/// A few preferences and hosts, some of them ours, so that they meet.
fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    let addresses = prop_oneof![
        6 => prop::collection::vec((1u8..12).prop_map(ip), 1..3).prop_map(Addresses::Known),
        1 => Just(Addresses::Known(Vec::new())),
        1 => Just(Addresses::Untold("no answer".to_owned())),
    ];
    let name = (1u8..12).prop_map(|number| format!("mx{number}.example.net"));
    let one = (0u16..6, name, addresses).prop_map(|(preference, name, addresses)| Exchange {
        preference,
        name,
        addresses,
    });
    prop::collection::vec(one, 0..8)
}

fn is_ours(exchange: &Exchange) -> bool {
    let by_address = match &exchange.addresses {
        Addresses::Known(addresses) => addresses.iter().any(|a| [ip(1), ip(2), ip(3)].contains(a)),
        Addresses::Untold(_) => false,
    };
    by_address
        || ["mx1.", "mx2.", "mx3."]
            .iter()
            .any(|ours| exchange.name.starts_with(ours))
}

proptest! {
    #[test]
    fn no_mail_goes_to_a_member_nor_to_a_host_that_is_not_more_preferred(
        exchanges in exchanges(),
        draws in prop::collection::vec(any::<usize>(), 32),
    ) {
        let weighed = weigh(&exchanges, &cluster());
        prop_assert_eq!(weighed.len(), exchanges.len());
        let ours = exchanges.iter().filter(|e| is_ours(e)).map(|e| e.preference).min();
        let mut draws = draws.into_iter().cycle();
        let hosts = in_turn(&weighed, |_| false, |count| draws.next().unwrap_or(0) % count);
        for host in &weighed {
            if let Fate::Used(_) = host.fate {
                prop_assert!(ours.is_none_or(|ours| host.preference < ours));
            }
        }
        // Every host that may be used is, in order of preference, with nothing but its own addresses.
        let usable = weighed.iter().filter(|host| matches!(host.fate, Fate::Used(_))).count();
        prop_assert_eq!(hosts.len(), usable);
        let mut last = 0;
        for Turn { name, addresses, .. } in &hosts {
            let addresses = Addresses::Known(addresses.clone());
            let named = exchanges.iter().filter(|e| {
                e.name == *name && e.addresses == addresses && !is_ours(e) && e.preference >= last
            });
            // One name may stand there several times.
            let preference = named.map(|e| e.preference).min();
            prop_assert!(preference.is_some(), "{name} out of order");
            last = preference.unwrap_or(last);
        }
    }

    #[test]
    fn hosts_of_one_preference_come_in_every_order(seed in any::<u64>()) {
        let exchanges: Vec<Exchange> =
            (10..14).map(|last| exchange(10, &format!("mail{last}.example.com"), last)).collect();
        let weighed = weigh(&exchanges, &cluster());
        let mut first: Vec<String> = (0..4)
            .map(|number| {
                let mut draw = |count: usize| match count {
                    4 => number,
                    _ => usize::try_from(seed % count as u64).unwrap_or(0),
                };
                // The drawn one goes last of all.
                in_turn(&weighed, |_| false, &mut draw).pop().map(|host| host.name).unwrap_or_default()
            })
            .collect();
        first.sort_unstable();
        let names: Vec<String> = exchanges.into_iter().map(|e| e.name).collect();
        prop_assert_eq!(first, names);
    }

    #[test]
    fn whoever_may_be_ourselves_is_asked_before_its_equals(
        draws in prop::collection::vec(any::<usize>(), 8),
    ) {
        let mut exchanges: Vec<Exchange> =
            (10..14).map(|last| exchange(10, &format!("mail{last}.example.com"), last)).collect();
        exchanges.push(exchange(5, "mail9.example.com", 9));
        let weighed = weigh(&exchanges, &cluster());
        let mut draws = draws.into_iter().cycle();
        let doubted = ["mail9.example.com", "mail12.example.com", "mail13.example.com"];
        let is_doubted = |name: &str| doubted.contains(&name);
        let hosts = in_turn(&weighed, is_doubted, |count| draws.next().unwrap_or(0) % count);
        prop_assert_eq!(&hosts[0].name, doubted[0]);
        prop_assert!(hosts[1..3].iter().all(|host| doubted.contains(&&*host.name)), "{hosts:?}");
        // The first of its preference is asked in any case.
        let are_met_first: Vec<bool> = hosts.iter().map(|host| host.is_met_first).collect();
        prop_assert_eq!(are_met_first, [false, false, true, false, false]);
    }
}
