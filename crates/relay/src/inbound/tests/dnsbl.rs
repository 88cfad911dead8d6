//! Who stands on a block list.

use std::net::Ipv4Addr;

use spool::Policy;

use super::*;
use crate::dns::{
    Dns,
    tests::{
        asking_of,
        name_server::{Data, NameServer},
    },
};

/// Where a list says something of [`Piped`]'s client.
const ONE: &str = "1.2.0.192.one.example";
const TWO: &str = "1.2.0.192.two.example";

fn policy(zones: &str) -> Arc<Policy> {
    let text = format!(
        "[dnsbl]\nzones = [{zones}]\n[[domain]]\nname = \"example.com\"\nprimary = [\"[::1]:25\"]\n"
    );
    Arc::new(Policy::parse(&text).unwrap())
}

fn by_two_lists() -> Memory {
    Memory {
        policy: Some(policy("\"one.example\", \"two.example\"")),
        ..Memory::default()
    }
}

async fn greeted(dns: Arc<Dns>, memory: Memory) -> Piped {
    let config = Config { dns, ..config() };
    let mut piped = Piped::start(config, memory, None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped
}

/// What a recipient of a message of its own is answered.
async fn answer(piped: &mut Piped, to: &str) -> String {
    let reply = piped.client.ask("MAIL FROM:<a@sender.example>").await;
    assert!(reply.starts_with("250 "), "{reply}");
    let reply = piped.client.ask(&format!("RCPT TO:<{to}>")).await;
    piped.client.ask("RSET").await;
    reply
}

#[tokio::test]
async fn who_is_listed_is_put_off_but_for_postmaster() {
    let server = NameServer::start();
    server.tell(TWO, &[Data::A(Ipv4Addr::new(127, 0, 0, 2))]);
    let mut piped = greeted(asking_of(&server).await, by_two_lists()).await;
    assert!(!server.asked().iter().any(|asked| asked.ends_with(" A")));
    for (to, expected) in [
        (
            "b@example.com",
            "450 4.7.1 Service unavailable; client host [192.0.2.1] is listed at two.example; try again later",
        ),
        ("Postmaster@example.com", "250 2.1.5 "),
        ("Postmaster", "250 2.1.5 "),
        ("b@elsewhere.example", "550 5.7.1 "),
    ] {
        let reply = answer(&mut piped, to).await;
        assert!(reply.starts_with(expected), "{to}: {reply}");
    }
    let asked = server.asked();
    let count = |name: &str| asked.iter().filter(|asked| *asked == name).count();
    assert!(count("1.2.0.192.one.example A") >= 1, "{asked:?}");

    // What was found out once counts for the connection.
    server.forget(TWO);
    let reply = answer(&mut piped, "b@example.com").await;
    assert!(reply.starts_with("450 4.7.1 "), "{reply}");
}

#[tokio::test]
async fn a_list_that_says_nothing_of_use_lists_nobody() {
    let server = NameServer::start();
    server.tell(ONE, &[Data::A(Ipv4Addr::new(127, 255, 255, 254))]);
    server.fail(TWO);
    let mut piped = greeted(asking_of(&server).await, by_two_lists()).await;
    let reply = answer(&mut piped, "b@example.com").await;
    assert!(reply.starts_with("250 2.1.5 "), "{reply}");
}

#[tokio::test]
async fn who_is_trusted_or_a_primary_is_not_asked_about() {
    let server = NameServer::start();
    server.tell(ONE, &[Data::A(Ipv4Addr::new(127, 0, 0, 2))]);
    let dns = asking_of(&server).await;
    let config = Config {
        dns: Arc::clone(&dns),
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        ..config()
    };
    let mut trusted = Piped::start(config, by_two_lists(), None).await;
    trusted.client.line().await;
    trusted.client.ask("HELO client.example").await;

    let text = "[dnsbl]\nzones = [\"one.example\"]\n\
        [[domain]]\nname = \"example.com\"\nprimary = [\"192.0.2.1:25\"]\n";
    let memory = Memory {
        policy: Some(Arc::new(Policy::parse(text).unwrap())),
        ..Memory::default()
    };
    let mut primary = greeted(dns, memory).await;
    for piped in [&mut trusted, &mut primary] {
        let reply = answer(piped, "b@example.com").await;
        assert!(reply.starts_with("250 2.1.5 "), "{reply}");
    }
    assert!(!server.asked().iter().any(|asked| asked.ends_with(" A")));
}

#[tokio::test]
async fn silence_is_waited_for_once_and_then_not_at_all() {
    let server = NameServer::start();
    let dns = asking_of(&server).await;
    server.be_silent(true);
    let mut piped = greeted(Arc::clone(&dns), by_two_lists()).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let reply = answer(&mut piped, "b@example.com").await;
    assert!(reply.starts_with("250 2.1.5 "), "{reply}");
    assert!(began.elapsed() < Duration::from_secs(3));
    for _ in 0..100 {
        let began = tokio::time::Instant::now();
        let reply = answer(&mut piped, "b@example.com").await;
        assert!(reply.starts_with("250 2.1.5 "), "{reply}");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    while dns.is_answering() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut piped = greeted(dns, by_two_lists()).await;
    let began = tokio::time::Instant::now();
    let reply = answer(&mut piped, "b@example.com").await;
    assert!(reply.starts_with("250 2.1.5 "), "{reply}");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_list_that_lists_everybody_is_not_believed() {
    let server = NameServer::start();
    for name in [ONE, "1.0.0.127.one.example"] {
        server.tell(name, &[Data::A(Ipv4Addr::new(127, 0, 0, 2))]);
    }
    let mut piped = greeted(asking_of(&server).await, by_two_lists()).await;
    let reply = answer(&mut piped, "b@example.com").await;
    assert!(reply.starts_with("250 "), "{reply}");
}
