//! Domains of which enough is queued.

use spool::{Policy, Totals};

use super::*;

#[tokio::test]
async fn a_domain_of_which_enough_is_queued_takes_no_more_and_the_others_do() {
    let text = "[[domain]]\nname = \"example.com\"\nprimary = [\"[::1]:25\"]\nmax_queued_messages = 3\n\
        [[domain]]\nname = \"example.org\"\nprimary = [\"[::1]:25\"]\nmax_queued_size = \"1KiB\"\n\
        [[domain]]\nname = \"example.net\"\nprimary = [\"[::1]:25\"]\n";
    let memory = Memory {
        policy: Some(Arc::new(Policy::parse(text).unwrap())),
        queued: Totals {
            waiting: 2,
            held: 1,
            bytes: 1000,
            ..Totals::default()
        },
        ..Memory::default()
    };
    let mut piped = Piped::start(config(), memory, None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<a@sender.example>").await;
    for (to, expected) in [
        ("b@example.com", "452 4.2.2 "),
        ("b@example.org", "250 2.1.5 "),
        ("b@example.net", "250 2.1.5 "),
    ] {
        let reply = piped.client.ask(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(expected), "{to}: {reply}");
    }
    // It would take more than is left.
    piped.client.ask("RSET").await;
    let mut line = piped.client.ask("EHLO client.example").await;
    while line.starts_with("250-") {
        line = piped.client.line().await;
    }
    piped
        .client
        .ask("MAIL FROM:<a@sender.example> SIZE=25")
        .await;
    let reply = piped.client.ask("RCPT TO:<b@example.org>").await;
    assert!(reply.starts_with("452 4.2.2 "), "{reply}");
}

#[tokio::test]
async fn a_postmaster_is_reached_beyond_the_quota_and_not_without_end() {
    let policy =
        "[[domain]]\nname = \"example.com\"\nprimary = [\"[::1]:25\"]\nmax_queued_messages = 3\n";
    for (waiting, expected) in [(3, "250 2.1.5 "), (6, "452 4.2.2 ")] {
        let memory = Memory {
            policy: Some(Arc::new(Policy::parse(policy).unwrap())),
            queued: Totals {
                waiting,
                ..Totals::default()
            },
            ..Memory::default()
        };
        let mut piped = Piped::start(config(), memory, None).await;
        piped.client.line().await;
        piped.client.ask("HELO client.example").await;
        piped.client.ask("MAIL FROM:<a@sender.example>").await;
        for (to, expected) in [
            ("b@example.com", "452 4.2.2 "),
            ("postmaster@example.com", expected),
            ("Postmaster", expected),
        ] {
            let reply = piped.client.ask(&format!("RCPT TO:<{to}>")).await;
            assert!(reply.starts_with(expected), "{waiting}, {to}: {reply}");
        }
    }
}
