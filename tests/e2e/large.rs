//! Many large messages at once: the price is time, not memory and not the leader.

use std::{thread, time::Duration};

use harness::{Cluster, Letter, Primary, Sender, Settings, process};

use crate::scene;

/// What a node may come to, however much is sent to it.
const RESIDENT_BYTES_MAX: u64 = 512 << 20;

/// How long a sender waits for each reply: half of what RFC 5321 section 4.5.3.2.6 asks of it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sends so many messages of so many octets to all nodes at once while the primary is down.
fn send_at_once(count: usize, octets: usize) {
    let mut primary = Primary::down_at_first();
    let settings =
        Settings::for_primary(primary.address()).with("smtp", "max_message_size = \"64MiB\"");
    let cluster = Cluster::start(3, &settings);
    let leader = cluster.leader();
    let changes = leader_changes(&cluster);
    let letters: Vec<Letter> = (0..count)
        .map(|serial| Letter::new(serial, &format!("user{serial}@example.com"), octets))
        .collect();
    thread::scope(|scope| {
        for (letter, host) in letters.iter().zip(cluster.hosts().into_iter().cycle()) {
            scope.spawn(move || {
                let mut sender = Sender::connect_for(host, PATIENCE).unwrap();
                let reply = sender.send(letter).unwrap();
                assert_eq!(reply.code, 250, "{reply}");
            });
        }
    });
    assert_eq!(cluster.leader(), leader);
    assert_eq!(leader_changes(&cluster), changes, "an election was held");
    for node in &cluster.nodes {
        let most = process::resident_bytes_max(node.pid()).unwrap();
        println!("node {}: {} MiB at most", node.id, most >> 20);
        assert!(most < RESIDENT_BYTES_MAX, "{} MiB", most >> 20);
    }
    scene::drain(&cluster, &mut primary, &letters);
}

fn leader_changes(cluster: &Cluster) -> Vec<Option<f64>> {
    let changes = |node: &harness::Daemon| node.metric("layover_raft_leader_changes_total", &[]);
    cluster.nodes.iter().map(changes).collect()
}

#[test]
fn many_large_messages_at_once_cost_neither_memory_nor_the_leader() {
    send_at_once(50, 4 << 20);
}

#[test]
#[ignore = "writes 15 GB; run it with: cargo nextest run --release --workspace --run-ignored only -E 'test(fifty)'"]
fn fifty_messages_of_50_mib_at_once_cost_neither_memory_nor_the_leader() {
    send_at_once(50, 50 << 20);
}
