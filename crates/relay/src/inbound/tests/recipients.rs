//! Who is taken mail for.

use smtp::ForwardPath;
use spool::{Policy, policy::Document};

use super::*;

#[tokio::test]
async fn the_postmaster_of_this_host_is_whoever_the_policy_says_or_its_first_domains() {
    let domain = |name: &str| format!("[[domain]]\nname = \"{name}\"\nprimary = [\"[::1]:25\"]\n");
    for (second, taken, domain_of) in [
        ("example.org", ForwardPath::Postmaster, "example.com"),
        (
            "*.example.net",
            ForwardPath::parse("<postmaster@mx.example.net>").unwrap().0,
            "*.example.net",
        ),
    ] {
        let text = domain("example.com") + &domain(second);
        let memory = Memory {
            policy: Some(Arc::new(Policy::parse(&text).unwrap())),
            ..Memory::default()
        };
        let mut piped = Piped::start(config(), memory, None).await;
        piped.client.line().await;
        piped.client.ask("HELO client.example").await;
        piped.client.ask("MAIL FROM:<a@sender.example>").await;
        let reply = piped
            .client
            .ask("RCPT TO:<postmaster@mx.example.net>")
            .await;
        assert!(reply.starts_with("250 2.1.5 "), "{reply}");
        piped.client.ask("DATA").await;
        let reply = piped.client.ask("Subject: a\r\n\r\nb\r\n.").await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        let (accept, _) = piped.memory.accepted.lock().unwrap()[0].clone();
        let (recipient, domain) = &accept.recipients[0];
        assert_eq!((&recipient.path, domain.as_str()), (&taken, domain_of));
    }
}

#[tokio::test]
async fn only_listed_recipients_and_postmaster_are_taken() {
    let text = "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\"]\n\
        recipients = \"list\"\nrecipients_file = \"users\"\n";
    let document = Document {
        text: text.to_owned(),
        lists: [("users".to_owned(), "Anna@example.com\n".to_owned())].into(),
    };
    let memory = Memory {
        policy: Some(Arc::new(document.policy().unwrap())),
        ..Memory::default()
    };
    let mut piped = Piped::start(config(), memory, None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<a@sender.example>").await;
    for (to, expected) in [
        ("anna@EXAMPLE.com", "250 2.1.5 "),
        ("bert@example.com", "550 5.1.1 User unknown"),
        ("anna+tag@example.com", "550 5.1.1 User unknown"),
        ("PostMaster@example.com", "250 2.1.5 "),
        ("Postmaster", "250 2.1.5 "),
        ("postmaster@MX.example.net", "250 2.1.5 "),
        ("anna@mx.example.net", "550 5.7.1 "),
        ("anna@example.org", "550 5.7.1 "),
        ("anna%example.org@example.com", "550 5.7.1 "),
    ] {
        let reply = piped.client.ask(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(expected), "{to}: {reply}");
    }
}
