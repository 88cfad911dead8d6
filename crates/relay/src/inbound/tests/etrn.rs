//! Who may ask for mail that waits, and what he is told.

use spool::{Policy, Refusal};
use tokio::time::Instant;

use super::*;
use crate::inbound::limits::FLUSH_PAUSE;

/// A spool with two domains and those below one of them; the client's address is the primary of
/// the first alone.
fn memory() -> Memory {
    let policy = "[[domain]]\nname = \"example.com\"\nprimary = [\"198.51.100.1:25\", \"192.0.2.1:25\"]\n\
         [[domain]]\nname = \"*.example.com\"\nprimary = [\"198.51.100.1:25\"]\n\
         [[domain]]\nname = \"example.net\"\nprimary = [\"198.51.100.1:25\"]\n";
    Memory {
        policy: Some(Arc::new(Policy::parse(policy).unwrap())),
        waiting: 3,
        ..Memory::default()
    }
}

/// What each question is answered, and which domains were flushed by them.
async fn asked(config: Config, memory: Memory, nodes: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut piped = Piped::start(config, memory, None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    let mut replies = Vec::new();
    for node in nodes {
        replies.push(piped.client.ask(&format!("ETRN {node}")).await);
    }
    let flushed = piped.memory.flushed.lock().unwrap().clone();
    (replies, flushed)
}

#[tokio::test]
async fn a_primary_may_ask_for_its_own_mail_and_nobody_elses() {
    let nodes = [
        "Example.COM.",
        "example.net",
        "a.example.com",
        "@example.com",
        "elsewhere.example",
        "#example.com",
    ];
    let (replies, flushed) = asked(config(), memory(), &nodes).await;
    for (reply, expected) in replies.iter().zip([
        "253 2.0.0 OK, 3 pending messages for node Example.COM started",
        "458 4.7.1 Unable to queue messages for node example.net: ",
        "458 4.7.1 Unable to queue messages for node a.example.com: ",
        "458 4.7.1 Unable to queue messages for node @example.com: ",
        "459 4.7.1 Node elsewhere.example not allowed: ",
        "458 4.5.4 Unable to queue messages for node #example.com: ",
    ]) {
        assert!(reply.starts_with(expected), "{expected}: {reply}");
    }
    assert_eq!(flushed, ["example.com"]);
}

#[tokio::test(start_paused = true)]
async fn a_domain_is_flushed_each_time_and_not_too_often() {
    let began = Instant::now();
    let (replies, flushed) = asked(config(), memory(), &["example.com"; 3]).await;
    assert!(
        replies.iter().all(|reply| reply.starts_with("253 ")),
        "{replies:?}"
    );
    assert_eq!(flushed, ["example.com"; 3]);
    assert!(began.elapsed() >= FLUSH_PAUSE * 2);
}

#[tokio::test]
async fn a_trusted_host_may_ask_for_every_domain_of_the_policy() {
    let mut config = config();
    config.staff = vec!["192.0.2.0/24".parse().unwrap()];
    let nodes = ["example.net", "@example.com", "elsewhere.example"];
    let (replies, flushed) = asked(config, memory(), &nodes).await;
    for (reply, expected) in replies.iter().zip([
        "253 2.0.0 OK, 3 pending messages for node example.net started",
        "253 2.0.0 OK, 6 pending messages for node @example.com started",
        "459 4.7.1 ",
    ]) {
        assert!(reply.starts_with(expected), "{expected}: {reply}");
    }
    assert_eq!(flushed, ["example.net", "example.com", "*.example.com"]);
}

#[tokio::test]
async fn nothing_that_waits_and_nothing_that_can_be_done_are_told_apart() {
    let mut empty = memory();
    empty.waiting = 0;
    let (replies, flushed) = asked(config(), empty, &["example.com"]).await;
    assert_eq!(
        replies,
        ["251 2.0.0 OK, no messages waiting for node example.com"]
    );
    assert_eq!(flushed, ["example.com"]);
    let mut alone = memory();
    alone.refuse_flush = Some(Refusal::NoQuorum);
    let (replies, _) = asked(config(), alone, &["example.com"]).await;
    assert!(replies[0].starts_with("458 4.3.0 "), "{replies:?}");
    let (replies, _) = asked(config(), Memory::default(), &["example.com"]).await;
    assert!(replies[0].starts_with("458 4.3.0 "), "{replies:?}");
}
