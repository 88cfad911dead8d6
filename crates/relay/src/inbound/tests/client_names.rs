//! What clients are called in `Received`.

use std::net::Ipv4Addr;

use spool::{Offers, Policy};
use tokio::time::Instant;

use super::{sockets::Served, *};
use crate::{
    dns::tests::{
        asking_of,
        name_server::{Data, NameServer},
    },
    inbound::limits::NAME_PATIENCE,
};

/// Where it is said what [`Piped`]'s client is called.
const REVERSE: &str = "1.2.0.192.in-addr.arpa";
const NAME: &str = "mail.sender.example";
const MESSAGE: &str = "Subject: x\r\n\r\n.";

/// The client has a name, which has this address.
fn naming(address: [u8; 4]) -> NameServer {
    let server = NameServer::start();
    server.tell(REVERSE, &[Data::Ptr(NAME)]);
    server.tell(NAME, &[Data::A(Ipv4Addr::from(address))]);
    server
}

/// Nothing else is looked at.
fn memory() -> Memory {
    let text = "[authentication]\nevaluate = false\n\
        [[domain]]\nname = \"example.com\"\nprimary = [\"127.0.0.1:2526\"]\n";
    Memory {
        policy: Some(Arc::new(Policy::parse(text).unwrap())),
        ..Memory::default()
    }
}

async fn asking(server: &NameServer) -> Config {
    Config {
        dns: asking_of(server).await,
        ..config()
    }
}

fn times_asked(server: &NameServer) -> usize {
    let asked = server.asked();
    asked.iter().filter(|asked| asked.ends_with(" PTR")).count()
}

/// How the client stands in the field of each message that was taken.
fn told(memory: &Memory) -> Vec<String> {
    let accepted = memory.accepted.lock().unwrap();
    let client = |trace: &[u8]| {
        let field = core::str::from_utf8(trace).unwrap();
        let line = field.lines().next().unwrap();
        let said = line.strip_prefix("Received: from client.example ");
        said.unwrap_or_else(|| panic!("{field}")).to_owned()
    };
    accepted
        .iter()
        .map(|(accept, _)| client(&accept.trace))
        .collect()
}

#[tokio::test]
async fn a_name_that_leads_back_is_asked_for_once_and_not_before_a_recipient_is_taken() {
    let server = naming([192, 0, 2, 1]);
    let mut piped = Piped::start(asking(&server).await, memory(), None).await;
    for command in [
        "HELO client.example",
        "MAIL FROM:<a@sender.example>",
        "RCPT TO:<b@elsewhere.example>",
        "RSET",
    ] {
        piped.client.ask(command).await;
    }
    assert!(piped.client.line().await.starts_with("250 "));
    assert_eq!(times_asked(&server), 0);
    for _ in 0..2 {
        piped.client.begin_again().await;
        assert!(piped.client.ask(MESSAGE).await.starts_with("250 "));
    }
    let expected = format!("({NAME} [192.0.2.1])");
    assert_eq!(told(&piped.memory), [expected.clone(), expected]);
    assert_eq!(times_asked(&server), 1);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_not_believed() {
    let server = naming([192, 0, 2, 9]);
    let mut piped = Piped::start(asking(&server).await, memory(), None).await;
    piped.client.begin().await;
    assert!(piped.client.ask(MESSAGE).await.starts_with("250 "));
    assert_eq!(told(&piped.memory), ["(unknown [192.0.2.1])"]);
}

#[tokio::test]
async fn silence_holds_up_one_message_for_a_short_while() {
    let server = naming([192, 0, 2, 1]);
    server.ignore(REVERSE);
    let mut piped = Piped::start(asking(&server).await, memory(), None).await;
    piped.client.begin().await;
    tokio::time::pause();
    for most in [NAME_PATIENCE, Duration::ZERO] {
        let began = Instant::now();
        assert!(piped.client.ask(MESSAGE).await.starts_with("250 "));
        assert!(began.elapsed() <= most + Duration::from_millis(10));
        piped.client.begin_again().await;
    }
    let unknown = "(unknown [192.0.2.1])";
    assert_eq!(told(&piped.memory), [unknown, unknown]);
}

#[tokio::test]
async fn a_name_that_would_make_a_message_too_large_for_its_primary_is_left_out() {
    let server = naming([192, 0, 2, 1]);
    let config = asking(&server).await;
    let mut size_max = None;
    for expected in [NAME, NAME, "unknown"] {
        let memory = memory();
        let offers = Offers {
            size_max,
            ..Offers::default()
        };
        memory.learn("example.com", offers);
        let mut piped = Piped::start(config.clone(), memory, None).await;
        piped.client.begin().await;
        assert!(piped.client.ask(MESSAGE).await.starts_with("250 "));
        assert_eq!(told(&piped.memory), [format!("({expected} [192.0.2.1])")]);
        let accepted = piped.memory.accepted.lock().unwrap();
        let (accept, body) = &accepted[0];
        let size = (accept.trace.len() + body.len()) as u64;
        // As large as it is, and then an octet less.
        size_max = Some(size_max.map_or(size, |size| size - 1));
    }
}

#[tokio::test]
async fn who_comes_from_this_machine_is_not_asked_about() {
    let server = NameServer::start();
    let served = Served::start(asking(&server).await, memory(), true);
    served.until_open(true).await;
    let mut client = served.connect().await;
    client.begin().await;
    assert!(client.ask(MESSAGE).await.starts_with("250 "));
    assert_eq!(told(&served.memory), ["(unknown [127.0.0.1])"]);
    assert_eq!(times_asked(&server), 0);
}
