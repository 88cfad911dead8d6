//! Data that earlier versions have written is opened, and nothing of it is lost.

use std::path::Path;

use harness::{Cluster, Letter, Primary, Shim, compare, fixture, shim, wait_until};

use crate::scene;

/// A cluster on the data of a format, ready. It is as late for it as when that was written, for mail that waits would
/// be too old some day.
fn started_on(format: &str) -> Cluster {
    let mut cluster = fixture::cluster();
    fixture::unpack(&cluster, &fixture::archive(Path::new(""), format));
    let age = fixture::age(&cluster).as_secs().cast_signed();
    let shim = Shim::compile(cluster.directory()).expect("what built the database is there");
    for node in &mut cluster.nodes {
        shim.load(node);
        shim::set_clock(node, -age);
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    cluster
}

/// One after the other, because the members' addresses are part of the data.
#[test]
fn every_earlier_format_is_opened_and_its_mail_delivered() {
    for format in [
        "format-1", "format-2", "format-3", "format-4", "format-5", "format-6",
    ] {
        opens_and_delivers(format);
    }
}

#[track_caller]
fn opens_and_delivers(format: &str) {
    let mut primary = Primary::at(fixture::primary());
    let cluster = started_on(format);
    let old = fixture::waiting();
    let count = u64::try_from(old.len() + fixture::turned_away().len()).unwrap();
    cluster.wait_queued(count, scene::CATCH_UP);
    let policy = cluster.ctl().json(&["policy", "show"]);
    assert_eq!(
        policy["version"],
        fixture::policy_version(format),
        "{policy}"
    );
    let new: Vec<Letter> = (100..110)
        .map(|serial| Letter::new(serial, "a@example.com", 2_000))
        .collect();
    scene::send_all(&cluster, &new);

    primary.up();
    assert_eq!(cluster.ctl().run(&["flush"]).code, 0);
    let mut deferred = fixture::turned_away();
    deferred.truncate(1);
    let all: Vec<Letter> = [deferred, old, new].concat();
    scene::wait_received(&primary, all.len());
    // What the primary has refused for good stays for a person to decide.
    cluster.wait_queued(1, scene::DRAIN);
    let account = compare(&all, &primary.received());
    assert!(account.is_right(), "{account}: {account:?}");
    wait_until(scene::CATCH_UP, "it is still there", || {
        let state = ["state=\"rejected\""];
        cluster.nodes[0].metric("layover_queue_messages", &state) == Some(1.0)
    });
}
