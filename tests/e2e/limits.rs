//! What strangers may take of a node.

use std::time::{Duration, Instant};

use harness::{Cluster, Letter, Primary, Sender, Settings, wait_until};

use crate::scene;

/// A sender that finds no place is let in within this time.
const LET_IN: Duration = Duration::from_secs(30);

fn node(primary: &Primary, lines: &[&str]) -> Cluster {
    let settings = Settings::for_primary(primary.address());
    let settings = lines
        .iter()
        .fold(settings, |settings, line| settings.with("smtp", line));
    Cluster::start(1, &settings)
}

#[test]
fn a_house_full_of_idle_strangers_has_room_for_a_sender_within_seconds() {
    let primary = Primary::down_at_first();
    let cluster = node(&primary, &["max_connections = 10"]);
    let smtp = cluster.nodes[0].smtp();
    let mut idle = Vec::new();
    // The harness asks for health by HTTP only, so all ten are theirs.
    while let Ok(stranger) = Sender::connect(smtp) {
        idle.push(stranger);
    }
    assert_eq!(idle.len(), 10);
    assert_eq!(
        cluster.nodes[0].metric("layover_smtp_crowded", &[]),
        Some(1.0)
    );
    let letter = Letter::new(1, "a@example.com", 500);
    wait_until(LET_IN, "a sender gets in", || {
        let sent = Sender::connect(smtp).and_then(|mut sender| sender.send(&letter));
        sent.is_ok_and(|reply| reply.code == 250)
    });
    let reply = idle[0].read_reply().unwrap();
    assert!(
        reply.code == 421 && reply.lines[0].starts_with("4.4.2"),
        "{reply}"
    );
    assert_eq!(cluster.nodes[0].queued(), Some(1));
    let log = cluster.nodes[0].log_text();
    assert!(log.contains("connections are short"), "{log}");
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

#[test]
fn connections_do_not_take_the_files_that_the_spool_needs() {
    let mut primary = Primary::down_at_first();
    let mut cluster = node(&primary, &["max_connections = 500"]);
    let node = &mut cluster.nodes[0];
    node.terminate();
    node.live_within(&["prlimit".to_owned(), "--nofile=1000:1000".to_owned()]);
    node.spawn();
    node.wait_ready();
    let mut senders = Vec::new();
    while let Ok(sender) = Sender::connect(node.smtp()) {
        senders.push(sender);
    }
    assert_eq!(senders.len(), 50);
    let letters = scene::letters(0..50);
    for (sender, letter) in senders.iter_mut().zip(&letters) {
        let reply = sender.send(letter).unwrap();
        assert_eq!(reply.code, 250, "{reply}");
    }
    let log = node.log_text();
    let words =
        "max_connections = 500 needs 1900 open files and this process may have 1000, so only 50";
    assert!(log.contains(words), "{log}");
    scene::drain(&cluster, &mut primary, &letters);
}
