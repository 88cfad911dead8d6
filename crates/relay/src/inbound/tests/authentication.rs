//! Sessions whose messages are looked at.

use spool::{Accept, Finding, Offers};

use super::*;
use crate::{
    dns::tests::{
        asking_of,
        name_server::{Data, NameServer},
    },
    inbound::limits::PIECE_SIZE,
};

const FORGED: &str = "Authentication-Results: mx.example.net; spf=pass; dkim=pass\r\n";
const FOREIGN: &str = "Authentication-Results: mx.example.org; spf=pass\r\n";

async fn asking(server: &NameServer) -> Config {
    Config {
        dns: asking_of(server).await,
        ..config()
    }
}

/// What is spooled of a message that comes by DATA.
async fn spooled(config: Config, memory: Memory, message: &str) -> (Accept, String) {
    let mut piped = Piped::start(config, memory, None).await;
    piped.client.begin().await;
    let reply = piped.client.ask(&format!("{message}.")).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let (accept, body) = piped.memory.accepted.lock().unwrap()[0].clone();
    (accept, String::from_utf8(body).unwrap())
}

fn begins_with(accept: &Accept, name: &str) -> bool {
    accept.trace.starts_with(name.as_bytes())
}

#[tokio::test]
async fn nothing_is_told_and_nothing_delayed_while_the_dns_is_dead() {
    let message = format!("{FORGED}{FOREIGN}From: a@sender.example\r\n\r\n{FORGED}");
    let (accept, body) = spooled(config(), Memory::new(), &message).await;
    assert!(begins_with(&accept, "Received: "));
    assert_eq!(accept.authentication, None);
    let expected = format!("{FOREIGN}From: a@sender.example\r\n\r\n{FORGED}");
    assert_eq!(body, expected, "forged fields are taken out all the same");
}

#[tokio::test]
async fn what_was_found_out_is_kept_and_told_above_received() {
    let server = NameServer::start();
    let record = "v=spf1 ip4:192.0.2.1 -all".to_owned();
    server.tell("sender.example", &[Data::Txt(record)]);
    let config = asking(&server).await;
    let (accept, _) = spooled(config, Memory::new(), "From: a@sender.example\r\n\r\n").await;
    let trace = core::str::from_utf8(&accept.trace).unwrap();
    let told =
        "Authentication-Results: mx.example.net;\r\n\tspf=pass smtp.mailfrom=sender.example;\r\n";
    assert!(trace.starts_with(told), "{trace}");
    assert!(
        trace.contains("\r\nReceived: from client.example "),
        "{trace}"
    );
    let found = accept.authentication.unwrap();
    assert_eq!(found.spf, Finding::Pass);
    assert!(found.proves(&accept.reverse_path));
}

#[tokio::test]
async fn what_fails_is_taken_like_all_else() {
    let server = NameServer::start();
    server.tell("sender.example", &[Data::Txt("v=spf1 -all".to_owned())]);
    let reject = "v=DMARC1; p=reject".to_owned();
    server.tell("_dmarc.sender.example", &[Data::Txt(reject)]);
    let config = asking(&server).await;
    let (accept, _) = spooled(config, Memory::new(), "From: a@sender.example\r\n\r\n").await;
    let found = accept.authentication.unwrap();
    assert_eq!((found.spf, found.dmarc), (Finding::Fail, Finding::Fail));
}

#[tokio::test]
async fn who_is_trusted_is_not_looked_at_and_keeps_what_it_tells() {
    let server = NameServer::start();
    let config = Config {
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        ..asking(&server).await
    };
    let message = format!("{FORGED}From: a@sender.example\r\n\r\n");
    let (accept, body) = spooled(config, Memory::new(), &message).await;
    assert_eq!((accept.authentication, body), (None, message));
}

#[tokio::test]
async fn a_field_that_would_make_a_message_too_large_for_its_primary_is_left_out() {
    let server = NameServer::start();
    server.tell("sender.example", &[Data::Txt("v=spf1 -all".to_owned())]);
    let message = "From: a@sender.example\r\n\r\n";
    let config = asking(&server).await;
    let (accept, _) = spooled(config.clone(), Memory::new(), message).await;
    let with_field = accept.trace.len() as u64 + accept.size;
    for (size_max, name) in [
        (with_field, "Authentication-Results: "),
        (with_field - 1, "Received: "),
    ] {
        let memory = Memory::new();
        let offers = Offers {
            size_max: Some(size_max),
            ..Offers::default()
        };
        memory.learn("example.com", offers);
        let (accept, _) = spooled(config.clone(), memory, message).await;
        assert!(begins_with(&accept, name), "{size_max}");
        assert!(accept.authentication.is_some());
    }
}

#[tokio::test]
async fn a_repeat_is_known_where_another_field_is_taken_out() {
    let message = format!("{FORGED}From: a@sender.example\r\n\r\nbody\r\n");
    let there = Config {
        hostname: "mx.example.org".to_owned(),
        ..config()
    };
    let (first, shorter) = spooled(config(), Memory::new(), &message).await;
    let (again, whole) = spooled(there, Memory::new(), &message).await;
    assert_eq!(whole, message);
    assert_eq!(shorter, message.strip_prefix(FORGED).unwrap());
    assert_ne!(first.digest, again.digest);
    assert_eq!(first.fingerprint, again.fingerprint);
}

#[tokio::test]
async fn a_forged_field_is_taken_out_of_a_large_message_in_chunks_of_any_size() {
    let rest = format!(
        "From: a@sender.example\r\n\r\n{}",
        "0123456789abcde\r\n".repeat(2 * PIECE_SIZE / 17)
    );
    let message = format!("{FORGED}{rest}");
    for chunk in [11, 1000, PIECE_SIZE, usize::MAX] {
        let mut piped = Piped::start(config(), Memory::new(), None).await;
        piped.client.line().await;
        for command in [
            "HELO client.example",
            "MAIL FROM:<a@sender.example>",
            "RCPT TO:<b@example.com>",
        ] {
            assert!(piped.client.ask(command).await.starts_with("250 "));
        }
        // The header in such chunks, and what follows it in one.
        let (header, body) = message.split_at(FORGED.len() + 20);
        let header = header.as_bytes().chunks(chunk);
        for chunk in header.chain([body.as_bytes()]) {
            let command = format!("BDAT {}\r\n", chunk.len());
            piped.client.send(command.as_bytes()).await;
            piped.client.send(chunk).await;
            assert!(piped.client.line().await.starts_with("250 "));
        }
        let reply = piped.client.ask("BDAT 0 LAST").await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        let (accept, spooled) = piped.memory.accepted.lock().unwrap()[0].clone();
        assert!(spooled == rest.as_bytes(), "the body differs");
        assert_eq!(accept.staged as usize, rest.len() / PIECE_SIZE);
    }
}
