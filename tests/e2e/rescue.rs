//! The quorum is lost for good.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use harness::{Cluster, Daemon, Letter, Primary, Sender, ctl, letter, wait_until};
use serde_json::Value;

use crate::scene;

/// Letters among which are some of several pieces.
pub(crate) fn letters(serials: std::ops::Range<usize>) -> Vec<Letter> {
    serials
        .map(|serial| {
            let size = if serial % 10 == 3 { 1_300_000 } else { 2_000 };
            Letter::new(serial, &format!("user{}@example.com", serial % 5), size)
        })
        .collect()
}

fn recover(node: &Daemon, flags: &[&str]) -> ctl::Outcome {
    let config = node.config();
    let mut arguments = vec![
        OsStr::new("--config"),
        config.as_os_str(),
        OsStr::new("recover"),
    ];
    arguments.extend(flags.iter().map(OsStr::new));
    ctl::layoverd(&arguments)
}

/// A cluster with mail, of which the leader is the only one that is left. One more message is in its
/// log, without an answer to its sender.
fn with_one_survivor(count: usize) -> (Primary, Cluster, usize, Vec<Letter>) {
    let (primary, mut cluster) = scene::outage(3);
    let letters = letters(0..count + 1);
    scene::send_all(&cluster, &letters[..count]);
    cluster.wait_queued(count as u64, scene::CATCH_UP);
    let survivor = cluster.leader();
    let mut sender = begin(&cluster.nodes[survivor], &letters[count]);
    let others: Vec<usize> = (0..3).filter(|&place| place != survivor).collect();
    for &place in &others {
        cluster.nodes[place].pause();
    }
    // For a moment the leader does not know yet that it is alone.
    sender.write(b".\r\n").unwrap();
    wait_until(scene::TAKEN, "the entry is in the leader's log", || {
        is_written(&cluster.nodes[survivor], &letters[count])
    });
    cluster.nodes[survivor].kill();
    for place in others {
        cluster.nodes[place].kill();
    }
    (primary, cluster, survivor, letters)
}

/// Sends a letter up to its final dot.
fn begin(node: &Daemon, letter: &Letter) -> Sender {
    let mut sender = Sender::connect(node.smtp()).unwrap();
    for line in [
        format!("MAIL FROM:<{}>", letter.from),
        format!("RCPT TO:<{}>", letter.to[0]),
        "DATA".to_owned(),
    ] {
        sender.command(&line).unwrap();
    }
    sender.write(&letter.body).unwrap();
    sender
}

/// Whether a letter stands in the files to which a node writes its log. The node's own figures are ahead of
/// them: they count an entry before it is written.
fn is_written(node: &Daemon, letter: &Letter) -> bool {
    let files = fs::read_dir(node.data_dir().join("db")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|ending| ending == "piece"));
    // One may be removed meanwhile.
    let mut texts = segments.filter_map(|path| fs::read(path).ok());
    texts.any(|text| memchr::memmem::find(&text, &letter.body).is_some())
}

#[test]
fn the_survivor_founds_a_new_cluster_with_all_that_its_log_holds() {
    let (mut primary, mut cluster, survivor, letters) = with_one_survivor(40);
    let node = &cluster.nodes[survivor];
    let shown = recover(node, &[]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.contains("41 messages of "), "{}", shown.out);
    assert!(
        shown.out.contains("acknowledged is not known"),
        "{}",
        shown.out
    );

    // Its node file names the others as before, and nobody is there to be asked.
    let founded = recover(node, &["--force-new-cluster"]);
    assert_eq!(founded.code, 0, "{}", founded.err);
    assert!(founded.out.contains("41 messages of "), "{}", founded.out);
    cluster.nodes[survivor].spawn();
    cluster.nodes[survivor].wait_ready();
    assert_eq!(cluster.nodes[survivor].queued(), Some(41));
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn nodes_of_the_former_cluster_are_refused() {
    let (_primary, mut cluster, survivor, _) = with_one_survivor(5);
    let founded = recover(&cluster.nodes[survivor], &["--force-new-cluster", "--yes"]);
    assert_eq!(founded.code, 0, "{}", founded.err);
    cluster.nodes[survivor].spawn();
    cluster.nodes[survivor].wait_ready();
    let old = (survivor + 1) % 3;
    cluster.nodes[old].spawn();
    let deadline = Duration::from_secs(20);
    wait_until(deadline, "the old node hears why it is alone", || {
        let log = cluster.nodes[old].log_text();
        log.contains("belongs to cluster")
    });
    assert!(!cluster.nodes[old].is_ready());
    // With the other one there the former cluster has a quorum again, whoever started it.
    let other = (survivor + 2) % 3;
    cluster.nodes[other].spawn();
    cluster.nodes[other].wait_ready();
    assert!(cluster.nodes[survivor].is_ready());
    assert!(cluster.nodes[survivor].is_leader());
}

fn export(data_dir: &Path, to: &Path) -> ctl::Outcome {
    ctl::layoverd(&[
        OsStr::new("export"),
        OsStr::new("--data-dir"),
        data_dir.as_os_str(),
        to.as_os_str(),
    ])
}

/// The exported files with this ending, by the number of their letters.
fn exported(to: &Path) -> BTreeMap<usize, PathBuf> {
    let files = fs::read_dir(to).unwrap();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| (letter::serial(&fs::read(&path).unwrap()).unwrap(), path))
        .collect()
}

#[test]
fn every_message_of_the_survivor_is_exported_without_a_quorum() {
    let (_primary, cluster, survivor, letters) = with_one_survivor(40);
    let to = cluster.directory().join("export");
    let outcome = export(&cluster.nodes[survivor].data_dir(), &to);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(
        outcome.out.contains("41 messages exported"),
        "{}",
        outcome.out
    );
    let files = exported(&to);
    assert_eq!(files.len(), 41);
    for letter in &letters {
        let path = &files[&letter.serial];
        let message = fs::read(path).unwrap();
        assert!(message.starts_with(b"Received: "));
        assert!(letter::without_trace(&message) == letter.body);
        let envelope = fs::read(path.with_extension("json")).unwrap();
        let envelope: Value = serde_json::from_slice(&envelope).unwrap();
        assert_eq!(envelope["sender"], letter.from);
        assert_eq!(envelope["recipients"][0]["address"], letter.to[0]);
        assert_eq!(envelope["recipients"][0]["status"], "pending");
        assert_eq!(envelope["size"], letter.body.len());
    }
    let again = export(&cluster.nodes[survivor].data_dir(), &to);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("not empty"), "{}", again.err);
}

#[test]
fn the_directory_of_a_running_node_is_left_alone() {
    let (_primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..3));
    let node = &cluster.nodes[0];
    let to = cluster.directory().join("export");
    for outcome in [
        export(&node.data_dir(), &to),
        recover(node, &[]),
        recover(node, &["--force-new-cluster", "--yes"]),
    ] {
        assert_eq!(outcome.code, 1, "{}", outcome.out);
        assert!(outcome.err.contains("running layoverd"), "{}", outcome.err);
    }
    assert!(node.is_ready());
    assert_eq!(node.queued(), Some(3));
}

#[test]
fn a_directory_that_is_no_nodes_is_not_taken_for_an_empty_spool() {
    let (_primary, cluster) = scene::outage(1);
    let place = cluster.directory().join("other");
    fs::create_dir(&place).unwrap();
    let outcome = export(&place, &cluster.directory().join("export"));
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.err.contains("no data directory of a node"),
        "{}",
        outcome.err
    );
    assert_eq!(
        fs::read_dir(&place).unwrap().count(),
        0,
        "nothing was made in it"
    );
}
