//! Who is taken mail for.

use spool::policy::Document;

use super::*;

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
        ("anna@example.org", "550 5.7.1 "),
        ("anna%example.org@example.com", "550 5.7.1 "),
    ] {
        let reply = piped.client.ask(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(expected), "{to}: {reply}");
    }
}
