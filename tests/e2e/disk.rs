//! Disks that fill up, for real.

use std::{
    thread,
    time::{Duration, Instant},
};

use harness::{Cluster, Letter, Primary, Sender, Settings, SmallDisk, compare, logs, wait_until};

use crate::scene;

/// Enough for the database's own files and some mail.
const DISK_MIB: u32 = 256;

/// How long a node may take to notice how much is free: it looks once a second.
const NOTICED: Duration = Duration::from_secs(15);

/// Long enough for a full disk to be noticed by everyone who writes to it.
const FILLED_UP: Duration = Duration::from_secs(40);

/// What is free above what must stay free when a disk is filled and emptied again and again.
const ROOM: u64 = 20 << 20;

/// A node that is short of room gives back once a minute what has left.
const GIVEN_BACK: Duration = Duration::from_secs(90);

/// So slowly that the node looks at its disk before what must stay free is used up.
const SEND_EVERY: Duration = Duration::from_millis(50);

/// More letters than fit into the room.
const PUT_OFF_AFTER_MAX: usize = 500;

/// Nodes whose primary is down, prepared but not started.
fn prepared(nodes: u64, min_free_space: &str) -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address())
        .with("node", &format!("min_free_space = \"{min_free_space}\""))
        .with("smtp", "commit_timeout = \"3s\"")
        // What a node says when its disk is full is for the operator to see.
        .allowing("No space left")
        .allowing("storage or consensus failed");
    (primary, Cluster::prepare(nodes, &settings))
}

fn start(cluster: &mut Cluster) {
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
}

/// Letters that fill a disk up, to one recipient.
fn heavy(serials: std::ops::Range<usize>) -> Vec<Letter> {
    serials
        .map(|serial| Letter::new(serial, "a@example.com", 200_000))
        .collect()
}

/// What arrived, without letters whose sender was told "later" or nothing at all: they may have
/// been kept.
#[track_caller]
fn check_kept(primary: &Primary, acknowledged: &[Letter]) {
    let of_ours = |serial: Option<usize>| {
        acknowledged
            .iter()
            .any(|letter| Some(letter.serial) == serial)
    };
    let received: Vec<_> = primary
        .received()
        .into_iter()
        .filter(|arrived| of_ours(arrived.serial()))
        .collect();
    let account = compare(acknowledged, &received);
    assert!(account.is_right(), "{account}: {account:?}");
}

#[test]
fn below_min_free_space_mail_is_put_off_and_what_is_there_is_kept() {
    let (mut primary, mut cluster) = prepared(1, "100MiB");
    let Some(disk) = SmallDisk::mount(&cluster.nodes[0].data_dir(), DISK_MIB) else {
        return;
    };
    start(&mut cluster);
    let letters = heavy(0..20);
    scene::send_all(&cluster, &letters[..10]);
    disk.fill(64 << 20);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    wait_until(NOTICED, "the disk is too full", || {
        let reply = sender.command("MAIL FROM:<a@sender.test>").unwrap();
        if reply.code == 250 {
            sender.command("RSET").unwrap();
        }
        reply.code == 452 && reply.lines[0].starts_with("4.3.1")
    });
    assert_eq!(cluster.nodes[0].queued(), Some(10));

    disk.clear();
    scene::send_all(&cluster, &letters[10..]);
    cluster.nodes[0].kill();
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    assert_eq!(cluster.nodes[0].queued(), Some(20));
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn mail_leaves_a_disk_that_is_too_full_to_take_any() {
    let (mut primary, mut cluster) = prepared(1, "100MiB");
    let Some(disk) = SmallDisk::mount(&cluster.nodes[0].data_dir(), DISK_MIB) else {
        return;
    };
    start(&mut cluster);
    let letters = heavy(0..20);
    scene::send_all(&cluster, &letters);
    disk.fill(64 << 20);
    scene::drain(&cluster, &mut primary, &letters);
}

/// Sends letters until the node puts one off; returns those that it has taken.
fn send_until_put_off(node: &harness::Daemon, first: usize) -> Vec<Letter> {
    let mut sender = Sender::connect(node.smtp()).unwrap();
    let mut taken = Vec::new();
    for letter in heavy(first..first + PUT_OFF_AFTER_MAX) {
        let reply = sender.send(&letter).unwrap();
        if reply.code == 452 {
            return taken;
        }
        assert_eq!(reply.code, 250, "{reply}");
        taken.push(letter);
        thread::sleep(SEND_EVERY);
    }
    panic!("the disk never got short");
}

/// The room above what must stay free is filled more often than it could be if any of it were not
/// given back: what is sent is more than ever fits in.
#[test]
fn a_disk_that_mail_has_filled_takes_mail_again_when_that_has_left() {
    let (mut primary, mut cluster) = prepared(1, "100MiB");
    let Some(disk) = SmallDisk::mount(&cluster.nodes[0].data_dir(), DISK_MIB) else {
        return;
    };
    start(&mut cluster);
    disk.fill((100 << 20) + ROOM);
    let mut letters = Vec::new();
    let mut octets = 0;
    for round in 1..=4 {
        let taken = send_until_put_off(&cluster.nodes[0], letters.len());
        octets += taken
            .iter()
            .map(|letter| letter.body.len() as u64)
            .sum::<u64>();
        println!("round {round}: {octets} octets, {} free", disk.free());
        letters.extend(taken);
        scene::drain(&cluster, &mut primary, &letters);
        wait_until(GIVEN_BACK, "mail is taken again", || {
            !puts_off(&cluster.nodes[0])
        });
        if octets > ROOM {
            return;
        }
        primary.down();
    }
    panic!("of {ROOM} octets only {octets} were ever used");
}

/// Whether a node puts mail off for want of room.
fn puts_off(node: &harness::Daemon) -> bool {
    let mut sender = Sender::connect(node.smtp()).unwrap();
    let reply = sender.command("MAIL FROM:<a@sender.test>").unwrap();
    assert!(reply.code == 250 || reply.code == 452, "{reply}");
    reply.code == 452
}

#[test]
fn mail_is_taken_as_long_as_a_majority_has_room() {
    let (mut primary, mut cluster) = prepared(3, "100MiB");
    let mut disks = Vec::new();
    for node in &cluster.nodes[..2] {
        match SmallDisk::mount(&node.data_dir(), DISK_MIB) {
            Some(disk) => disks.push(disk),
            None => return,
        }
    }
    start(&mut cluster);
    let told = |cluster: &Cluster, text: &str| {
        wait_until(NOTICED, text, || {
            let nodes = &cluster.nodes;
            nodes
                .iter()
                .all(|node| node.ctl().run(&["status"]).out.contains(text))
        });
    };
    disks[0].fill(64 << 20);
    told(&cluster, "Node 1 (");
    let mut letters = scene::letters(0..30);
    scene::send_all(&cluster, &letters);
    assert!(!cluster.nodes.iter().any(puts_off));

    disks[1].fill(64 << 20);
    told(&cluster, "no mail is taken");
    wait_until(NOTICED, "nobody takes mail", || {
        cluster.nodes.iter().all(puts_off)
    });

    disks[0].clear();
    wait_until(NOTICED, "everyone takes mail", || {
        !cluster.nodes.iter().any(puts_off)
    });
    let more = scene::letters(30..60);
    scene::send_all(&cluster, &more);
    letters.extend(more);
    scene::drain(&cluster, &mut primary, &letters);
}

/// Sends letters to one node until its disk is full; returns those that were acknowledged.
fn fill_with_mail(node: &mut harness::Daemon, disk: &SmallDisk) -> Vec<Letter> {
    disk.fill(4 << 20);
    let mut acknowledged = Vec::new();
    let mut session = None;
    let mut refused = 0;
    let began = Instant::now();
    for letter in heavy(0..400) {
        if refused > 5 || began.elapsed() > FILLED_UP {
            break;
        }
        if session.is_none() {
            session = Sender::connect(node.smtp()).ok();
        }
        let reply = session.as_mut().map(|session| session.send(&letter));
        match reply {
            Some(Ok(reply)) if reply.code == 250 => acknowledged.push(letter),
            Some(Ok(reply)) => {
                assert!(reply.is_transient(), "{reply}");
                refused += 1;
            }
            Some(Err(_)) | None => {
                session = None;
                refused += 1;
            }
        }
    }
    println!("{} acknowledged, {refused} not", acknowledged.len());
    assert!(refused > 0, "the disk never filled up");
    acknowledged
}

/// Brings a node whose disk has room again back: one that has ended must have said why, with exit
/// code 1; one that still runs is killed, for the disk to be all that it has.
fn bring_back(node: &mut harness::Daemon) {
    if node.has_ended() {
        let (status, log) = node.wait_exit();
        let last = logs::last_words(&log);
        println!("ended with {status}: {last}");
        assert_eq!(status.code(), Some(1), "{last}");
        assert!(!log.contains("panicked"), "{log}");
        assert!(last.contains("No space left"), "{last}");
    } else {
        println!("runs on");
        node.kill();
    }
    node.spawn();
    node.wait_ready();
}

#[test]
fn on_a_disk_without_an_octet_left_nothing_acknowledged_is_lost() {
    let (mut primary, mut cluster) = prepared(1, "1KiB");
    let Some(disk) = SmallDisk::mount(&cluster.nodes[0].data_dir(), DISK_MIB) else {
        return;
    };
    start(&mut cluster);
    let acknowledged = fill_with_mail(&mut cluster.nodes[0], &disk);
    disk.clear();
    bring_back(&mut cluster.nodes[0]);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    check_kept(&primary, &acknowledged);
}

#[test]
fn one_full_disk_of_three_stops_nobody_else() {
    let (mut primary, mut cluster) = prepared(3, "1KiB");
    let Some(disk) = SmallDisk::mount(&cluster.nodes[0].data_dir(), DISK_MIB) else {
        return;
    };
    start(&mut cluster);
    disk.fill(4 << 20);
    let mut acknowledged = heavy(0..450);
    scene::send_all(&cluster, &acknowledged);
    disk.clear();
    assert!(cluster.nodes[0].has_ended(), "the disk never filled up");
    bring_back(&mut cluster.nodes[0]);
    let more = heavy(1_000..1_010);
    scene::send_all(&cluster, &more);
    acknowledged.extend(more);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    check_kept(&primary, &acknowledged);
}
