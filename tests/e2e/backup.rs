//! A copy of the spool, and a new cluster from it.

use std::{ffi::OsStr, fs, os::unix::fs::PermissionsExt as _, path::Path};

use harness::{Cluster, Primary, Settings, ctl, wait_until};

use crate::scene;

/// A node that founds a cluster alone.
fn alone(primary: &Primary) -> Settings {
    Settings::for_primary(primary.address())
        .with("cluster", "members = []")
        .with("cluster", "bootstrap = true")
}

fn restore(cluster: &Cluster, from: &Path) -> ctl::Outcome {
    ctl::layoverd(&[
        OsStr::new("--config"),
        cluster.nodes[0].config().as_os_str(),
        OsStr::new("restore"),
        OsStr::new("--from"),
        from.as_os_str(),
    ])
}

fn backup(cluster: &Cluster, place: usize, to: &Path) -> ctl::Outcome {
    cluster.nodes[place]
        .ctl()
        .run(&["backup", &to.display().to_string()])
}

#[test]
fn a_backup_of_any_node_becomes_a_cluster_that_delivers_all_of_it() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = crate::rescue::letters(0..60);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(60, scene::CATCH_UP);
    let to = cluster.directory().join("copy");
    let follower = cluster.follower();
    let outcome = backup(&cluster, follower, &to);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(
        outcome.out.starts_with("60 messages of cluster "),
        "{}",
        outcome.out
    );
    // What comes later is not in it, and the cluster is lost with all its disks.
    scene::send_all(&cluster, &scene::letters(100..105));
    for node in &mut cluster.nodes {
        node.kill();
    }

    let mut restored = Cluster::prepare(1, &alone(&primary));
    let outcome = restore(&restored, &to);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.contains("messages 60"), "{}", outcome.out);
    restored.nodes[0].spawn();
    restored.nodes[0].wait_ready();
    restored.wait_queued(60, scene::CATCH_UP);
    // It is a full node: it takes mail behind the restored, and starts again with all of it.
    let mut all = letters;
    all.extend(crate::rescue::letters(60..70));
    scene::send_all(&restored, &all[60..]);
    restored.nodes[0].kill();
    restored.nodes[0].spawn();
    restored.nodes[0].wait_ready();
    scene::drain(&restored, &mut primary, &all);
}

#[test]
fn a_backup_can_be_made_while_mail_flows_and_without_a_quorum() {
    let (primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..30);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(30, scene::CATCH_UP);
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let to = cluster.directory().join("copy");
    let outcome = backup(&cluster, 0, &to);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let json = cluster.nodes[0].ctl().json(&[
        "backup",
        &cluster.directory().join("json").display().to_string(),
    ]);
    assert_eq!(json["messages"], 30);
    for private in [to.clone(), cluster.nodes[0].data_dir()] {
        let mode = fs::metadata(&private).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is for one user", private.display());
    }
    assert_eq!(json["node_id"], 1);
    let restored = Cluster::prepare(1, &alone(&primary));
    assert_eq!(restore(&restored, &to).code, 0);
}

#[test]
fn a_node_that_does_not_know_the_spool_yet_makes_no_backup() {
    let primary = Primary::down_at_first();
    let mut cluster = Cluster::prepare(3, &Settings::for_primary(primary.address()));
    // Without the others nothing is founded.
    cluster.nodes[0].spawn();
    let to = cluster.directory().join("copy");
    wait_until(scene::CATCH_UP, "it says that it has no spool", || {
        let outcome = backup(&cluster, 0, &to);
        assert_ne!(outcome.code, 0);
        outcome.err.contains("node 1 has no spool to copy yet")
    });
    assert!(!to.join("BACKUP").exists(), "nothing looks like a backup");
}

#[test]
fn a_backup_is_mixed_with_nothing_and_a_damaged_one_is_refused() {
    let (primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..5));
    let to = cluster.directory().join("copy");
    assert_eq!(backup(&cluster, 0, &to).code, 0);
    let outcome = backup(&cluster, 0, &to);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("not empty"), "{}", outcome.err);
    // Neither is a restored node mixed with what a node has.
    let outcome = restore(&cluster, &to);
    assert_eq!(outcome.code, 1);

    let restored = Cluster::prepare(1, &alone(&primary));
    let victim = fs::read_dir(to.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .unwrap();
    let whole = fs::read(&victim).unwrap();
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(&victim, damaged).unwrap();
    let outcome = restore(&restored, &to);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.err.contains("not what was backed up"),
        "{}",
        outcome.err
    );
    fs::remove_file(&victim).unwrap();
    assert_eq!(restore(&restored, &to).code, 1);
    fs::write(&victim, whole).unwrap();
    fs::rename(to.join("BACKUP"), to.join("BACKUP.not")).unwrap();
    let outcome = restore(&restored, &to);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("no whole backup"), "{}", outcome.err);
    fs::rename(to.join("BACKUP.not"), to.join("BACKUP")).unwrap();
    let outcome = restore(&restored, &to);
    assert_eq!(
        outcome.code, 0,
        "after what failed nothing was left: {}",
        outcome.err
    );
    let outcome = restore(&restored, &to);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("it has data"), "{}", outcome.err);
}

#[test]
fn a_snapshot_that_is_asked_for_shortens_the_log() {
    let (_primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..1200));
    let snapshot = cluster.ctl().json(&["cluster", "snapshot"]);
    assert_eq!(snapshot["node_id"], 1);
    let (index, purged) = (&snapshot["snapshot_index"], &snapshot["purged_index"]);
    assert!(index.as_u64() >= Some(1200), "{snapshot}");
    assert!(purged.as_u64() >= Some(200), "{snapshot}");
}
