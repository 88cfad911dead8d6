//! Three nodes that agree.

use std::{thread, time::Duration};

use harness::{Courier, Letter, Sender, wait_until};

use crate::scene;

#[test]
fn what_any_node_took_every_node_has() {
    let (mut primary, cluster) = scene::outage(3);
    let letters = scene::letters(0..30);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(30, scene::CATCH_UP);
    let lists: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| node.ctl().json(&["queue", "list"]))
        .collect();
    assert_eq!(lists[0].as_array().map(Vec::len), Some(30));
    let ids = |list: &serde_json::Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["id"].to_string())
            .collect()
    };
    assert_eq!(ids(&lists[0]), ids(&lists[1]));
    assert_eq!(ids(&lists[0]), ids(&lists[2]));
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn killing_the_leader_with_mail_flowing_loses_nothing_and_keeps_the_order() {
    let (mut primary, mut cluster) = scene::outage(3);
    let hosts = cluster.hosts();
    let leader = cluster.leader();
    let letters: Vec<Letter> = (0..240)
        .map(|serial| Letter::new(serial, &format!("user{}@example.com", serial % 4), 4_000))
        .collect();
    thread::scope(|scope| {
        for number in 0..4 {
            let (hosts, letters) = (&hosts, &letters);
            scope.spawn(move || {
                let mut courier = Courier::new(hosts).starting_at(number);
                for letter in letters.iter().filter(|letter| letter.serial % 4 == number) {
                    courier
                        .send(letter, scene::TAKEN)
                        .expect("the letter is taken");
                }
            });
        }
        wait_until(scene::TAKEN, "mail flows", || {
            cluster.nodes[leader]
                .queued()
                .is_some_and(|queued| queued >= 60)
        });
        cluster.nodes[leader].kill();
    });
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn killing_the_leader_while_it_delivers_loses_nothing() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..400);
    scene::send_all(&cluster, &letters);
    let leader = cluster.leader();
    primary.on_cue(|cue| cue.pause(harness::Stage::Dot, Duration::from_millis(5)));
    primary.up();
    scene::wait_received(&primary, 50);
    cluster.nodes[leader].kill();
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert!(account.repeated.len() <= 100, "{account}");
}

#[test]
fn a_follower_that_was_killed_catches_up() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..90);
    scene::send_all(&cluster, &letters[..30]);
    let follower = cluster.follower();
    cluster.nodes[follower].kill();
    scene::send_all(&cluster, &letters[30..60]);
    cluster.nodes[follower].spawn();
    cluster.nodes[follower].wait_ready();
    scene::send_all(&cluster, &letters[60..]);
    cluster.wait_queued(90, scene::CATCH_UP);
    scene::drain(&cluster, &mut primary, &letters);
}

/// What `layover cluster verify` says, asked of one node.
fn verified(cluster: &harness::Cluster, place: usize) -> harness::ctl::Outcome {
    cluster.nodes[place].ctl().run(&["cluster", "verify"])
}

#[test]
fn all_replicas_are_equal_to_the_octet_and_any_node_can_say_so() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..120);
    scene::send_all(&cluster, &letters[..60]);
    primary.up();
    // The indices move while they are asked for.
    thread::scope(|scope| {
        scope.spawn(|| scene::send_all(&cluster, &letters[60..]));
        let outcome = verified(&cluster, 0);
        assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    });
    scene::drain(&cluster, &mut primary, &letters);
    let equal = cluster.nodes[cluster.follower()].ctl();
    let equal = equal.json(&["cluster", "verify"]);
    assert_eq!(equal["equal"], true, "{equal}");
    let digests: Vec<_> = equal["members"].as_array().unwrap().iter().collect();
    assert_eq!(digests.len(), 3, "{equal}");
    assert!(
        digests[0]["rows"].as_u64() > Some(120),
        "their ids stay known: {equal}"
    );

    let down = cluster.follower();
    cluster.nodes[down].kill();
    let outcome = verified(&cluster, cluster.leader());
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    let named = format!("node {} does not answer", cluster.nodes[down].id);
    assert!(outcome.err.contains(&named), "{}", outcome.err);
    assert_eq!(outcome.err.trim_end().lines().count(), 1, "{}", outcome.err);
}

#[test]
fn every_node_restarted_in_turn_and_mail_never_stops() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..90);
    for (place, part) in letters.chunks(30).enumerate() {
        scene::send_all(&cluster, &part[..15]);
        assert!(cluster.nodes[place].terminate().success());
        scene::send_all(&cluster, &part[15..]);
        cluster.nodes[place].spawn();
        cluster.nodes[place].wait_ready();
    }
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn all_nodes_killed_at_once_have_what_was_acknowledged() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters);
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    cluster.wait_queued(60, scene::CATCH_UP);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_large_message_goes_through_any_node() {
    let (mut primary, cluster) = scene::outage(3);
    let letters: Vec<Letter> = (0..3)
        .map(|serial| Letter::new(serial, "a@example.com", 10 * 1024 * 1024))
        .collect();
    for (letter, node) in letters.iter().zip(&cluster.nodes) {
        let mut sender = Sender::connect(node.smtp()).unwrap();
        assert_eq!(sender.send(letter).unwrap().code, 250);
    }
    scene::drain(&cluster, &mut primary, &letters);
}
