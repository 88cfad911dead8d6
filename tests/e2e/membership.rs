//! Nodes come, go, move, and are replaced; mail flows all the while.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use harness::{
    Cluster, Courier, Ctl, Daemon, Letter, Port, Primary, Sender, Settings, logs, wait_until,
};
use serde_json::Value;

use crate::scene;

/// A node that was removed has noticed, and has ended, within this.
const NOTICED: Duration = Duration::from_secs(30);

/// Milliseconds after which the leader takes a node that says nothing for dead.
const SILENT_MS: u64 = 4_000;

/// Between two letters of a sender that never stops: hundreds a second would only fill the disk.
const PACE: Duration = Duration::from_millis(5);

pub(crate) fn settings(primary: &Primary) -> Settings {
    Settings::for_primary(primary.address()).allowing("was removed from its cluster")
}

/// Three nodes whose primary is down.
fn trio() -> (Primary, Cluster, Settings) {
    let primary = Primary::down_at_first();
    let settings = settings(&primary);
    let cluster = Cluster::start(3, &settings);
    (primary, cluster, settings)
}

/// Sends letters all the time while `action` runs; returns those that were taken.
pub(crate) fn while_mail_flows(hosts: &[SocketAddr], action: impl FnOnce()) -> Vec<Letter> {
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let mut courier = Courier::new(hosts);
            let mut taken = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let next = scene::letters(taken.len()..taken.len() + 1).remove(0);
                courier.send(&next, scene::TAKEN).expect("it is taken");
                taken.push(next);
                thread::sleep(PACE);
            }
            taken
        });
        // The sender must end also when the action fails, or the test would never.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stopper = Stop(stop);
        action();
        drop(stopper);
        sender.join().unwrap()
    })
}

/// The ids of the members with this role, as a node tells them; the leader is a voter.
fn with_role(node: &Ctl, voters: bool) -> Vec<u64> {
    let status = node.json(&["cluster", "status"]);
    let members = status["members"].as_array().unwrap().iter();
    members
        .filter(|member| (member["role"] != "learner") == voters)
        .map(|member| member["id"].as_u64().unwrap())
        .collect()
}

#[track_caller]
pub(crate) fn wait_voters(cluster: &Cluster, expected: &[u64]) {
    wait_until(scene::CATCH_UP, "every node counts the same voters", || {
        let mut running = cluster.nodes.iter().filter(|node| node.is_running());
        running.all(|node| {
            with_role(&node.ctl(), true) == expected && with_role(&node.ctl(), false).is_empty()
        })
    });
}

/// A command that is done.
#[track_caller]
fn done(ctl: &Ctl, words: &[&str]) -> Value {
    ctl.json(words)
}

/// The one line with which a command is refused.
#[track_caller]
fn refused(ctl: &Ctl, words: &[&str], phrase: &str) {
    let outcome = ctl.run(words);
    assert_eq!(outcome.code, 1, "{words:?}: {}", outcome.out);
    assert_eq!(outcome.err.trim_end().lines().count(), 1, "{}", outcome.err);
    assert!(outcome.err.contains(phrase), "{words:?}: {}", outcome.err);
}

/// A node that was removed ends and says why.
#[track_caller]
pub(crate) fn assert_ended_as_removed(node: &mut Daemon) {
    let (status, log) = node.wait_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    let last = logs::last_words(&log);
    assert!(last.contains("was removed from its cluster"), "{last}");
    assert!(last.contains("new id"), "{last}");
}

fn remove(cluster: &mut Cluster, place: usize) {
    let id = cluster.nodes[place].id.to_string();
    done(&cluster.ctl(), &["cluster", "remove", &id]);
    assert_ended_as_removed(&mut cluster.nodes[place]);
}

fn address(node: &Daemon) -> String {
    node.ports.cluster.address().to_string()
}

fn rewrite(config: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(config).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(config, text.replace(from, to)).unwrap();
}

#[test]
fn a_cluster_grows_to_five_and_shrinks_to_one_while_mail_flows() {
    let mut primary = Primary::down_at_first();
    let settings = settings(&primary);
    let mut cluster = Cluster::bootstrap(&settings);
    let first = cluster.nodes[0].ports.cluster.address();
    for _ in 1..5 {
        cluster.prepare_joining(first, &settings);
    }
    let hosts = cluster.hosts();
    let letters = while_mail_flows(&hosts, || {
        for place in 1..5 {
            cluster.nodes[place].spawn();
            cluster.nodes[place].wait_ready();
        }
        wait_voters(&cluster, &[1, 2, 3, 4, 5]);
        primary.up();
        // The leader goes first, then two that follow, then whoever leads the last two.
        let leader = cluster.leader();
        remove(&mut cluster, leader);
        for _ in 0..2 {
            let follower = cluster.follower();
            remove(&mut cluster, follower);
        }
        let leader = cluster.leader();
        remove(&mut cluster, leader);
        let last = cluster.nodes.iter().find(|node| node.is_running()).unwrap();
        wait_voters(&cluster, &[last.id]);
    });
    let account = scene::drain(&cluster, &mut primary, &letters);
    println!("{account}");
}

#[test]
fn a_dead_node_whose_disk_is_gone_is_replaced_by_one_with_a_new_id() {
    let (mut primary, mut cluster, settings) = trio();
    let letters = scene::letters(0..150);
    scene::send_all(&cluster, &letters[..50]);
    let dead = cluster.follower();
    cluster.nodes[dead].kill();
    fs::remove_dir_all(cluster.nodes[dead].data_dir()).unwrap();
    let leader = cluster.leader();
    // The one that is asked does not lead: it passes the request on.
    let follower = (0..3).find(|&at| at != dead && at != leader).unwrap();
    let new = cluster.join(follower, &settings);
    let id = cluster.nodes[dead].id.to_string();
    let answer = done(&cluster.ctl(), &["cluster", "remove", &id]);
    assert_eq!(answer["role"], "removed", "{answer}");
    assert_eq!(answer["voters"], 3, "{answer}");
    scene::send_all(&cluster, &letters[50..100]);
    cluster.wait_queued(100, scene::CATCH_UP);

    // It is a full member: with it, another one may fail.
    cluster.nodes[leader].kill();
    let mut courier = Courier::new(&[cluster.nodes[follower].smtp(), cluster.nodes[new].smtp()]);
    for letter in &letters[100..] {
        courier.send(letter, scene::TAKEN).unwrap();
    }
    // The dead one comes back with an empty disk and its old id, and is told.
    cluster.nodes[dead].spawn();
    assert_ended_as_removed(&mut cluster.nodes[dead]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_node_that_was_removed_while_it_was_down_does_not_start_again() {
    let (mut primary, mut cluster, _) = trio();
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters[..20]);
    cluster.wait_queued(20, scene::CATCH_UP);
    let away = cluster.follower();
    assert!(cluster.nodes[away].terminate().success());
    let id = cluster.nodes[away].id.to_string();
    done(&cluster.ctl(), &["cluster", "remove", &id]);
    cluster.nodes[away].spawn();
    assert_ended_as_removed(&mut cluster.nodes[away]);
    // It has noted it, and needs nobody to tell it again.
    for place in (0..3).filter(|&place| place != away) {
        cluster.nodes[place].kill();
    }
    cluster.nodes[away].spawn();
    assert_ended_as_removed(&mut cluster.nodes[away]);
    for place in (0..3).filter(|&place| place != away) {
        cluster.nodes[place].spawn();
    }
    let mut courier = cluster.courier();
    for letter in &letters[20..] {
        courier.send(letter, scene::TAKEN).unwrap();
    }
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_client_in_the_middle_of_its_message_hears_at_once_that_its_node_was_removed() {
    let (_primary, mut cluster, _) = trio();
    let place = cluster.follower();
    let mut client = Sender::connect(cluster.nodes[place].smtp()).unwrap();
    for command in [
        "MAIL FROM:<a@sender.test>",
        "RCPT TO:<b@example.com>",
        "DATA",
    ] {
        let reply = client.command(command).unwrap();
        assert!(reply.is_positive(), "{command}: {reply}");
    }
    client.write(b"half of a message\r\n").unwrap();
    remove(&mut cluster, place);
    let reply = client.read_reply().unwrap();
    assert_eq!(reply.code, 421, "{reply}");
    assert!(reply.lines[0].starts_with("4.3.2 "), "{reply}");
    let log = cluster.nodes[place].log_text();
    assert!(!log.contains("sessions cut off"), "it has waited: {log}");
}

#[test]
fn what_would_do_harm_is_refused_in_one_sentence() {
    let (_primary, mut cluster, _) = trio();
    let ctl = cluster.ctl();
    let leader = cluster.leader();
    let (own, own_address) = (cluster.nodes[leader].id, address(&cluster.nodes[leader]));
    let own = own.to_string();
    refused(&ctl, &["cluster", "remove", "9"], "no member");
    refused(&ctl, &["cluster", "transfer-leader", "9"], "no member");
    refused(
        &ctl,
        &["cluster", "add", &own, "127.0.0.1:1"],
        "member already",
    );
    refused(
        &ctl,
        &["cluster", "add", "9", &own_address],
        "every node has its own",
    );
    let nobody = Port::free();
    refused(
        &ctl,
        &["cluster", "add", "9", &nobody.address().to_string()],
        "can not be reached",
    );
    let again = done(&ctl, &["cluster", "add", &own, &own_address]);
    assert_eq!(again["changed"], false, "{again}");
    let again = done(&ctl, &["cluster", "transfer-leader", &own]);
    assert_eq!(again["changed"], false, "{again}");

    let dead = cluster.follower();
    let other = (0..3).find(|&at| at != dead && at != leader).unwrap();
    cluster.nodes[dead].kill();
    let dead = cluster.nodes[dead].id.to_string();
    let other = cluster.nodes[other].id.to_string();
    let term = |ctl: &Ctl| ctl.json(&["cluster", "status"])["term"].clone();
    let ctl = cluster.nodes[leader].ctl();
    let before = term(&ctl);
    // At once: the leader has heard of it a moment ago.
    refused(
        &ctl,
        &["cluster", "transfer-leader", &dead],
        &format!("node {dead} does not answer"),
    );
    refused(&ctl, &["cluster", "remove", &other], "no quorum");
    assert!(cluster.nodes[leader].is_leader());
    assert_eq!(term(&ctl), before);
    wait_until(NOTICED, "the dead node is missed", || {
        let status = ctl.json(&["cluster", "status"]);
        let members = status["members"].as_array().unwrap();
        let is_silent = |member: &Value| member["silent_ms"].as_u64() > Some(SILENT_MS);
        members.iter().any(is_silent)
    });
    done(&ctl, &["cluster", "remove", &dead]);
    let again = done(&ctl, &["cluster", "remove", &dead]);
    assert_eq!(again["changed"], false, "{again}");
    refused(
        &ctl,
        &["cluster", "add", &dead, "127.0.0.1:1"],
        "never used again",
    );
}

#[test]
fn leadership_goes_to_the_voter_that_is_named() {
    let (mut primary, cluster, _) = trio();
    let hosts = cluster.hosts();
    let letters = while_mail_flows(&hosts, || {
        for _ in 0..3 {
            let next = cluster.follower();
            let id = cluster.nodes[next].id;
            // Whoever is asked passes it on.
            let answer = done(
                &cluster.nodes[next].ctl(),
                &["cluster", "transfer-leader", &id.to_string()],
            );
            assert_eq!(answer["role"], "leader", "{answer}");
            wait_until(NOTICED, "it leads", || cluster.nodes[next].is_leader());
        }
    });
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn of_two_additions_at_once_each_is_made_or_refused_and_none_is_half_made() {
    let mut primary = Primary::down_at_first();
    let settings = settings(&primary);
    let mut cluster = Cluster::bootstrap(&settings);
    // They ask nobody who would answer, so that it is the operator who adds them.
    let nobody = Port::free();
    for _ in 0..2 {
        let place = cluster.prepare_joining(nobody.address(), &settings);
        cluster.nodes[place].spawn();
    }
    let letters = scene::letters(0..100);
    scene::send_all(&cluster, &letters[..50]);
    let add = |place: usize| {
        let node = &cluster.nodes[place];
        let (id, address) = (node.id.to_string(), address(node));
        cluster.nodes[0]
            .ctl()
            .run(&["cluster", "add", &id, &address])
    };
    wait_until(NOTICED, "both are voters", || {
        let outcomes = thread::scope(|scope| {
            let adding = [1, 2].map(|place| scope.spawn(move || add(place)));
            adding.map(|adding| adding.join().unwrap())
        });
        for outcome in &outcomes {
            let waits = ["is being added", "is under way", "can not be reached"];
            let may_wait = waits.iter().any(|phrase| outcome.err.contains(phrase));
            assert!(outcome.code == 0 || may_wait, "{}", outcome.err);
        }
        outcomes.iter().all(|outcome| outcome.code == 0)
    });
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    wait_voters(&cluster, &[1, 2, 3]);
    scene::send_all(&cluster, &letters[50..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_node_that_joins_founds_nothing_and_waits_for_those_it_asks() {
    let mut primary = Primary::down_at_first();
    let settings = settings(&primary);
    let mut cluster = Cluster::bootstrap(&settings);
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters[..20]);
    cluster.nodes[0].kill();
    let asked = cluster.nodes[0].ports.cluster.address();
    let new = cluster.prepare_joining(asked, &settings);
    cluster.nodes[new].spawn();
    wait_until(NOTICED, "it says that it waits", || {
        let log = cluster.nodes[new].log_text();
        log.contains("has to wait: ") && log.contains("see that a member runs there")
    });
    let status = cluster.nodes[new].ctl().json(&["cluster", "status"]);
    assert!(status["leader"].is_null(), "{status}");
    assert!(status["cluster"].is_null(), "{status}");
    assert!(!cluster.nodes[new].is_ready());

    cluster.nodes[0].spawn();
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    wait_voters(&cluster, &[1, 2]);
    scene::send_all(&cluster, &letters[20..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_cluster_that_has_just_grown_to_two_outlives_the_death_of_its_first_node() {
    let mut primary = Primary::down_at_first();
    let settings = settings(&primary);
    let mut cluster = Cluster::bootstrap(&settings);
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters[..20]);
    let asked = cluster.nodes[0].ports.cluster.address();
    let new = cluster.prepare_joining(asked, &settings);
    cluster.nodes[new].spawn();
    let first = cluster.nodes[0].ctl();
    wait_until(NOTICED, "there are two voters", || {
        with_role(&first, true) == [1, 2]
    });
    cluster.nodes[0].kill();
    // It was made a voter only when it would vote. Else each would wait for the other now.
    let log = cluster.nodes[new].log_text();
    assert!(log.contains("has caught up and votes"), "{log}");
    cluster.nodes[new].kill();
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    scene::send_all(&cluster, &letters[20..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_node_that_was_away_hears_a_leader_that_came_meanwhile() {
    let (mut primary, mut cluster, settings) = trio();
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters[..20]);
    let away = cluster.follower();
    cluster.nodes[away].kill();
    let leader = cluster.leader();
    let new = cluster.join(leader, &settings);
    scene::send_all(&cluster, &letters[20..40]);
    scene::let_lead(&cluster, new);
    // Of those that the one that was away knows, one is left to tell it who leads, and without it
    // there is no majority.
    cluster.nodes[leader].kill();
    cluster.nodes[away].spawn();
    cluster.nodes[away].wait_ready();
    scene::send_all(&cluster, &letters[40..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_node_that_joins_gets_by_snapshot_what_the_log_does_not_hold_any_more() {
    let mut primary = Primary::down_at_first();
    let settings = settings(&primary).with("cluster", "log_keep = 100");
    let mut cluster = Cluster::bootstrap(&settings);
    let letters: Vec<Letter> = (0..500)
        .map(|serial| {
            let size = if serial % 50 == 0 { 1_300_000 } else { 2_000 };
            Letter::new(serial, &format!("user{}@example.com", serial % 5), size)
        })
        .collect();
    scene::send_all(&cluster, &letters[..450]);
    let new = cluster.join(0, &settings);
    assert!(
        cluster.nodes[new]
            .log_text()
            .contains("installing a snapshot"),
        "it came by log"
    );
    scene::send_all(&cluster, &letters[450..]);
    cluster.wait_queued(500, scene::CATCH_UP);
    let queue = |node: &Daemon| node.ctl().json(&["queue", "list"]);
    assert_eq!(queue(&cluster.nodes[0]), queue(&cluster.nodes[new]));
    // Whatever the new one holds is whole: it delivers it all.
    let id = cluster.nodes[new].id.to_string();
    done(&cluster.ctl(), &["cluster", "transfer-leader", &id]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_grown_cluster_restarts_whatever_its_files_say_of_its_founding() {
    let mut primary = Primary::down_at_first();
    let settings = settings(&primary);
    let mut cluster = Cluster::bootstrap(&settings);
    for _ in 0..2 {
        cluster.join(0, &settings);
    }
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters[..20]);
    let restart = |cluster: &mut Cluster| {
        for node in &mut cluster.nodes {
            node.kill();
        }
        for node in &mut cluster.nodes {
            node.spawn();
        }
        for node in &mut cluster.nodes {
            node.wait_ready();
        }
    };
    restart(&mut cluster);
    scene::send_all(&cluster, &letters[20..40]);
    // The operator writes the list of today into the file of the founder, and of one that joined.
    let list: Vec<String> = cluster
        .nodes
        .iter()
        .map(|node| format!("{{ id = {}, address = \"{}\" }}", node.id, address(node)))
        .collect();
    let members = format!("members = [{}]", list.join(", "));
    rewrite(&cluster.nodes[0].config(), "bootstrap = true", &members);
    let join = format!("join = \"{}\"", address(&cluster.nodes[0]));
    rewrite(&cluster.nodes[1].config(), &join, &members);
    restart(&mut cluster);
    scene::send_all(&cluster, &letters[40..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_member_may_move_to_another_address() {
    let (mut primary, mut cluster, _) = trio();
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters[..20]);
    let moved = cluster.follower();
    assert!(cluster.nodes[moved].terminate().success());
    let (from, to) = (address(&cluster.nodes[moved]), Port::free());
    let to_address = to.address().to_string();
    rewrite(&cluster.nodes[moved].config(), &from, &to_address);
    cluster.nodes[moved].ports.cluster = to;
    cluster.nodes[moved].spawn();
    cluster.nodes[moved].wait_ready();
    for node in &cluster.nodes {
        wait_until(scene::CATCH_UP, "every node knows the new address", || {
            let status = node.ctl().json(&["cluster", "status"]);
            let mut members = status["members"].as_array().unwrap().iter();
            members.any(|member| member["address"] == to_address.as_str())
        });
    }
    scene::send_all(&cluster, &letters[20..40]);
    // It counts: without it, nothing would be taken now.
    let other = (0..3)
        .find(|&at| at != moved && at != cluster.leader())
        .unwrap();
    cluster.nodes[other].kill();
    scene::send_all(&cluster, &letters[40..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_follower_of_a_leader_that_lost_the_quorum_takes_no_mail_either() {
    let primary = Primary::down_at_first();
    let mut cluster = Cluster::start(5, &settings(&primary));
    let (leader, follower) = (cluster.leader(), cluster.follower());
    for place in (0..5).filter(|&place| place != leader && place != follower) {
        cluster.nodes[place].kill();
    }
    for place in [leader, follower] {
        wait_until(NOTICED, "its port is closed", || {
            Sender::dial(cluster.nodes[place].smtp()).is_err()
        });
        assert!(!cluster.nodes[place].is_ready());
    }
}
