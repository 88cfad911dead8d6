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
