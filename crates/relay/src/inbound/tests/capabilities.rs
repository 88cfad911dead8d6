//! What is known of the primaries, and what senders are told for it.

use spool::Offers;

use super::*;

/// A session that has said EHLO, with the lines it was answered.
async fn greeted(memory: Memory) -> (Piped, Vec<String>) {
    let mut piped = Piped::start(config(), memory, None).await;
    piped.client.line().await;
    let mut lines = vec![piped.client.ask("EHLO client.example").await];
    while lines.last().is_some_and(|line| line.starts_with("250-")) {
        lines.push(piped.client.line().await);
    }
    (piped, lines)
}

fn two_domains() -> Memory {
    let memory = Memory::for_domains(&["small.example", "large.example"]);
    memory.learn("small.example", sized(1000));
    memory.learn("large.example", sized(5000));
    memory
}

fn sized(size_max: u64) -> Offers {
    Offers {
        size_max: Some(size_max),
        ..Offers::default()
    }
}

#[tokio::test]
async fn the_largest_size_of_all_primaries_is_announced_and_kept_to_at_mail() {
    let (mut piped, lines) = greeted(two_domains()).await;
    assert!(
        lines.iter().any(|line| line.ends_with("SIZE 5000")),
        "{lines:?}"
    );
    let reply = piped
        .client
        .ask("MAIL FROM:<a@sender.example> SIZE=5001")
        .await;
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
    let reply = piped
        .client
        .ask("MAIL FROM:<a@sender.example> SIZE=5000")
        .await;
    assert!(reply.starts_with("250 "), "{reply}");
}

#[tokio::test]
async fn a_declared_size_is_measured_by_each_recipients_primary() {
    let (mut piped, _) = greeted(two_domains()).await;
    piped
        .client
        .ask("MAIL FROM:<a@sender.example> SIZE=1001")
        .await;
    let reply = piped.client.ask("RCPT TO:<b@small.example>").await;
    assert!(
        reply.starts_with("552 5.3.4 ") && reply.contains("1000 octets"),
        "{reply}"
    );
    let reply = piped.client.ask("RCPT TO:<b@large.example>").await;
    assert!(reply.starts_with("250 "), "{reply}");
}

#[tokio::test]
async fn a_message_that_some_primary_would_not_take_is_refused_at_its_end() {
    let (mut piped, _) = greeted(two_domains()).await;
    for (to, text, code) in [
        (["small", "large"], 990, "552 5.3.4 "),
        (["large", "large"], 990, "250 2.0.0 "),
        (["small", "small"], 100, "250 2.0.0 "),
    ] {
        piped.client.ask("MAIL FROM:<a@sender.example>").await;
        for name in to {
            let command = format!("RCPT TO:<b@{name}.example>");
            assert!(piped.client.ask(&command).await.starts_with("250 "));
        }
        assert!(piped.client.ask("DATA").await.starts_with("354 "));
        // With its Received field the longer one is above a thousand octets.
        let reply = piped
            .client
            .ask(&format!("{}\r\n.", "x".repeat(text)))
            .await;
        assert!(reply.starts_with(code), "{to:?}: {reply}");
    }
    let accepted = piped.memory.messages().len();
    assert_eq!(accepted, 2);
}

#[tokio::test]
async fn what_is_learned_while_a_session_lasts_counts_at_its_next_recipient() {
    let memory = Memory::new();
    let (mut piped, lines) = greeted(memory).await;
    assert!(lines.iter().any(|line| line.contains("SIZE 20971520")));
    piped.memory.learn("example.com", sized(1000));
    piped
        .client
        .ask("MAIL FROM:<a@sender.example> SIZE=2000")
        .await;
    let reply = piped.client.ask("RCPT TO:<b@example.com>").await;
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
}

#[tokio::test]
async fn smtputf8_is_offered_for_the_one_and_refused_to_the_other() {
    let memory = Memory::for_domains(&["plain.example", "utf8.example"]);
    memory.learn("plain.example", Offers::default());
    memory.learn(
        "utf8.example",
        Offers {
            smtputf8: true,
            ..Offers::default()
        },
    );
    let (mut piped, lines) = greeted(memory).await;
    assert!(lines.iter().any(|line| line.ends_with("SMTPUTF8")));
    assert!(!lines.iter().any(|line| line.ends_with("BINARYMIME")));
    for (from, to, code) in [
        ("a", "b@plain.example", "250 "),
        ("\u{e4}", "b@plain.example", "550 5.6.7 "),
        ("a", "\u{f6}@plain.example", "550 5.6.7 "),
        ("\u{e4}", "\u{f6}@utf8.example", "250 "),
    ] {
        piped.client.ask("RSET").await;
        let mail = format!("MAIL FROM:<{from}@sender.example> SMTPUTF8");
        assert!(piped.client.ask(&mail).await.starts_with("250 "));
        let reply = piped.client.ask(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(code), "{from} {to}: {reply}");
    }
}

#[tokio::test]
async fn what_no_primary_takes_is_not_offered() {
    let memory = Memory::new();
    memory.learn("example.com", Offers::default());
    let (mut piped, lines) = greeted(memory).await;
    assert!(
        !lines.iter().any(|line| line.ends_with("SMTPUTF8")),
        "{lines:?}"
    );
    let reply = piped
        .client
        .ask("MAIL FROM:<a@sender.example> SMTPUTF8")
        .await;
    assert!(reply.starts_with("555 "), "{reply}");
}

#[tokio::test]
async fn a_binary_body_is_for_primaries_that_still_take_it() {
    let memory = Memory::new();
    let binary = Offers {
        chunking: true,
        binary_mime: true,
        ..Offers::default()
    };
    memory.learn("example.com", binary);
    let (mut piped, lines) = greeted(memory).await;
    assert!(
        lines.iter().any(|line| line.ends_with("BINARYMIME")),
        "{lines:?}"
    );
    let mail = "MAIL FROM:<a@sender.example> BODY=BINARYMIME";
    assert!(piped.client.ask(mail).await.starts_with("250 "));
    let reply = piped.client.ask("RCPT TO:<b@example.com>").await;
    assert!(reply.starts_with("250 "), "{reply}");
    piped.memory.learn("example.com", Offers::default());
    let reply = piped.client.ask("RCPT TO:<c@example.com>").await;
    assert!(reply.starts_with("550 5.6.3 "), "{reply}");
}
