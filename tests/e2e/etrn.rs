//! A primary that asks for its mail.

use std::net::SocketAddr;

use harness::{Cluster, Letter, Primary, Sender, Settings, wait_until};

use crate::scene;

#[test]
fn any_node_starts_the_drain_of_the_clusters_queue() {
    let mut primary = Primary::started();
    let cluster = Cluster::start(3, &Settings::for_primary(primary.address()));
    primary.on_cue(|cue| cue.refuse("busy@example.com", "450 4.2.1 mailbox busy"));
    let letters: Vec<Letter> = (0..5)
        .map(|serial| Letter::new(serial, "busy@example.com", 1_000))
        .collect();
    scene::send_all(&cluster, &letters);
    let ctl = cluster.ctl();
    wait_until(scene::DRAIN, "all messages are deferred", || {
        let deferred = ctl.json(&["queue", "list", "--state", "deferred"]);
        deferred.as_array().is_some_and(|list| list.len() == 5)
    });
    primary.on_cue(harness::Cue::forgive);
    let follower = &cluster.nodes[cluster.follower()];
    let mut sender = Sender::connect(follower.smtp()).unwrap();
    assert!(sender.offers("ETRN"));
    let reply = sender.command("ETRN example.com").unwrap();
    assert_eq!(reply.code, 253, "{reply}");
    // Their retry is minutes away.
    scene::drain(&cluster, &mut primary, &letters);
    wait_until(scene::CATCH_UP, "nothing waits any more", || {
        let reply = sender.command("ETRN @example.com").unwrap();
        reply.code == 251
    });
}

#[test]
fn of_two_who_ask_at_once_one_hears_how_much_waits_and_the_other_that_something_does() {
    let mut primary = Primary::down_at_first();
    let cluster = Cluster::start(1, &Settings::for_primary(primary.address()));
    let letters = scene::letters(0..3);
    scene::send_all(&cluster, &letters);
    let mut first = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    let mut second = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    assert_eq!(first.command("ETRN example.com").unwrap().code, 253);
    // Both wait until the domain may be flushed again.
    for sender in [&mut first, &mut second] {
        sender.write(b"ETRN example.com\r\n").unwrap();
    }
    let mut codes = [first, second].map(|mut sender| sender.read_reply().unwrap().code);
    codes.sort_unstable();
    assert_eq!(codes, [252, 253]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn whoever_is_neither_primary_nor_trusted_starts_nothing() {
    let elsewhere: SocketAddr = "192.0.2.9:25".parse().unwrap();
    let settings = Settings::for_primary(elsewhere).with("http", "trusted = [\"192.0.2.0/24\"]");
    let cluster = Cluster::start(1, &settings);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    for (command, code, enhanced) in [
        ("ETRN example.com", 458, "4.7.1 "),
        ("ETRN @example.com", 458, "4.7.1 "),
        ("ETRN elsewhere.test", 459, "4.7.1 "),
    ] {
        let reply = sender.command(command).unwrap();
        assert_eq!(reply.code, code, "{command}: {reply}");
        assert!(reply.lines[0].starts_with(enhanced), "{command}: {reply}");
    }
    assert!(
        !cluster.nodes[0]
            .log_text()
            .contains("flush started by etrn")
    );
}
