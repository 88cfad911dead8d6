//! What a client may do.

use super::*;
use crate::inbound::limits::GUESSES_MAX;

#[tokio::test]
async fn who_guesses_addresses_is_sent_away() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<>").await;
    for number in 0..GUESSES_MAX {
        let command = format!("RCPT TO:<user{number}@elsewhere.example>");
        let reply = piped.client.ask(&command).await;
        assert!(reply.starts_with("550 5.7.1 "), "{reply}");
    }
    let reply = piped.client.ask("RCPT TO:<b@elsewhere.example>").await;
    assert!(reply.starts_with("421 4.7.0 "), "{reply}");
    assert_eq!(piped.client.line().await, "");
}

#[tokio::test]
async fn what_a_client_may_send_in_a_minute_is_limited() {
    let per_minute = PerMinute {
        messages: 2,
        recipients: 3,
        connections: 0,
    };
    let config = Config {
        per_minute,
        ..config()
    };
    let mut piped = Piped::start(config.clone(), Memory::new(), None).await;
    piped.client.begin().await;
    assert!(piped.client.ask(".").await.starts_with("250 "));
    piped.client.ask("MAIL FROM:<>").await;
    for expected in ["250 2.1.5 ", "250 2.1.5 ", "450 4.7.1 "] {
        let reply = piped.client.ask("RCPT TO:<b@example.com>").await;
        assert!(reply.starts_with(expected), "{reply}");
    }
    piped.client.ask("RSET").await;
    let reply = piped.client.ask("MAIL FROM:<>").await;
    assert!(reply.starts_with("421 4.7.0 "), "{reply}");
    let trusted = Config {
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        ..config
    };
    let mut piped = Piped::start(trusted, Memory::new(), None).await;
    piped.client.begin().await;
    for _ in 0..10 {
        assert!(piped.client.ask(".").await.starts_with("250 "));
        piped.client.begin_again().await;
    }
}
