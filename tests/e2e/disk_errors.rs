//! Disks that can not keep what is written to them.

use std::time::Duration;

use harness::{Cluster, Daemon, FailingSyncs, Letter, Primary, Sender, Settings, logs, wait_until};

use crate::scene;

/// A node whose disk has failed ends within this time: it is told at its next fsync.
const ENDED: Duration = Duration::from_secs(20);

fn outage(nodes: u64) -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address())
        .with("smtp", "commit_timeout = \"3s\"")
        // What a node says when its disk fails is for the operator to see.
        .allowing("fdatasync")
        .allowing("storage or consensus failed");
    (primary, Cluster::start(nodes, &settings))
}

/// Waits for a node to end, and checks that it said why.
fn check_end(node: &mut Daemon) {
    wait_until(ENDED, "the node has ended", || node.has_ended());
    let (status, log) = node.wait_exit();
    let last = logs::last_words(&log);
    assert_eq!(status.code(), Some(1), "{last}");
    assert!(last.contains("storage or consensus failed"), "{last}");
    assert!(
        last.contains("Input/output error") || last.contains("IO error"),
        "{last}"
    );
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_message_whose_fsync_fails_is_not_acknowledged_and_the_node_ends() {
    let (mut primary, mut cluster) = outage(1);
    let letters = scene::letters(0..20);
    scene::send_all(&cluster, &letters);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    let Some(failing) = FailingSyncs::begin(cluster.nodes[0].pid()) else {
        return;
    };
    let reply = sender.send(&Letter::new(100, "other@example.com", 2_000));
    assert!(
        reply.as_ref().map_or(true, |reply| reply.is_transient()),
        "{reply:?}"
    );
    check_end(&mut cluster.nodes[0]);
    drop(failing);

    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    primary.up();
    scene::wait_received(&primary, letters.len());
    cluster.wait_queued(0, scene::DRAIN);
    let mut received = primary.received();
    // What was refused may have been kept, as any message after a 451.
    received.retain(|arrived| arrived.serial() != Some(100));
    let account = harness::compare(&letters, &received);
    assert!(account.is_right(), "{account}: {account:?}");
}

#[test]
fn a_leader_whose_fsyncs_fail_ends_and_the_others_take_over() {
    let (mut primary, mut cluster) = outage(3);
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters[..20]);
    let leader = cluster.leader();
    let Some(failing) = FailingSyncs::begin(cluster.nodes[leader].pid()) else {
        return;
    };
    scene::send_all(&cluster, &letters[20..]);
    check_end(&mut cluster.nodes[leader]);
    drop(failing);

    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
    scene::drain(&cluster, &mut primary, &letters);
}
