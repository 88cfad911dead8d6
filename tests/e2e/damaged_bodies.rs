//! Bodies whose octets change on a disk.

use std::{fs, path::PathBuf};

use harness::{Daemon, Letter, wait_until};
use memchr::memmem;

use crate::{lost_logs, scene};

/// Octets of a letter that are looked for: a few lines, which are in no other letter.
const NEEDLE: usize = 200;

/// What the log says of a body that was fetched.
const MENDED: &str = "was damaged on this node and was fetched from another";

/// Small letters, and between them some of several pieces, for the same people.
fn letters() -> Vec<Letter> {
    let mut letters = scene::letters(0..20);
    for serial in [4, 11] {
        let to = letters[serial].to[0].clone();
        letters[serial] = Letter::new(serial, &to, 1_500_000);
    }
    letters
}

/// Stops a node so that all bodies are in files of their own. What it has in memory when it stops is
/// in its write-ahead log only, which goes into those files at the next start.
fn stop_settled(node: &mut Daemon) {
    assert!(node.terminate().success());
    node.spawn();
    node.wait_ready();
    assert!(node.terminate().success());
}

fn blob_files(node: &Daemon) -> Vec<PathBuf> {
    let folders = fs::read_dir(node.data_dir()).unwrap().flatten();
    let folders = folders.filter(|entry| entry.path().is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    files
        .map(|file| file.path())
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "blob" || extension == "piece")
        })
        .collect()
}

/// Changes one octet of a letter on a stopped node's disk.
#[track_caller]
fn damage(node: &Daemon, letter: &Letter) {
    let at = letter.body.len() * 2 / 3;
    let needle = &letter.body[at..at + NEEDLE];
    let mut damaged = 0;
    for file in blob_files(node) {
        let mut octets = fs::read(&file).unwrap();
        if let Some(found) = memmem::find(&octets, needle) {
            octets[found + NEEDLE / 2] ^= 0x40;
            fs::write(&file, octets).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1, "letter {} in {damaged} files", letter.serial);
}

#[test]
fn bodies_damaged_on_the_leaders_disk_are_fetched_from_another_node() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = letters();
    scene::send_all(&cluster, &letters);
    let place = cluster.follower();
    stop_settled(&mut cluster.nodes[place]);
    let harmed = [0, 4, 9, 11];
    for serial in harmed {
        damage(&cluster.nodes[place], &letters[serial]);
    }
    cluster.nodes[place].spawn();
    cluster.nodes[place].wait_ready();
    scene::let_lead(&cluster, place);

    let account = scene::drain(&cluster, &mut primary, &letters);
    assert!(account.repeated.is_empty(), "{account}");
    let node = &cluster.nodes[place];
    let log = node.log_text();
    let mended: Vec<&str> = log.lines().filter(|line| line.contains(MENDED)).collect();
    assert_eq!(mended.len(), harmed.len(), "{mended:#?}");
    assert!(mended.iter().all(|line| line.contains("WARN")));
    let counted = node.metric("layover_storage_bodies_mended_total", &[]);
    assert_eq!(counted, Some(4.0));
    assert!(!log.contains("deferred"), "{log}");
}

#[test]
fn a_leader_with_damaged_bodies_gives_a_follower_whole_ones() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = letters();
    let away = cluster.follower();
    assert!(cluster.nodes[away].terminate().success());
    scene::send_all(&cluster, &letters);
    let place = (0..3).find(|&place| place != away).unwrap();
    let whole = 3 - away - place;
    stop_settled(&mut cluster.nodes[place]);
    for serial in [4, 9, 11] {
        damage(&cluster.nodes[place], &letters[serial]);
    }
    cluster.nodes[place].spawn();
    cluster.nodes[place].wait_ready();
    scene::let_lead(&cluster, place);
    cluster.nodes[away].spawn();
    cluster.nodes[away].wait_ready();
    wait_until(scene::CATCH_UP, "the follower has all of it", || {
        cluster.nodes[away].queued() == Some(20)
    });
    let log = cluster.nodes[place].log_text();
    assert!(log.contains("a piece of the log can not be read"), "{log}");

    // What it delivers now is what it was given.
    assert!(cluster.nodes[whole].terminate().success());
    scene::let_lead(&cluster, away);
    scene::drain(&cluster, &mut primary, &letters);
    let log = cluster.nodes[away].log_text();
    assert!(!log.contains(MENDED), "{log}");
}

/// A letter is damaged on the disk of a node alone.
fn stays_and_holds_nobody_up(serial: usize, stop: impl FnOnce(&mut Daemon)) {
    let (mut primary, mut cluster) = scene::outage(1);
    let letters = letters();
    scene::send_all(&cluster, &letters);
    let node = &mut cluster.nodes[0];
    node.allow_error("is damaged and was not forwarded");
    stop(node);
    let damaged = &letters[serial];
    damage(node, damaged);
    node.spawn();
    node.wait_ready();

    primary.up();
    cluster.wait_queued(1, scene::DRAIN);
    let whole = letters.iter().filter(|it| it.serial != damaged.serial);
    let whole: Vec<Letter> = whole.cloned().collect();
    let account = harness::compare(&whole, &primary.received());
    assert!(account.is_right(), "{account}: {account:?}");
    let log = cluster.nodes[0].log_text();
    assert!(log.contains("there is no other node"), "{log}");
}

#[test]
fn a_damaged_body_that_nobody_else_has_stays_and_holds_nobody_up() {
    stays_and_holds_nobody_up(4, stop_settled);
}

#[test]
fn so_does_one_whose_entry_only_its_segment_has() {
    stays_and_holds_nobody_up(17, |node| {
        node.kill();
        lost_logs::cut(node, "log", 2);
    });
}
