//! Nodes that come back with less than they had acknowledged: they must not vote it away.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use harness::{Cluster, Daemon, Primary, Settings, logs, wait_until};

use crate::scene;

/// What a node says that lacks something.
const LACKS: &str = "lacks entries that it had acknowledged";

/// A node alone stays without a vote for ever; this long is looked at.
const SILENCE: Duration = Duration::from_secs(4);

fn wait_logged(node: &Daemon, words: &str) {
    wait_until(scene::CATCH_UP, words, || node.log_text().contains(words));
}

fn copy_tree(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// The largest file of a node's database with this ending.
fn largest(data_dir: &Path, ending: &str) -> PathBuf {
    let folders = fs::read_dir(data_dir).unwrap().flatten();
    let folders = folders.filter(|entry| entry.path().is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    files
        .map(|file| file.path())
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == ending)
        })
        .max_by_key(|file| fs::metadata(file).unwrap().len())
        .unwrap()
}

/// Leaves so many quarters of the largest file with this ending of a stopped node.
pub(crate) fn cut(node: &Daemon, ending: &str, quarters: u64) {
    let file = largest(&node.data_dir(), ending);
    let left = fs::metadata(&file).unwrap().len() * quarters / 4;
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(left).unwrap();
}

/// Cuts all that a stopped node has of its log: RocksDB's write-ahead log, and the entries beside the bodies. Of these
/// more is left, so that RocksDB has no row for a body that is gone.
fn cut_log(node: &mut Daemon) {
    node.allow_error(LACKS);
    cut(node, "log", 2);
    cut(node, "piece", 3);
}

/// Kills one of the nodes that never lost anything; the other two must still have all the mail.
#[track_caller]
fn check_that_nothing_is_missing(
    cluster: &mut Cluster,
    primary: &mut Primary,
    rebuilt: usize,
    letters: &[harness::Letter],
) {
    let sound = (0..3).find(|&place| place != rebuilt).unwrap();
    cluster.nodes[sound].kill();
    scene::drain(cluster, primary, letters);
    cluster.nodes[sound].spawn();
    cluster.nodes[sound].wait_ready();
    cluster.wait_queued(0, scene::CATCH_UP);
}

#[test]
fn a_node_whose_disk_was_emptied_votes_once_it_is_rebuilt() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters[..30]);
    let wiped = cluster.follower();
    assert!(cluster.nodes[wiped].terminate().success());
    fs::remove_dir_all(cluster.nodes[wiped].data_dir()).unwrap();
    cluster.nodes[wiped].allow_error(LACKS);
    scene::send_all(&cluster, &letters[30..40]);
    cluster.nodes[wiped].spawn();
    scene::send_all(&cluster, &letters[40..]);
    wait_logged(&cluster.nodes[wiped], "has caught up and votes");
    check_that_nothing_is_missing(&mut cluster, &mut primary, wiped, &letters);
}

#[test]
fn an_emptied_disk_founds_nothing_and_elects_nobody() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..30);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(30, scene::CATCH_UP);
    for node in &mut cluster.nodes {
        node.kill();
    }
    fs::remove_dir_all(cluster.nodes[0].data_dir()).unwrap();
    cluster.nodes[0].allow_error(LACKS);
    // One that is empty and one that is not are a majority in number only.
    for place in [0, 1] {
        cluster.nodes[place].spawn();
    }
    // Which of the two depends on whether the other had written down yet what it acknowledged.
    wait_until(
        scene::CATCH_UP,
        "it knows that it has to be rebuilt",
        || {
            let log = cluster.nodes[0].log_text();
            log.contains(LACKS) || log.contains("votes once it has caught up")
        },
    );
    let elected = harness::wait::within(SILENCE, || {
        let leads = |place: usize| cluster.nodes[place].is_leader();
        (leads(0) || leads(1)).then_some(())
    });
    assert!(elected.is_none(), "a leader was elected without a majority");
    cluster.nodes[2].spawn();
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    wait_logged(&cluster.nodes[0], "has caught up and votes");
    check_that_nothing_is_missing(&mut cluster, &mut primary, 0, &letters);
}

/// Copies the disk of a follower that has 30 letters; returns its place.
fn copy_disk(cluster: &mut Cluster, letters: &[harness::Letter]) -> usize {
    scene::send_all(cluster, &letters[..30]);
    let place = cluster.follower();
    assert!(cluster.nodes[place].terminate().success());
    let data_dir = cluster.nodes[place].data_dir();
    copy_tree(&data_dir, &data_dir.with_extension("copy"));
    cluster.nodes[place].spawn();
    cluster.nodes[place].wait_ready();
    place
}

/// Kills a node and puts its disk back to the copy; it is not started again.
fn put_back(node: &mut Daemon) {
    node.allow_error(LACKS);
    node.kill();
    let data_dir = node.data_dir();
    fs::remove_dir_all(&data_dir).unwrap();
    fs::rename(data_dir.with_extension("copy"), &data_dir).unwrap();
}

/// Sends 30 letters more than a follower's disk holds when it is put back to an older copy of itself;
/// returns its place. The node is not started again.
fn put_follower_back(cluster: &mut Cluster, letters: &[harness::Letter]) -> usize {
    let place = copy_disk(cluster, letters);
    scene::send_all(cluster, &letters[30..60]);
    cluster.wait_queued(60, scene::CATCH_UP);
    put_back(&mut cluster.nodes[place]);
    place
}

/// The same with a node that leads while it takes the 30 letters more.
fn put_leader_back(cluster: &mut Cluster, letters: &[harness::Letter]) -> usize {
    let place = copy_disk(cluster, letters);
    scene::let_lead(cluster, place);
    scene::send_all(cluster, &letters[30..60]);
    cluster.wait_queued(60, scene::CATCH_UP);
    put_back(&mut cluster.nodes[place]);
    place
}

/// A node that was put back must notice it and be rebuilt while mail flows, and nothing be lost.
#[track_caller]
fn check_that_it_is_rebuilt(
    cluster: &mut Cluster,
    primary: &mut Primary,
    place: usize,
    letters: &[harness::Letter],
) {
    wait_logged(&cluster.nodes[place], LACKS);
    scene::send_all(cluster, &letters[60..]);
    wait_logged(&cluster.nodes[place], "has caught up and votes");
    check_that_nothing_is_missing(cluster, primary, place, letters);
}

#[test]
fn a_disk_that_was_put_back_to_an_older_copy_is_noticed_and_rebuilt() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..90);
    let place = put_follower_back(&mut cluster, &letters);
    cluster.nodes[place].spawn();
    check_that_it_is_rebuilt(&mut cluster, &mut primary, place, &letters);
}

#[test]
fn an_older_copy_is_noticed_by_a_node_that_never_led() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..90);
    let place = put_follower_back(&mut cluster, &letters);
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    cluster.nodes[place].spawn();
    wait_logged(&cluster.nodes[place], LACKS);
    let elected = harness::wait::within(SILENCE, || {
        let mut nodes = (0..3).filter(|&node| node != leader);
        nodes
            .any(|node| cluster.nodes[node].is_leader())
            .then_some(())
    });
    assert!(elected.is_none(), "a leader was elected without a majority");
    cluster.nodes[leader].spawn();
    scene::send_all(&cluster, &letters[60..]);
    wait_logged(&cluster.nodes[place], "has caught up and votes");
    check_that_nothing_is_missing(&mut cluster, &mut primary, place, &letters);
}

#[test]
fn an_older_copy_of_a_leaders_disk_is_noticed_by_its_followers() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..90);
    let place = put_leader_back(&mut cluster, &letters);
    cluster.nodes[place].spawn();
    check_that_it_is_rebuilt(&mut cluster, &mut primary, place, &letters);
}

#[test]
fn an_older_copy_of_a_leaders_disk_is_noticed_after_all_nodes_were_restarted() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..90);
    let place = put_leader_back(&mut cluster, &letters);
    for other in (0..3).filter(|&other| other != place) {
        assert!(cluster.nodes[other].terminate().success());
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    check_that_it_is_rebuilt(&mut cluster, &mut primary, place, &letters);
}

#[test]
fn what_members_acknowledged_is_known_after_all_of_them_were_killed() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..60);
    let place = copy_disk(&mut cluster, &letters);
    scene::let_lead(&cluster, place);
    scene::send_all(&cluster, &letters[30..]);
    cluster.wait_queued(60, scene::CATCH_UP);
    let leader = cluster.nodes[place].id;
    let index = cluster.nodes[place].metric("layover_raft_last_log_index", &[]);
    let others = || (0..3).filter(|&other| other != place);
    wait_until(scene::CATCH_UP, "its followers have noted it", || {
        others().all(|other| noted(&cluster.nodes[other], leader) >= index)
    });
    for other in others() {
        cluster.nodes[other].kill();
    }
    put_back(&mut cluster.nodes[place]);
    for node in &mut cluster.nodes {
        node.spawn();
    }
    wait_logged(&cluster.nodes[place], LACKS);
    wait_logged(&cluster.nodes[place], "has caught up and votes");
    check_that_nothing_is_missing(&mut cluster, &mut primary, place, &letters);
}

/// The index of the last entry that a node's file says that a member has acknowledged.
fn noted(node: &Daemon, member: u64) -> Option<f64> {
    let text = fs::read_to_string(node.data_dir().join("WITNESSED")).ok()?;
    let start = format!("member {member} has acknowledged entry ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start))?;
    line.split(' ').next()?.parse().ok()
}

#[test]
fn a_log_that_was_cut_is_noticed_and_the_node_rebuilt() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters[..40]);
    cluster.wait_queued(40, scene::CATCH_UP);
    let cut = cluster.follower();
    cluster.nodes[cut].kill();
    cut_log(&mut cluster.nodes[cut]);
    cluster.nodes[cut].spawn();
    wait_logged(&cluster.nodes[cut], LACKS);
    scene::send_all(&cluster, &letters[40..]);
    wait_logged(&cluster.nodes[cut], "has caught up and votes");
    check_that_nothing_is_missing(&mut cluster, &mut primary, cut, &letters);
}

#[test]
fn a_write_ahead_log_that_was_cut_costs_nothing_as_what_it_had_lies_beside_the_bodies() {
    let mut primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address());
    let mut cluster = Cluster::start(1, &settings);
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters[..20]);
    cluster.nodes[0].kill();
    cut(&cluster.nodes[0], "log", 2);
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    assert!(
        cluster.nodes[0]
            .log_text()
            .contains("written into the database again")
    );
    scene::send_all(&cluster, &letters[20..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_node_alone_whose_log_was_cut_does_not_start_and_says_what_to_do() {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address()).allowing("had been acknowledged");
    let mut cluster = Cluster::start(1, &settings);
    scene::send_all(&cluster, &scene::letters(0..20));
    cluster.nodes[0].kill();
    cut_log(&mut cluster.nodes[0]);
    cluster.nodes[0].spawn();
    let (status, log) = cluster.nodes[0].wait_exit();
    let last = logs::last_words(&log);
    assert_eq!(status.code(), Some(1), "{last}");
    assert!(last.contains("had been acknowledged"), "{last}");
    assert!(last.contains("REBUILDING"), "{last}");
}
