//! Nodes that die again and again while mail flows.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use harness::{Courier, Letter, wait_until};

use crate::scene;

/// Letters of one courier, to a recipient of its own so that their order is known.
fn letters_of(courier: usize, number: usize) -> Letter {
    // Every tenth is larger than a piece, and so goes through the log in several entries.
    let size = if number % 10 == 9 { 700_000 } else { 3_000 };
    Letter::new(
        courier * 10_000 + number,
        &format!("user{courier}@example.com"),
        size,
    )
}

/// Sends until told to stop; returns what was acknowledged, in order, and how often the outcome of
/// an attempt was unknown.
fn send_until(stop: &AtomicBool, hosts: &[SocketAddr], number: usize) -> (Vec<Letter>, usize) {
    let mut courier = Courier::new(hosts).starting_at(number);
    let (mut taken, mut unknown) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let letter = letters_of(number, taken.len());
        let receipt = courier.send(&letter, scene::TAKEN);
        unknown += receipt.expect("the letter is taken").unknown;
        taken.push(letter);
    }
    (taken, unknown)
}

/// Sends over `couriers` while `harm` is done; returns what was acknowledged.
fn under_mail(hosts: &[SocketAddr], couriers: usize, harm: impl FnOnce()) -> (Vec<Letter>, usize) {
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..couriers)
            .map(|number| scope.spawn(move || send_until(stop, hosts, number)))
            .collect();
        // The senders end even when what is done to the nodes fails the test.
        let harmed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(harm));
        stop.store(true, Ordering::Relaxed);
        let mut all = (Vec::new(), 0);
        for sender in senders {
            let (taken, unknown) = sender.join().unwrap();
            all.0.extend(taken);
            all.1 += unknown;
        }
        if let Err(panic) = harmed {
            std::panic::resume_unwind(panic);
        }
        all
    })
}

#[test]
fn a_single_node_killed_ten_times_starts_each_time_and_loses_nothing() {
    let (mut primary, mut cluster) = scene::outage(1);
    let hosts = cluster.hosts();
    let (letters, unknown) = under_mail(&hosts, 3, || {
        for round in 0..10 {
            let node = &mut cluster.nodes[0];
            // Every other time it dies while it still starts.
            if round % 2 == 0 {
                node.wait_ready();
                let before = node.queued().unwrap_or(0);
                wait_until(scene::TAKEN, "mail flows", || {
                    node.queued().is_some_and(|queued| queued > before + 10)
                });
            }
            node.kill();
            node.spawn();
        }
        cluster.nodes[0].wait_ready();
    });
    assert!(letters.len() > 50, "only {} letters", letters.len());
    let account = scene::drain(&cluster, &mut primary, &letters);
    // Whatever was taken under an unknown outcome is recognised when it comes again.
    assert!(account.repeated.is_empty(), "{account}, {unknown} unknown");
}

#[test]
fn a_node_of_three_killed_ten_times_loses_nothing() {
    let (mut primary, mut cluster) = scene::outage(3);
    let hosts = cluster.hosts();
    let (letters, unknown) = under_mail(&hosts, 3, || {
        for round in 0..10 {
            let place = if round % 2 == 0 {
                cluster.leader()
            } else {
                cluster.follower()
            };
            let node = &mut cluster.nodes[place];
            node.kill();
            node.spawn();
            node.wait_ready();
        }
    });
    let account = scene::drain(&cluster, &mut primary, &letters);
    // Whatever was taken under an unknown outcome is recognised when it comes again.
    assert!(account.repeated.is_empty(), "{account}, {unknown} unknown");
}

#[test]
fn all_nodes_killed_at_once_under_mail_lose_nothing() {
    let (mut primary, mut cluster) = scene::outage(3);
    let hosts = cluster.hosts();
    let (letters, unknown) = under_mail(&hosts, 3, || {
        for _ in 0..3 {
            let before = cluster.nodes[0].queued().unwrap_or(0);
            wait_until(scene::TAKEN, "mail flows", || {
                let queued = cluster.nodes[0].queued();
                queued.is_some_and(|queued| queued > before + 20)
            });
            for node in &mut cluster.nodes {
                node.kill();
            }
            for node in &mut cluster.nodes {
                node.spawn();
            }
            for node in &mut cluster.nodes {
                node.wait_ready();
            }
        }
    });
    let account = scene::drain(&cluster, &mut primary, &letters);
    // Whatever was taken under an unknown outcome is recognised when it comes again.
    assert!(account.repeated.is_empty(), "{account}, {unknown} unknown");
}

#[test]
fn all_nodes_killed_while_they_deliver_lose_nothing() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..300);
    scene::send_all(&cluster, &letters);
    primary.up();
    scene::wait_received(&primary, 50);
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    scene::drain(&cluster, &mut primary, &letters);
}
