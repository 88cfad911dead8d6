//! Recipients of a domain with `recipients = "verify"`, as a client hears of them.

use spool::{Learned, Policy, recipients::Source};

use super::*;

/// A spool that knows two recipients of a primary that nobody reaches.
fn memory(unknown_while_down: &str) -> Memory {
    let text = format!(
        "[[domain]]\nname = \"example.com\"\nprimary = [\"127.0.0.1:1\"]\n\
         recipients = \"verify\"\nunknown_while_down = \"{unknown_while_down}\"\n"
    );
    let learned = |is_valid| Learned {
        is_valid,
        at: clock().now(),
        from: Source::Delivery,
        policy_version: 1,
    };
    let recipients = [("ann", true), ("nobody", false)];
    let recipients =
        recipients.map(|(name, is_valid)| (format!("{name}@example.com"), learned(is_valid)));
    Memory {
        policy: Some(Arc::new(Policy::parse(&text).unwrap())),
        recipients: recipients.into(),
        ..Memory::default()
    }
}

#[tokio::test]
async fn pipelined_recipients_are_answered_in_their_order_by_what_is_known() {
    for (unknown_while_down, stranger) in [("accept", "250 2.1.5 "), ("defer", "450 4.1.1 ")] {
        let mut piped = Piped::start(config(), memory(unknown_while_down), None).await;
        assert!(piped.client.line().await.starts_with("220 "));
        assert!(piped.client.ask("HELO client").await.starts_with("250 "));
        let recipients = [
            ("Ann@Example.COM", "250 2.1.5 "),
            ("nobody@example.com", "550 5.1.1 "),
            ("stranger@example.com", stranger),
            ("ann@example.org", "550 5.7.1 "),
            ("PostMaster@example.com", "250 2.1.5 "),
            ("ann@example.com", "250 2.1.5 "),
        ];
        let mut commands = "MAIL FROM:<a@sender.example>\r\n".to_owned();
        for (to, _) in recipients {
            commands.push_str(&format!("RCPT TO:<{to}>\r\n"));
        }
        piped.client.send(commands.as_bytes()).await;
        assert!(piped.client.line().await.starts_with("250 2.1.0 "));
        for (to, expected) in recipients {
            let reply = piped.client.line().await;
            assert!(reply.starts_with(expected), "{to}: {reply}");
        }
    }
}

#[tokio::test]
async fn a_policy_that_comes_into_force_before_the_answer_decides() {
    let elsewhere = "[[domain]]\nname = \"example.org\"\nprimary = [\"127.0.0.1:1\"]\n";
    let memory = Memory {
        next_policy: Some(Arc::new(Policy::parse(elsewhere).unwrap())),
        ..memory("accept")
    };
    let mut piped = Piped::start(config(), memory, None).await;
    assert!(piped.client.line().await.starts_with("220 "));
    for (command, expected) in [
        ("HELO client", "250 "),
        ("MAIL FROM:<a@sender.example>", "250 2.1.0 "),
        ("RCPT TO:<ann@example.com>", "550 5.7.1 "),
        ("RCPT TO:<ann@example.org>", "250 2.1.5 "),
    ] {
        let reply = piped.client.ask(command).await;
        assert!(reply.starts_with(expected), "{command}: {reply}");
    }
}
