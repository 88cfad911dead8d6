//! Routes by a name server that says what it is told to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use spool::Policy;
use spool::policy::DEFAULT_SMTP_PORT;
use spool::ports::{MailHost, MemberHost};

use super::*;
use crate::dns::tests::name_server::{Data, NameServer};
use crate::dns::tests::{asking_nobody, asking_of};
use crate::outbound::limits::Timeouts;
use crate::outbound::probe::{Step, probe};
use crate::outbound::tests::primary::{Act, Moment, Primary, Script};
use crate::outbound::tls::Connectors;
use crate::route::limits::SENDERS_HOSTS_MAX;

/// A cluster of nobody, and a DNS of nobody: for primaries that the policy names.
pub(crate) fn routes_without_dns() -> Arc<Routes> {
    Arc::new(Routes::new(asking_nobody(), Arc::new(Cluster(Vec::new()))))
}

/// A cluster of nobody that asks this name server.
pub(crate) async fn routes_by(server: &NameServer) -> Arc<Routes> {
    let nobody = Arc::new(Cluster(Vec::new()));
    Arc::new(Routes::new(asking_of(server).await, nobody))
}

/// Without a DNS, in a cluster of nodes with these names.
pub(crate) fn routes_of_members(hostnames: &[&str]) -> Arc<Routes> {
    let members = hostnames.iter().zip(1..).map(|(hostname, id)| MemberHost {
        id,
        peer_host: "10.0.0.1".to_owned(),
        mail: Some(MailHost {
            hostname: (*hostname).to_owned(),
            addresses: Vec::new(),
        }),
    });
    let cluster = Cluster(members.collect());
    Arc::new(Routes::new(asking_nobody(), Arc::new(cluster)))
}

struct Cluster(Vec<MemberHost>);

impl Members for Cluster {
    fn members(&self) -> Vec<MemberHost> {
        self.0.clone()
    }
}

/// A cluster whose only node is mx1.example.net.
fn cluster() -> Arc<Cluster> {
    Arc::new(Cluster(vec![MemberHost {
        id: 1,
        peer_host: "10.0.0.1".to_owned(),
        mail: Some(MailHost {
            hostname: "mx1.example.net".to_owned(),
            addresses: Vec::new(),
        }),
    }]))
}

fn domain() -> Domain {
    let text = "[[domain]]\nname = \"example.com\"\n";
    Policy::parse(text).unwrap().domains[0].clone()
}

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

/// A name server that knows a primary behind which the cluster stands.
fn name_server() -> NameServer {
    let server = NameServer::start();
    let exchanges = [
        Data::Mx(20, "mx1.example.net"),
        Data::Mx(10, "mail.example.com"),
    ];
    server.tell("example.com", &exchanges);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
    server.tell("mail.example.com", &[Data::A(v4(10)), Data::Aaaa(v6)]);
    server.tell("mx1.example.net", &[Data::A(v4(1))]);
    server
}

async fn routes(server: &NameServer) -> Routes {
    Routes::new(asking_of(server).await, cluster())
}

/// Makes what is known too old to be gone by.
async fn age(routes: &Routes) {
    let known = routes.known("example.com");
    let mut known = known.lock().await;
    let (at, was_told) = known.asked.unwrap();
    known.asked = Some((at - Duration::from_secs(3600), was_told));
}

async fn found(routes: &Routes) -> String {
    match routes.find(&domain()).await {
        Ok(route) => route.to_string(),
        Err(none) => none.to_string(),
    }
}

#[tokio::test]
async fn hosts_that_the_policy_names_are_the_route() {
    let mut named = domain();
    named.primary = vec!["127.0.0.1:2526".to_owned(), "localhost:2527".to_owned()];
    let route = routes_without_dns().find(&named).await.unwrap();
    assert_eq!(route.to_string(), "127.0.0.1:2526, localhost:2527");
    let loopback = IpAddr::from([127, 0, 0, 1]);
    for host in route.hosts() {
        assert!(host.is_at(loopback).await, "{host:?}");
        assert!(!host.is_at(IpAddr::from([127, 0, 0, 2])).await, "{host:?}");
    }
    named.primary = vec!["primary.invalid:25".to_owned()];
    let route = routes_without_dns().find(&named).await.unwrap();
    assert!(!route.hosts()[0].is_at(loopback).await);
}

#[tokio::test]
async fn mx_hosts_in_front_of_the_cluster_are_the_route() {
    let server = name_server();
    let route = routes(&server).await.find(&domain()).await.unwrap();
    assert_eq!(
        route.to_string(),
        "mail.example.com (10) -> 192.0.2.10, [2001:db8::10]; \
         mx1.example.net (20) is this cluster itself (node 1)"
    );
    let [host] = route.hosts() else {
        panic!("{route:?}");
    };
    assert_eq!(host.name, "mail.example.com:25");
    let addresses = ["192.0.2.10:25", "[2001:db8::10]:25"].map(|a| a.parse().unwrap());
    assert_eq!(host.addresses().await.unwrap(), addresses);
    assert!(host.is_at(v4(10).into()).await);
}

#[tokio::test]
async fn a_member_is_known_by_the_addresses_that_its_name_has() {
    let server = name_server();
    server.tell(
        "example.com",
        &[
            Data::Mx(5, "backup.example.com"),
            Data::Mx(10, "mail.example.com"),
        ],
    );
    server.tell("backup.example.com", &[Data::Cname("mx1.example.net")]);
    let found = found(&routes(&server).await).await;
    assert!(
        found.starts_with(
            "no route: backup.example.com (5) is this cluster itself (node 1); mail.example.com (10) is not more"
        ),
        "{found}"
    );
}

#[tokio::test]
async fn a_domain_without_mx_records_is_its_own_host() {
    let server = name_server();
    server.tell("example.com", &[Data::A(v4(7))]);
    let routes = routes(&server).await;
    assert_eq!(found(&routes).await, "example.com (0) -> 192.0.2.7");
    server.tell("example.com", &[Data::Cname("mx1.example.net")]);
    age(&routes).await;
    let found = found(&routes).await;
    let ourselves = "no route: example.com (0) is this cluster itself (node 1); ";
    assert!(found.starts_with(ourselves), "{found}");
}

#[tokio::test]
async fn a_domain_whose_mx_records_are_gone_is_not_its_own_host() {
    let server = name_server();
    let routes = routes(&server).await;
    let before = found(&routes).await;
    server.tell("example.com", &[Data::A(v4(7))]);
    age(&routes).await;
    assert_eq!(found(&routes).await, before);
    server.tell("example.com", &[Data::Mx(5, "mail.example.com")]);
    age(&routes).await;
    let now = found(&routes).await;
    assert!(now.starts_with("mail.example.com (5) -> "), "{now}");
}

#[tokio::test]
async fn an_alias_of_a_domain_is_followed_to_its_mx_records() {
    let server = name_server();
    server.tell("example.com", &[Data::Cname("elsewhere.test")]);
    server.tell("elsewhere.test", &[Data::Mx(10, "mail.example.com")]);
    let found = found(&routes(&server).await).await;
    assert!(
        found.starts_with("mail.example.com (10) -> 192.0.2.10"),
        "{found}"
    );
}

#[tokio::test]
async fn a_domain_that_takes_no_mail_or_is_not_there_has_no_route_and_gets_one_again() {
    let server = name_server();
    let routes = routes(&server).await;
    server.tell("example.com", &[Data::Mx(0, ".")]);
    assert_eq!(
        routes.find(&domain()).await.unwrap_err(),
        NoRoute::Null("example.com".to_owned())
    );
    server.forget("example.com");
    age(&routes).await;
    assert_eq!(
        routes.find(&domain()).await.unwrap_err(),
        NoRoute::NoDomain("example.com".to_owned())
    );
    server.tell("example.com", &[Data::Mx(10, "mail.example.com")]);
    age(&routes).await;
    routes.find(&domain()).await.unwrap();
}

#[tokio::test]
async fn while_the_dns_does_not_tell_its_last_answer_counts() {
    let server = name_server();
    let routes = routes(&server).await;
    let before = found(&routes).await;
    server.fail("example.com");
    age(&routes).await;
    assert_eq!(found(&routes).await, before);
    // The hosts of an answer that came, too.
    server.tell("example.com", &[Data::Mx(10, "mail.example.com")]);
    server.fail("mail.example.com");
    age(&routes).await;
    let now = found(&routes).await;
    assert!(
        now.starts_with("mail.example.com (10) -> 192.0.2.10"),
        "{now}"
    );
}

#[tokio::test]
async fn without_any_answer_there_is_no_route() {
    let server = name_server();
    server.fail("example.com");
    assert_eq!(
        routes(&server).await.find(&domain()).await.unwrap_err(),
        NoRoute::Unanswered("example.com".to_owned())
    );
}

#[tokio::test]
async fn an_answer_is_gone_by_for_a_while() {
    let server = name_server();
    let routes = routes(&server).await;
    let before = found(&routes).await;
    let asked = server.asked().len();
    server.tell("example.com", &[Data::Mx(0, ".")]);
    assert_eq!(found(&routes).await, before);
    assert_eq!(server.asked().len(), asked);
}

#[tokio::test]
async fn senders_who_can_never_be_reached_are_told_from_those_who_may_be_later() {
    let server = name_server();
    server.tell("null.example", &[Data::Mx(0, ".")]);
    server.fail("broken.example");
    server.ignore("silent.example");
    server.tell("empty.example", &[]);
    let lost = [
        Data::Mx(10, "mail.lost.example"),
        Data::Mx(20, "gone.example"),
    ];
    server.tell("lost.example", &lost);
    server.tell("mail.lost.example", &[]);
    let unknown = [Data::Mx(10, "gone.example"), Data::Mx(20, "broken.example")];
    server.tell("unknown.example", &unknown);
    server.tell("ours.example", &[Data::Mx(10, "mx1.example.net")]);
    let routes = routes(&server).await;
    let connectors = Connectors::new();
    let terms = terms(&routes, &connectors);
    for (domain, expected) in [
        ("null.example", Some("5.1.10 ")),
        ("nowhere.example", Some("5.1.2 ")),
        ("[192.0.2.1]", Some("5.1.8 ")),
        ("empty.example", Some("5.4.4 ")),
        ("lost.example", Some("5.4.4 ")),
        ("broken.example", None),
        ("silent.example", None),
        ("unknown.example", None),
        ("ours.example", None),
    ] {
        let unreached = routes.connect_to_sender(domain, terms).await.unwrap_err();
        match (expected, unreached) {
            (Some(code), Unreached::Never(why)) => assert!(why.starts_with(code), "{why}"),
            (None, Unreached::NotNow(_)) => {}
            (_, other) => panic!("{domain}: {other:?}"),
        }
    }
}

fn terms<'a>(routes: &'a Routes, connectors: &'a Connectors) -> Terms<'a> {
    Terms {
        hostname: "mx1.example.net",
        tls: spool::policy::Tls::Opportunistic,
        connectors,
        dns: routes.dns(),
        timeouts: Timeouts::STANDARD,
        share: None,
    }
}

/// MX records name no port, so this takes port 25 of a loopback address, which only root may listen on.
fn at_port_25(address: [u8; 4]) -> Option<SocketAddr> {
    let address = SocketAddr::from((address, DEFAULT_SMTP_PORT));
    match std::net::TcpListener::bind(address) {
        Ok(_) => Some(address),
        Err(error) => {
            println!("skipped: {address} can not be listened on ({error}); run the tests as root");
            None
        }
    }
}

#[tokio::test]
async fn a_host_that_introduces_itself_by_our_name_gets_no_connection() {
    let Some(address) = at_port_25([127, 25, 1, 1]) else {
        return;
    };
    let server = name_server();
    let exchanges = [
        Data::Mx(10, "mail.example.com"),
        Data::Mx(15, "backup.example.com"),
        Data::Mx(20, "mx1.example.net"),
    ];
    server.tell("example.com", &exchanges);
    let it = [Data::A(Ipv4Addr::new(127, 25, 1, 1))];
    server.tell("mail.example.com", &it);
    // It would send the mail back.
    server.tell("backup.example.com", &it);
    let at_first: Script = Arc::new(|connection, moment| match moment {
        Moment::Ehlo if connection == 1 => Act::Say("250 MX1.example.net. at your service"),
        _ => Act::Usual,
    });
    let _primary = Primary::start(address, at_first, None).await;
    let routes = routes(&server).await;
    let connectors = Connectors::new();
    let terms = terms(&routes, &connectors);
    let why = routes.connect(&domain(), terms).await.unwrap_err().words;
    assert_eq!(
        why,
        "no route: mail.example.com:25: it introduces itself as mx1.example.net, which is node 1 of this cluster"
    );
    let connection = routes.connect(&domain(), terms).await.unwrap();
    assert_eq!(connection.host, "mail.example.com:25");
}

/// A name server that knows two equal primaries, at 127.25.LAST.1 and 127.25.LAST.2.
fn server_of_equals(last: u8) -> NameServer {
    let server = NameServer::start();
    let exchanges = [
        Data::Mx(10, "one.example.com"),
        Data::Mx(10, "two.example.com"),
    ];
    server.tell("example.com", &exchanges);
    for (number, name) in [(1, "one.example.com"), (2, "two.example.com")] {
        server.tell(name, &[Data::A(Ipv4Addr::new(127, 25, last, number))]);
    }
    server
}

#[tokio::test]
async fn no_host_is_used_before_its_equals_are_known_not_to_be_this_cluster() {
    let addresses = [[127, 25, 2, 1], [127, 25, 2, 2]].map(at_port_25);
    let [Some(one), Some(two)] = addresses else {
        return;
    };
    // A node of ours, by a name and an address that nobody has told of.
    let ours: Script = Arc::new(|_, moment| match moment {
        Moment::Ehlo => Act::Say("250 mx1.example.net at your service"),
        _ => Act::Usual,
    });
    let stranger: Script = Arc::new(|_, _| Act::Usual);
    let _ours = Primary::start(one, ours, None).await;
    let _stranger = Primary::start(two, stranger, None).await;
    let server = server_of_equals(2);
    let connectors = Connectors::new();
    // The order is drawn anew each time.
    for _ in 0..8 {
        let routes = routes(&server).await;
        let terms = terms(&routes, &connectors);
        let why = routes.connect(&domain(), terms).await.unwrap_err().words;
        assert_eq!(
            why,
            "no route: one.example.com:25: it introduces itself as mx1.example.net, which is node 1 of this cluster"
        );
        let mut told = Vec::new();
        let tell = |step: Step| told.push(step.words);
        let is_ready = probe(&domain(), &routes, "mx1.example.net", tell).await;
        assert!(!is_ready, "{told:?}");
    }
}

#[tokio::test]
async fn a_host_that_rests_is_used_when_one_behind_it_is_this_cluster() {
    let addresses = [[127, 25, 5, 1], [127, 25, 5, 2]].map(at_port_25);
    let [Some(one), Some(two)] = addresses else {
        return;
    };
    let ours: Script = Arc::new(|_, moment| match moment {
        Moment::Ehlo => Act::Say("250 mx1.example.net at your service"),
        _ => Act::Usual,
    });
    let _stranger = Primary::start(one, Arc::new(|_, _| Act::Usual), None).await;
    let _ours = Primary::start(two, ours, None).await;
    let server = server_of_equals(5);
    let exchanges = [
        Data::Mx(10, "one.example.com"),
        Data::Mx(20, "two.example.com"),
    ];
    server.tell("example.com", &exchanges);
    let routes = routes(&server).await;
    // What is noted before the first look at the DNS is forgotten with it.
    routes.find(&domain()).await.unwrap();
    let known = routes.known("example.com");
    known
        .lock()
        .await
        .met
        .note("one.example.com:25", Meeting::Mute(Instant::now()));
    let route = routes.find(&domain()).await.unwrap();
    assert_eq!(route.hosts()[0].name, "two.example.com:25");
    let connectors = Connectors::new();
    let terms = terms(&routes, &connectors);
    let connection = routes.connect(&domain(), terms).await.unwrap();
    assert_eq!(connection.host, "one.example.com:25");
}

#[tokio::test]
async fn equal_hosts_are_met_once_and_one_that_is_down_holds_up_none() {
    let addresses = [[127, 25, 3, 1], [127, 25, 3, 2]].map(at_port_25);
    let [Some(one), Some(two)] = addresses else {
        return;
    };
    let usual: Script = Arc::new(|_, _| Act::Usual);
    let first = Primary::start(one, Arc::clone(&usual), None).await;
    let server = server_of_equals(3);
    let connectors = Connectors::new();
    let routes = routes(&server).await;
    let terms = terms(&routes, &connectors);
    let connection = routes.connect(&domain(), terms).await.unwrap();
    assert_eq!(connection.host, "one.example.com:25");
    let known = routes.known("example.com");
    let is_doubted = async |host| known.lock().await.met.is_doubted(host);
    assert!(!is_doubted("one.example.com:25").await);
    assert!(!is_doubted("two.example.com:25").await);
    // From now on each may be the first, and no other is connected to for its sake.
    let second = Primary::start(two, usual, None).await;
    let connections = || [&first, &second].map(|primary| primary.log.lock().unwrap().connections);
    let before: usize = connections().iter().sum();
    for _ in 0..8 {
        routes.connect(&domain(), terms).await.unwrap();
    }
    assert_eq!(connections().iter().sum::<usize>(), before + 8);
}

#[tokio::test]
async fn how_a_route_comes_about_is_told_in_words() {
    let server = name_server();
    let exchanges = [
        Data::Mx(10, "mail.example.com"),
        Data::Mx(10, "other.example.com"),
        Data::Mx(20, "mx1.example.net"),
        Data::Mx(20, "elsewhere.test"),
        Data::Mx(30, "last.test"),
    ];
    server.tell("example.com", &[Data::Cname("real.test")]);
    server.tell("real.test", &exchanges);
    for (name, last) in [
        ("other.example.com", 11),
        ("elsewhere.test", 12),
        ("last.test", 13),
    ] {
        server.tell(name, &[Data::A(v4(last))]);
    }
    let routes = routes(&server).await;
    let mut words = routes.explain(&domain()).await;
    let drawn = words.pop().unwrap();
    assert_eq!(
        words,
        [
            "example.com has 5 MX hosts",
            "example.com is an alias (CNAME) of real.test",
            "mail.example.com (10) -> 192.0.2.10, [2001:db8::10]",
            "other.example.com (10) -> 192.0.2.11",
            "elsewhere.test (20) is not more preferred than what is, or may be, this cluster",
            "mx1.example.net (20) is this cluster itself (node 1)",
            "last.test (30) is not more preferred than what is, or may be, this cluster",
            "mail.example.com and other.example.com are equal: which of them comes first is drawn for each \
             connection",
        ]
    );
    let hosts = ["mail.example.com:25", "other.example.com:25"];
    let [first, second] = hosts;
    let orders = [(first, second), (second, first)];
    assert!(
        orders
            .map(|(a, b)| format!("mail goes to {a}, then {b}"))
            .contains(&drawn),
        "{drawn}"
    );

    server.fail("example.com");
    age(&routes).await;
    let words = routes.explain(&domain()).await;
    let told = "the DNS does not tell now who takes the mail of example.com (";
    assert!(words[0].starts_with(told), "{words:?}");
    assert!(
        words[0].contains("its last answer counts, which is "),
        "{words:?}"
    );
    assert!(
        words.contains(&"example.com has 5 MX hosts".to_owned()),
        "{words:?}"
    );
}

#[tokio::test]
async fn that_there_is_no_route_is_told_with_what_becomes_of_the_mail() {
    let server = name_server();
    let cases: [(&[Data], &str); 4] = [
        (&[Data::Mx(0, ".")], "example.com has a null MX record"),
        (
            &[Data::Mx(10, "mx1.example.net")],
            "mx1.example.net (10) is this cluster itself (node 1)",
        ),
        (
            &[Data::Cname("mx1.example.net")],
            "example.com has no MX record, so it is its own host",
        ),
        (
            &[Data::Mx(10, "empty.test")],
            "empty.test (10) has no address",
        ),
    ];
    server.tell("empty.test", &[]);
    for (records, told) in cases {
        server.tell("example.com", records);
        let words = routes(&server).await.explain(&domain()).await;
        assert!(words.iter().any(|said| said.contains(told)), "{words:?}");
        let last = words.last().unwrap();
        assert!(last.starts_with("no route: "), "{words:?}");
        assert!(
            last.ends_with("until then its mail waits, and none is returned for it"),
            "{words:?}"
        );
    }
    server.fail("example.com");
    let words = routes(&server).await.explain(&domain()).await;
    let told = "the DNS does not tell who takes the mail of example.com: ";
    assert!(words[0].starts_with(told), "{words:?}");

    let mut named = domain();
    named.primary = vec!["a.test:25".to_owned(), "b.test:2525".to_owned()];
    let words = routes_without_dns().explain(&named).await;
    assert_eq!(
        words,
        ["as the policy says, mail goes to a.test:25, then b.test:2525"]
    );
}

#[tokio::test]
async fn no_more_than_a_few_hosts_of_a_sender_are_tried() {
    let server = name_server();
    let names = ["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"];
    let hosts: Vec<Data> = (10..)
        .zip(names)
        .map(|(at, name)| Data::Mx(at, name))
        .collect();
    server.tell("many.example", &hosts);
    for (name, last) in names.iter().zip(1..) {
        // Nobody listens there.
        server.tell(name, &[Data::A(Ipv4Addr::new(127, 25, 4, last))]);
    }
    let routes = routes(&server).await;
    let connectors = Connectors::new();
    let terms = terms(&routes, &connectors);
    let unreached = routes.connect_to_sender("many.example", terms).await;
    let Err(Unreached::NotNow(why)) = unreached else {
        panic!("{unreached:?}");
    };
    assert_eq!(
        why.matches(".test:25: ").count(),
        SENDERS_HOSTS_MAX,
        "{why}"
    );
    assert!(!why.contains("f.test"), "{why}");
}
