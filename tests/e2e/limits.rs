//! What strangers may take of a node.

use std::time::{Duration, Instant};

use harness::{Cluster, Letter, Primary, Sender, Settings};

use crate::scene;

fn node(primary: &Primary, lines: &[&str]) -> Cluster {
    let settings = Settings::for_primary(primary.address());
    let settings = lines
        .iter()
        .fold(settings, |settings, line| settings.with("smtp", line));
    Cluster::start(1, &settings)
}

#[test]
fn a_client_that_asks_for_many_unknown_recipients_is_sent_away() {
    let (_primary, cluster) = scene::outage(1);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    sender.command("MAIL FROM:<a@sender.test>").unwrap();
    let mut refused = 0;
    let last = loop {
        let command = format!("RCPT TO:<user{refused}@elsewhere.test>");
        let reply = sender.command(&command).unwrap();
        if reply.code != 550 {
            break reply;
        }
        refused += 1;
        assert!(refused < 200, "{refused} guesses were answered");
    };
    assert!(
        last.code == 421 && last.lines[0].starts_with("4.7.0"),
        "{last}"
    );
    assert!(refused >= 20, "after {refused} refusals");
}

#[test]
fn what_a_client_sends_in_a_minute_is_limited_unless_it_is_trusted() {
    let primary = Primary::down_at_first();
    let limit = "max_messages_per_minute_per_ip = 3";
    let cluster = node(&primary, &[limit]);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    let began = Instant::now();
    let letters = scene::letters(0..4);
    let codes: Vec<u16> = letters
        .iter()
        .map(|letter| sender.send(letter).unwrap().code)
        .collect();
    // After twenty seconds another one is free.
    if began.elapsed() < Duration::from_secs(20) {
        assert_eq!(codes, [250, 250, 250, 421]);
    }
    let trusting = node(&primary, &[limit, "trusted = [\"127.0.0.1\"]"]);
    let mut sender = Sender::connect(trusting.nodes[0].smtp()).unwrap();
    for letter in &scene::letters(0..20) {
        assert_eq!(sender.send(letter).unwrap().code, 250);
    }
}

#[test]
fn a_client_whose_handshake_fails_may_come_back_in_clear() {
    let (_primary, cluster) = scene::outage(1);
    let smtp = cluster.nodes[0].smtp();
    for _ in 0..10 {
        let mut old = Sender::connect(smtp).unwrap();
        assert_eq!(old.command("STARTTLS").unwrap().code, 220);
        // A hello of SSL 3.0.
        old.write(b"\x16\x03\0\0\x2f\x01\0\0\x2b\x03\0").unwrap();
        old.hang_up();
    }
    let mut clear = Sender::connect(smtp).unwrap();
    let letter = Letter::new(1, "a@example.com", 500);
    assert_eq!(clear.send(&letter).unwrap().code, 250);
}
