//! Senders that send the same message again: because they never read their 250, or because they
//! mean it.

use std::{net::SocketAddr, time::Duration};

use harness::{Cluster, Letter, Primary, Sender, Settings, sender::stuffed, wait_until};

use crate::scene;

/// Larger than a piece, so that it goes through the log in several entries.
const LARGE: usize = 1_300_000;

/// What is told of a message on its way to the other nodes is known there in this time.
const TOLD: Duration = Duration::from_secs(10);

/// Sends a letter up to its final dot and reads nothing more.
fn send_blindly(host: SocketAddr, letter: &Letter) -> Sender {
    let mut sender = Sender::connect(host).unwrap();
    let mut commands = vec![format!("MAIL FROM:<{}>", letter.from)];
    commands.extend(letter.to.iter().map(|to| format!("RCPT TO:<{to}>")));
    commands.push("DATA".to_owned());
    for command in commands {
        let reply = sender.command(&command).unwrap();
        assert!(reply.is_positive(), "{command}: {reply}");
    }
    sender.write(&stuffed(&letter.body)).unwrap();
    sender
}

/// Sends a letter; returns the id that it is queued under. The session stays open.
fn send(sender: &mut Sender, letter: &Letter) -> String {
    let reply = sender.send(letter).unwrap();
    let id = reply.queued_as();
    id.unwrap_or_else(|| panic!("letter {}: {reply}", letter.serial))
        .to_owned()
}

/// The same over a session of its own that ends with QUIT.
fn send_once(host: SocketAddr, letter: &Letter) -> String {
    let mut sender = Sender::connect(host).unwrap();
    let id = send(&mut sender, letter);
    sender.quit().unwrap();
    id
}

/// The ids in the queue, in order of arrival.
fn queued(cluster: &Cluster) -> Vec<String> {
    let list = cluster.ctl().json(&["queue", "list"]);
    let messages = list.as_array().unwrap().iter();
    let ids = messages.map(|message| message["id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// Waits until every running node knows of so many messages that may come again.
fn wait_unconfirmed(cluster: &Cluster, count: u32) {
    wait_until(TOLD, "all nodes know what was read", || {
        let mut nodes = cluster.nodes.iter().filter(|node| node.is_running());
        nodes.all(|node| node.metric("layover_queue_unconfirmed", &[]) == Some(f64::from(count)))
    });
}

/// How often the primary got a letter.
fn copies(primary: &Primary, serial: usize) -> usize {
    let received = primary.received();
    let same = received.iter().filter(|one| one.serial() == Some(serial));
    same.count()
}

#[test]
fn a_message_whose_250_was_lost_is_not_spooled_twice_and_any_other_is() {
    let (mut primary, cluster) = scene::outage(3);
    let hosts = cluster.hosts();
    let letters: Vec<Letter> = [2_000, LARGE]
        .into_iter()
        .zip(0..)
        .map(|(size, serial)| Letter::new(serial, "a@example.com", size))
        .collect();
    for (letter, count) in letters.iter().zip(1..) {
        let cut = send_blindly(hosts[0], letter);
        cluster.wait_queued(count, scene::TAKEN);
        cut.hang_up();
        let id = send_once(hosts[1], letter);
        assert_eq!(Some(&id), queued(&cluster).last());
        assert_eq!(queued(&cluster).len() as u64, count, "spooled once");
    }
    let repeated = "result=\"repeated\"";
    let recognised = cluster.nodes[1].metric("layover_smtp_messages_total", &[repeated]);
    assert_eq!(recognised, Some(2.0));
    assert!(cluster.nodes[1].log_text().contains("repeat recognised"));

    // Unread again, and then sent with another recipient, or with one octet changed.
    let first = Letter::new(10, "a@example.com", 2_000);
    let cut = send_blindly(hosts[0], &first);
    cluster.wait_queued(3, scene::TAKEN);
    cut.hang_up();
    let mut changed = [first.clone(), first.clone(), first.clone()];
    changed[0].to = vec!["b@example.com".to_owned()];
    changed[1].to.push("b@example.com".to_owned());
    let last = changed[2].body.len() - 3;
    changed[2].body[last] ^= 1;
    for (letter, count) in changed.iter().zip(4..) {
        let id = send_once(hosts[2], letter);
        // The node that is asked may follow.
        cluster.wait_queued(count, scene::CATCH_UP);
        assert_eq!(queued(&cluster).len() as u64, count);
        assert_eq!(Some(&id), queued(&cluster).last());
    }

    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    for letter in &letters {
        assert_eq!(copies(&primary, letter.serial), 1);
    }
    let received = primary.received();
    let received: Vec<_> = received
        .into_iter()
        .filter(|arrived| arrived.serial() != Some(10))
        .collect();
    let account = harness::compare(&letters, &received);
    assert!(account.is_right(), "{account}: {account:?}");
    assert_eq!(copies(&primary, 10), 4);
}

#[test]
fn a_message_taken_by_a_node_that_died_is_not_spooled_twice() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = [
        Letter::new(0, "a@example.com", 2_000),
        Letter::new(1, "a@example.com", LARGE),
    ];
    for (letter, count) in letters.iter().zip(1..) {
        // Once with the leader, once with a follower.
        let place = if count == 1 {
            cluster.leader()
        } else {
            cluster.follower()
        };
        let cut = send_blindly(cluster.nodes[place].smtp(), letter);
        cluster.wait_queued(count, scene::TAKEN);
        cluster.nodes[place].kill();
        cut.hang_up();
        let other = (place + 1) % 3;
        let receipt = harness::Courier::new(&[cluster.nodes[other].smtp()])
            .send(letter, scene::TAKEN)
            .unwrap();
        assert_eq!(Some(&receipt.id), queued(&cluster).last());
        assert_eq!(queued(&cluster).len() as u64, count, "spooled once");
        cluster.nodes[place].spawn();
        cluster.nodes[place].wait_ready();
    }
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert!(account.repeated.is_empty(), "{account:?}");
}

#[test]
fn a_message_that_was_put_off_without_a_quorum_leaves_one_copy() {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address()).with("smtp", "commit_timeout = \"2s\"");
    let (mut primary, cluster) = (primary, Cluster::start(3, &settings));
    let leader = cluster.leader();
    let letter = Letter::new(0, "a@example.com", 2_000);
    let mut session = Sender::connect(cluster.nodes[leader].smtp()).unwrap();
    let paused: Vec<usize> = (0..3).filter(|&place| place != leader).collect();
    for &place in &paused {
        cluster.nodes[place].pause();
    }
    let outcome = session.send(&letter);
    for &place in &paused {
        cluster.nodes[place].resume();
    }
    let reply = outcome.unwrap();
    assert_eq!(reply.code, 451, "{reply}");
    let mut courier = harness::Courier::new(&[cluster.nodes[paused[0]].smtp()]);
    let receipt = courier.send(&letter, scene::TAKEN).unwrap();
    wait_until(scene::TAKEN, "it is in the queue", || {
        queued(&cluster) == [receipt.id.as_str()]
    });
    let account = scene::drain(&cluster, &mut primary, &[letter]);
    assert!(account.repeated.is_empty(), "{account:?}");
}

#[test]
fn after_its_250_was_read_the_same_message_is_another_one_on_every_node() {
    let (mut primary, cluster) = scene::outage(3);
    let letter = Letter::new(0, "a@example.com", 2_000);
    let hosts = cluster.hosts();
    let mut ids = Vec::new();
    // In the same session, then in another with the same node, then with every node.
    for _ in 0..2 {
        let mut sender = Sender::connect(hosts[0]).unwrap();
        for _ in 0..3 {
            ids.push(send(&mut sender, &letter));
        }
        sender.quit().unwrap();
    }
    for host in &hosts {
        wait_unconfirmed(&cluster, 0);
        ids.push(send_once(*host, &letter));
    }
    wait_unconfirmed(&cluster, 0);
    assert_eq!(queued(&cluster), ids, "each is a message of its own");
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    assert_eq!(copies(&primary, 0), ids.len());
}

#[test]
fn a_message_that_was_delivered_meanwhile_is_known_after_a_restart_of_all_nodes() {
    let mut primary = Primary::started();
    let mut cluster = Cluster::start(3, &Settings::for_primary(primary.address()));
    let letter = Letter::new(0, "a@example.com", 2_000);
    let cut = send_blindly(cluster.nodes[0].smtp(), &letter);
    scene::wait_received(&primary, 1);
    cluster.wait_queued(0, scene::DRAIN);
    cut.hang_up();
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    wait_unconfirmed(&cluster, 1);
    let id = send_once(cluster.nodes[2].smtp(), &letter);
    assert!(
        cluster.nodes[0].log_text().contains(&id),
        "node 1 took it under this id"
    );
    // Another message comes through, so the repeat would have, too.
    let other = Letter::new(1, "a@example.com", 2_000);
    send_once(cluster.nodes[1].smtp(), &other);
    scene::wait_received(&primary, 2);
    let account = scene::drain(&cluster, &mut primary, &[letter, other]);
    assert!(account.repeated.is_empty(), "{account:?}");
}
