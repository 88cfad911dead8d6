//! Nodes that were away for longer than the log remembers.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use harness::{Cluster, Courier, Daemon, Letter, Primary, Settings, wait_until};
use serde_json::Value;

use crate::scene;

/// As few entries as a node file can ask for, so that the log is soon too short.
const LOG_KEEP: &str = "log_keep = 100";

/// Elections until the node that a test wants to lead does: each is a toss between two.
const ELECTIONS_MAX: usize = 12;

fn outage() -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address()).with("cluster", LOG_KEEP);
    let cluster = Cluster::start(3, &settings);
    (primary, cluster)
}

/// Letters among which are some of several pieces, and some to several recipients.
fn letters(serials: std::ops::Range<usize>) -> Vec<Letter> {
    serials
        .map(|serial| match serial % 25 {
            7 => Letter::new(serial, "user0@example.com", 1_300_000),
            11 => Letter::of(
                serial,
                &["user1@example.com", "user2@example.com"],
                600_000,
                harness::letter::Text::Dots,
            ),
            _ => Letter::new(serial, &format!("user{}@example.com", serial % 5), 2_000),
        })
        .collect()
}

#[test]
fn a_node_that_was_away_is_sent_envelopes_that_are_larger_than_their_bodies() {
    const LETTERS: usize = 120;
    let (_primary, mut cluster) = scene::outage(3);
    let away = cluster.follower();
    cluster.nodes[away].kill();
    let recipients: Vec<String> = (0..1000)
        .map(|number| format!("u{number:060}@example.com"))
        .collect();
    // All of them together are more than one request between nodes may be.
    let letters: Vec<Letter> = (0..LETTERS)
        .map(|serial| Letter {
            to: recipients.clone(),
            ..Letter::new(serial, "one@example.com", 300)
        })
        .collect();
    scene::send_all(&cluster, &letters);
    cluster.nodes[away].spawn();
    cluster.wait_queued(LETTERS as u64, scene::CATCH_UP);
    wait_agreed(&cluster);
}

fn queue(node: &Daemon) -> Value {
    node.ctl().json(&["queue", "list"])
}

fn applied(node: &Daemon) -> Option<f64> {
    node.metric("layover_raft_last_applied_index", &[])
}

/// Waits until all running nodes have applied the same and show the same queue.
#[track_caller]
fn wait_agreed(cluster: &Cluster) {
    let running = || cluster.nodes.iter().filter(|node| node.is_running());
    wait_until(scene::CATCH_UP, "all nodes have applied the same", || {
        let mut indexes = running().map(applied);
        let first = indexes.next().flatten();
        first.is_some() && indexes.all(|index| index == first)
    });
    let mut lists = running().map(queue);
    let first = lists.next();
    assert!(lists.all(|list| Some(&list) == first.as_ref()));
}

#[test]
fn a_follower_away_for_longer_than_the_log_gets_a_snapshot_and_is_a_full_member() {
    let (mut primary, mut cluster) = outage();
    let letters = letters(0..500);
    scene::send_all(&cluster, &letters[..50]);
    let away = cluster.follower();
    cluster.nodes[away].kill();
    // Some of what it had is delivered while it is away, and some that it never saw.
    scene::send_all(&cluster, &letters[50..100]);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    primary.down();
    scene::send_all(&cluster, &letters[100..480]);

    cluster.nodes[away].spawn();
    cluster.nodes[away].wait_ready();
    cluster.wait_queued(380, scene::CATCH_UP);
    wait_agreed(&cluster);
    let log = cluster.nodes[away].log_text();
    assert!(log.contains("installing a snapshot"), "{log}");

    // It alone has what is to be delivered once it leads: nobody else is asked for a body.
    let leader = make_leader(&mut cluster, away);
    assert_eq!(leader, away);
    scene::send_all(&cluster, &letters[480..]);
    scene::drain(&cluster, &mut primary, &letters);
}

/// Kills whoever leads until `wanted` does.
fn make_leader(cluster: &mut Cluster, wanted: usize) -> usize {
    for _ in 0..ELECTIONS_MAX {
        let leader = cluster.leader();
        if leader == wanted {
            break;
        }
        cluster.nodes[leader].kill();
        wait_until(harness::cluster::ELECTION, "another node leads", || {
            cluster.nodes.iter().any(Daemon::is_leader)
        });
        cluster.nodes[leader].spawn();
        cluster.nodes[leader].wait_ready();
    }
    cluster.leader()
}

#[test]
fn a_node_restored_by_snapshot_makes_the_quorum() {
    let (mut primary, mut cluster) = outage();
    let letters = letters(0..400);
    let away = cluster.follower();
    cluster.nodes[away].kill();
    scene::send_all(&cluster, &letters[..300]);
    cluster.nodes[away].spawn();
    cluster.nodes[away].wait_ready();
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    scene::send_all(&cluster, &letters[300..]);
    wait_agreed(&cluster);
    scene::drain(&cluster, &mut primary, &letters);
    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
    cluster.wait_queued(0, scene::CATCH_UP);
    wait_agreed(&cluster);
}

#[test]
fn a_node_restored_by_snapshot_has_it_after_another_kill() {
    let (mut primary, mut cluster) = outage();
    let letters = letters(0..300);
    let away = cluster.follower();
    cluster.nodes[away].kill();
    scene::send_all(&cluster, &letters);
    cluster.nodes[away].spawn();
    wait_until(scene::CATCH_UP, "it installs a snapshot", || {
        let log = cluster.nodes[away].log_text();
        log.contains("installing a snapshot")
    });
    // In the middle of it, or just behind it: either way it must start again.
    cluster.nodes[away].kill();
    cluster.nodes[away].spawn();
    cluster.nodes[away].wait_ready();
    cluster.wait_queued(300, scene::CATCH_UP);
    wait_agreed(&cluster);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_follower_restarted_under_mail_catches_up_each_time() {
    let (mut primary, mut cluster) = outage();
    primary.on_cue(|cue| cue.pause(harness::Stage::Dot, Duration::from_millis(2)));
    let hosts = cluster.hosts();
    let stop = &AtomicBool::new(false);
    let mut letters = Vec::new();
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let mut courier = Courier::new(&hosts);
            let mut taken = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let next = self::letters(taken.len()..taken.len() + 1).remove(0);
                courier.send(&next, scene::TAKEN).expect("it is taken");
                taken.push(next);
            }
            taken
        });
        for round in 0..3 {
            let away = cluster.follower();
            cluster.nodes[away].kill();
            let leader = cluster.leader();
            let reached = applied(&cluster.nodes[leader]).unwrap_or(0.0);
            wait_until(scene::TAKEN, "the log has moved on", || {
                applied(&cluster.nodes[leader]).is_some_and(|index| index > reached + 250.0)
            });
            if round == 1 {
                primary.up();
            }
            cluster.nodes[away].spawn();
            cluster.nodes[away].wait_ready();
        }
        stop.store(true, Ordering::Relaxed);
        letters = sender.join().unwrap();
    });
    scene::drain(&cluster, &mut primary, &letters);
    wait_agreed(&cluster);
}

#[test]
fn a_node_that_is_away_for_long_does_not_keep_the_others_from_cutting_their_logs() {
    let (mut primary, mut cluster) = outage();
    let letters = scene::letters(0..1_500);
    scene::send_all(&cluster, &letters[..20]);
    let away = cluster.follower();
    cluster.nodes[away].kill();
    let leader = cluster.leader();
    let cut = || {
        let snapshot = cluster.nodes[leader].ctl().json(&["cluster", "snapshot"]);
        snapshot["snapshot_index"].as_u64().unwrap_or(0)
    };
    // From here on the leader would send its spool, were there anyone to take it.
    scene::send_all(&cluster, &letters[20..400]);
    let before = cut();
    scene::send_all(&cluster, &letters[400..]);
    let after = cut();
    assert!(after >= before + 1_100, "{before}, {after}");
    let entries = std::fs::read_dir(cluster.nodes[leader].data_dir()).unwrap();
    let copies: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("snapshot-"))
        .collect();
    assert!(
        copies.is_empty(),
        "{copies:?} hold the files of that moment"
    );
    cluster.nodes[away].spawn();
    cluster.nodes[away].wait_ready();
    wait_agreed(&cluster);
    scene::drain(&cluster, &mut primary, &letters);
}
