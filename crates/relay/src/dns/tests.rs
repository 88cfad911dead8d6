#[path = "../../../../tests/harness/name_server.rs"]
#[expect(
    unreachable_pub,
    reason = "shared with the harness, where they are public"
)]
pub(crate) mod name_server;
pub(crate) mod signed;

use core::time::Duration;
use std::{fs, path::Path, sync::Arc};

use prometheus_client::registry::Registry;
use tokio::time::{self, Instant};

use super::validated::Validated;
use super::*;
use name_server::{Data, NameServer};

/// What is asked to find out whether a name server answers.
const ROOT: &str = " NS";

/// A resolver that has nobody to ask.
pub(crate) fn asking_nobody() -> Arc<Dns> {
    asking(Servers::Listed(Vec::new()))
}

fn asking(servers: Servers) -> Arc<Dns> {
    let metrics = Metrics::register(&mut Registry::default());
    Arc::new(Dns::new(servers, Anchors::default(), metrics))
}

/// A resolver that runs until the test ends, and has heard of its name server.
pub(crate) async fn asking_of(server: &NameServer) -> Arc<Dns> {
    let dns = running(server);
    dns.wanted();
    until("the name server answers", || dns.is_answering()).await;
    dns
}

fn running(server: &NameServer) -> Arc<Dns> {
    let dns = asking(Servers::Listed(vec![server.address()]));
    tokio::spawn(Arc::clone(&dns).run(CancellationToken::new()));
    dns
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_kind_of_record_is_read() {
    let server = NameServer::start();
    let (four, six) = (Ipv4Addr::new(192, 0, 2, 1), "2001:db8::1".parse().unwrap());
    let long = "v=spf1 ".to_owned() + &"ip4:192.0.2.1 ".repeat(300);
    server.tell("Mail.example.com", &[Data::A(four), Data::Aaaa(six)]);
    server.tell("www.example.com", &[Data::Cname("mail.example.com")]);
    server.tell(
        "example.com",
        &[
            Data::Mx(20, "Backup.example.net"),
            Data::Mx(10, "mail.example.com"),
            Data::Txt("short".to_owned()),
            Data::Txt(long.clone()),
        ],
    );
    server.tell("idle.example.com", &[Data::Mx(0, ".")]);
    server.tell("1.2.0.192.in-addr.arpa", &[Data::Ptr("mail.example.com")]);
    let dns = asking_of(&server).await;

    let found = dns.ipv4("mail.EXAMPLE.com.").await.unwrap();
    assert_eq!(found, Answer::Records(vec![four]));
    let found = dns.ipv6("mail.example.com").await.unwrap();
    assert_eq!(found, Answer::Records(vec![six]));
    let found = dns.ipv4("www.example.com").await.unwrap();
    assert_eq!(found.into_records(), [four]);
    let mx = |preference, exchange: &str| Mx {
        preference,
        exchange: exchange.to_owned(),
    };
    let found = dns.mx("example.com").await.unwrap();
    let both = vec![mx(20, "backup.example.net"), mx(10, "mail.example.com")];
    assert_eq!(found, Answer::Records(both));
    let found = dns.mx("idle.example.com").await.unwrap();
    assert_eq!(found, Answer::Records(vec![mx(0, "")]));
    // More than a datagram holds, so it comes over TCP.
    let found = dns.txt("example.com").await.unwrap();
    assert_eq!(found.into_records(), [b"short".to_vec(), long.into_bytes()]);
    let found = dns.ptr(four.into()).await.unwrap();
    assert_eq!(found, Answer::Records(vec!["mail.example.com".to_owned()]));
}

#[tokio::test]
async fn a_name_without_records_is_told_from_one_that_does_not_exist() {
    let server = NameServer::start();
    server.tell("example.com", &[]);
    server.tell("lost.example.com", &[Data::Cname("gone.example.com")]);
    server.fail("broken.example.com");
    let dns = asking_of(&server).await;
    assert_eq!(dns.mx("example.com").await.unwrap(), Answer::NoData);
    for name in ["none.example.com", "lost.example.com"] {
        assert_eq!(dns.ipv4(name).await.unwrap(), Answer::NoSuchName, "{name}");
    }
    let failed = dns.ipv4("broken.example.com").await.unwrap_err();
    assert!(matches!(failed, LookupError::Failed(_)), "{failed}");
    let failed = dns.ipv4("a..example.com").await.unwrap_err();
    assert!(matches!(failed, LookupError::NotAName(_)), "{failed}");
    assert!(dns.is_answering());

    server.tell("none.example.com", &[Data::A(Ipv4Addr::LOCALHOST)]);
    assert_eq!(
        dns.ipv4("none.example.com").await.unwrap().into_records(),
        [Ipv4Addr::LOCALHOST]
    );
    server.forget("none.example.com");
    let found = dns.ipv4("none.example.com").await.unwrap();
    assert_eq!(found, Answer::NoSuchName);
}

#[tokio::test]
async fn that_a_stranger_has_no_record_is_kept_for_a_while() {
    // It says nothing of how long that is so.
    let server = NameServer::start();
    let dns = asking_of(&server).await;
    for _ in 0..3 {
        let resolver = dns.resolver().unwrap();
        assert!(resolver.txt_lookup("sender.test.").await.is_err());
    }
    let asked = server.asked();
    let about_it = asked.iter().filter(|name| name.starts_with("sender.test"));
    assert_eq!(about_it.count(), 1, "{asked:?}");
}

#[tokio::test]
async fn nothing_is_asked_before_something_is_wanted() {
    let server = NameServer::start();
    let dns = running(&server);
    dns.read_again();
    tokio::task::yield_now().await;
    assert!(!dns.is_answering());
    let first = dns.ipv4("example.com").await.unwrap_err();
    assert!(matches!(first, LookupError::NotAnswering), "{first}");
    until("the name server answers", || dns.is_answering()).await;
    assert!(server.asked().iter().all(|asked| asked == ROOT));
    assert!(dns.resolver().is_ok());
}

/// Runs something while every time-out is over at once.
async fn hastily<T>(future: impl Future<Output = T>) -> T {
    time::pause();
    let result = future.await;
    time::resume();
    result
}

#[tokio::test]
async fn silent_name_servers_cost_their_time_once() {
    let server = NameServer::start();
    let dns = asking_of(&server).await;
    server.be_silent(true);
    hastily(async {
        let began = Instant::now();
        let failed = dns.ipv4("example.com").await.unwrap_err();
        assert!(matches!(failed, LookupError::Unanswered(_)), "{failed}");
        assert!(began.elapsed() <= LOOKUP_TIMEOUT + Duration::from_millis(10));
        until("it is known", || !dns.is_answering()).await;
        let began = Instant::now();
        for _ in 0..100 {
            let failed = dns.ipv4("example.com").await.unwrap_err();
            assert!(matches!(failed, LookupError::NotAnswering), "{failed}");
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    })
    .await;
    assert_eq!(dns.metrics.answering.get(), 0);
    assert!(dns.resolver().is_err());

    server.be_silent(false);
    server.tell("example.com", &[Data::A(Ipv4Addr::LOCALHOST)]);
    until("it is back", || dns.is_answering()).await;
    let found = dns.ipv4("example.com").await.unwrap();
    assert_eq!(found.into_records(), [Ipv4Addr::LOCALHOST]);
    assert_eq!(dns.metrics.answering.get(), 1);
}

#[tokio::test]
async fn who_gives_up_waiting_raises_doubt_too() {
    let server = NameServer::start();
    let dns = asking_of(&server).await;
    server.be_silent(true);
    hastily(async {
        let impatient = timeout(DOUBT_AFTER, dns.ipv4("example.com")).await;
        assert!(impatient.is_err());
        until("it is known", || !dns.is_answering()).await;
    })
    .await;
}

#[tokio::test]
async fn a_name_that_nobody_answers_for_says_nothing_of_the_name_servers() {
    let server = NameServer::start();
    server.ignore("dead.example");
    let dns = asking_of(&server).await;
    let failed = dns.ipv4("dead.example").await.unwrap_err();
    assert!(matches!(failed, LookupError::Unanswered(_)), "{failed}");
    until("they were asked whether they answer", || {
        let asked = server.asked();
        let dead = asked.iter().position(|asked| asked == "dead.example A");
        dead.is_some_and(|dead| asked[dead..].iter().any(|asked| asked == ROOT))
    })
    .await;
    assert!(dns.is_answering());
}

#[tokio::test]
async fn a_machine_that_names_no_server_has_no_dns() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resolv.conf");
    let dns = asking(Servers::System(file.clone()));
    tokio::spawn(Arc::clone(&dns).run(CancellationToken::new()));
    let failed = dns.mx("example.com").await.unwrap_err();
    assert!(matches!(failed, LookupError::NotAnswering), "{failed}");
    fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
    dns.read_again();
    let address = || dns.with_resolvers(|resolvers| resolvers.addresses.clone());
    until("it is read", || address().is_some()).await;
    assert_eq!(address().unwrap(), ["192.0.2.1:53".parse().unwrap()]);
    // What is of no use takes nothing away.
    fs::write(&file, "search example.com\n").unwrap();
    dns.read_again();
    let failed = dns.mx("example.com").await.unwrap_err();
    assert!(matches!(failed, LookupError::NotAnswering), "{failed}");
    assert!(address().is_some());
}

#[test]
fn why_it_is_not_known_whom_to_ask_is_told_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resolv.conf");
    let told = |file: &Path| {
        let servers = Servers::System(file.to_owned());
        let error = servers.resolvers(&Arc::default()).unwrap_err().to_string();
        error.replace(&format!("{}", folder.path().display()), "")
    };
    let said = told(&file);
    assert!(said.starts_with("reading /resolv.conf failed: "), "{said}");
    for text in ["", "nameserver example.com\n", "\u{0}\u{1}"] {
        fs::write(&file, text).unwrap();
        let said = told(&file);
        assert!(said.starts_with("/resolv.conf is of no use: "), "{said}");
        assert!(said.contains("[dns] servers"), "{said}");
    }
    fs::write(
        &file,
        "# as it stands on a server\nsearch corp.example\noptions ndots:5 timeout:30\n\
         nameserver 192.0.2.53\nnameserver 2001:db8::53\n",
    )
    .unwrap();
    let resolvers = Servers::System(file).resolvers(&Arc::default()).unwrap();
    let expected = ["192.0.2.53:53", "[2001:db8::53]:53"];
    assert_eq!(resolvers.addresses, expected.map(|a| a.parse().unwrap()));
    assert_eq!(resolvers.caching.options().timeout, limits::QUERY_TIMEOUT);
}

#[test]
fn the_names_are_those_that_dashboards_know() {
    let mut registry = Registry::with_prefix("layover");
    let metrics = Metrics::register(&mut registry);
    metrics.count("records");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "layover_dns_answering 0",
        "layover_dns_queries_total{result=\"records\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
