use prometheus_client::registry::Registry;

use super::*;
use crate::inbound::{limits::CROWDED_CONNECTIONS_PER_MINUTE, tests};

fn admission(config: &Config) -> Arc<Admission> {
    Admission::new(config, Metrics::register(&mut Registry::default()))
}

fn of(max: usize, max_per_client: usize) -> Arc<Admission> {
    admission(&Config {
        max_connections: max,
        max_connections_per_ip: max_per_client,
        ..tests::config()
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl Admission {
    /// Lets a client in that connects without a proxy.
    fn admit(self: &Arc<Self>, from: &str) -> Result<Guest, Reason> {
        let place = self.enter(address(from)).ok_or(Reason::Full)?;
        place.seat(address(from))
    }
}

fn reason(admitted: Result<Guest, Reason>) -> Option<Reason> {
    admitted.err()
}

#[test]
fn places_are_limited_in_all_and_by_client_and_come_back() {
    let admission = of(3, 2);
    let first = admission.admit("192.0.2.1").unwrap();
    let second = admission.admit("::ffff:192.0.2.1").unwrap();
    assert_eq!(reason(admission.admit("192.0.2.1")), Some(Reason::PerIp));
    let third = admission.admit("192.0.2.2").unwrap();
    assert_eq!(reason(admission.admit("192.0.2.3")), Some(Reason::Full));
    drop(second);
    let fourth = admission.admit("192.0.2.3").unwrap();
    assert_eq!(admission.metrics.open.get(), 3);
    drop((first, third, fourth));
    assert_eq!(admission.metrics.open.get(), 0);
    assert_eq!(admission.metrics.refused(Reason::PerIp).get(), 1);
    let books = admission.books();
    assert!(books.all == 0 && books.clients.is_empty());
}

#[test]
fn a_64_is_one_client() {
    let admission = of(10, 1);
    let _first = admission.admit("2001:db8::1").unwrap();
    let again = reason(admission.admit("2001:db8::ffff:2"));
    assert_eq!(again, Some(Reason::PerIp));
    admission.admit("2001:db8:0:1::1").unwrap();
}

#[test]
fn all_sessions_of_a_client_share_its_places_for_evaluations() {
    let admission = of(10, 10);
    let [first, second, other] =
        ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|from| admission.admit(from).unwrap());
    assert!(Arc::ptr_eq(&first.evaluations(), &second.evaluations()));
    assert!(!Arc::ptr_eq(&first.evaluations(), &other.evaluations()));
}

#[test]
fn who_is_trusted_is_limited_only_with_all_others() {
    let admission = admission(&Config {
        max_connections: 3,
        max_connections_per_ip: 1,
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        ..tests::config()
    });
    let guests: Vec<Guest> = (0..3)
        .map(|_| admission.admit("192.0.2.1").unwrap())
        .collect();
    assert_eq!(reason(admission.admit("192.0.2.1")), Some(Reason::Full));
    assert!((0..100_000).all(|_| guests[0].may(Deed::Message)));
}

#[test]
fn places_are_short_from_80_percent_down_to_60() {
    let admission = of(10, 10);
    let mut guests = Vec::new();
    let mut is_short = |number: usize| {
        while guests.len() > number {
            guests.pop();
        }
        while guests.len() < number {
            guests.push(admission.admit("192.0.2.1").unwrap());
        }
        *admission.crowded.borrow()
    };
    let seen = [7, 8, 10, 7, 6, 7, 8, 0].map(&mut is_short);
    assert_eq!(seen, [false, true, true, true, false, false, true, false]);
}

#[test]
fn while_places_are_short_a_client_that_keeps_coming_back_is_refused() {
    let admission = of(5, 5);
    let guests = [(); 4].map(|()| admission.admit("192.0.2.2").unwrap());
    assert!(guests[0].crowd().is_short());
    let mut refused = None;
    let mut tries = 0;
    while refused.is_none() {
        tries += 1;
        refused = reason(admission.admit("192.0.2.1"));
    }
    assert_eq!(refused, Some(Reason::Rate));
    assert!(tries > CROWDED_CONNECTIONS_PER_MINUTE);
    admission.admit("192.0.2.3").unwrap();
}

#[test]
fn what_is_staged_and_unfinished_is_bounded_by_client_and_in_all() {
    let admission = of(1000, 1000);
    let guest = admission.admit("192.0.2.1").unwrap();
    let same = admission.admit("192.0.2.1").unwrap();
    assert!(guest.set_aside(UNFINISHED_PER_CLIENT_MAX));
    assert!(!same.set_aside(1));
    let others: Vec<Guest> = (2..5)
        .map(|last| admission.admit(&format!("192.0.2.{last}")).unwrap())
        .collect();
    for other in &others {
        assert!(other.set_aside(UNFINISHED_PER_CLIENT_MAX));
    }
    let late = admission.admit("192.0.2.9").unwrap();
    assert!(!late.set_aside(1));
    others[0].give_back(UNFINISHED_PER_CLIENT_MAX);
    assert!(late.set_aside(UNFINISHED_PER_CLIENT_MAX));
}
