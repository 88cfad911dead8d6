//! Whom a sentry sends away.

use smtp::{ForwardPath, ReversePath};
use spool::{Policy, Visitor};

use super::*;

/// Two domains, the first with a sentry.
fn policy() -> Policy {
    let text = "[[domain]]\nname = \"example.com\"\nprimary = [\"[::1]:25\"]\nsentry = true\n\
        [[domain]]\nname = \"example.org\"\nprimary = [\"[::1]:25\"]\n";
    Policy::parse(text).unwrap()
}

#[tokio::test]
async fn a_sentry_sends_away_all_but_who_may_pass() {
    let (from, _) = ReversePath::parse("<a@sender.example>").unwrap();
    let (to, _) = ForwardPath::parse("<patient@example.com>").unwrap();
    let memory = Memory {
        policy: Some(Arc::new(policy())),
        admitted: vec![Visitor::of(&from, &to, [192, 0, 2, 1].into())],
        ..Memory::default()
    };
    let mut piped = Piped::start(config(), memory, None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<a@sender.example>").await;
    for (to, expected) in [
        ("b@example.com", "450 4.7.1 "),
        ("patient@example.com", "250 2.1.5 "),
        ("b@example.org", "250 2.1.5 "),
        ("Postmaster@example.com", "250 2.1.5 "),
        ("Postmaster", "250 2.1.5 "),
        ("b@elsewhere.example", "550 5.7.1 "),
    ] {
        let reply = piped.client.ask(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(expected), "{to}: {reply}");
    }
    piped.client.ask("DATA").await;
    assert!(piped.client.ask("text\r\n.").await.starts_with("250 "));
    let messages = piped.memory.messages();
    let envelope = "<a@sender.example> <patient@example.com> <b@example.org> \
        <Postmaster@example.com> <postmaster>";
    assert_eq!(messages[0].0, envelope);
    piped.client.ask("MAIL FROM:<>").await;
    let reply = piped.client.ask("RCPT TO:<patient@example.com>").await;
    assert!(reply.starts_with("450 4.7.1 "), "another sender: {reply}");
}
