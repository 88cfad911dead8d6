//! What is told of a message, in the spool and when it has left.

use harness::{Cluster, Letter, Primary, Settings, wait_until};
use serde_json::Value;

use crate::scene;

/// The ids of all messages in the spool, in order of arrival.
fn ids(cluster: &Cluster) -> Vec<String> {
    let list = cluster.ctl().json(&["queue", "list"]);
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

/// What every node tells of a message, once all of them tell the same.
#[track_caller]
fn traced(cluster: &Cluster, id: &str) -> Value {
    // While the primary is down it moves with the clock.
    let tell = |node: &harness::Daemon| {
        let mut told = node.ctl().json(&["trace", id]);
        if let Some(message) = told["message"].as_object_mut() {
            message.remove("expiry");
        }
        told
    };
    wait_until(scene::CATCH_UP, "all nodes tell the same", || {
        let first = tell(&cluster.nodes[0]);
        cluster.nodes.iter().all(|node| tell(node) == first)
    });
    tell(&cluster.nodes[0])
}

#[test]
fn a_message_is_traced_from_its_acceptance_until_after_it_has_left() {
    let (mut primary, cluster) = scene::outage(3);
    scene::send_all(&cluster, &[Letter::new(1, "user@example.com", 3_000)]);
    let id = ids(&cluster).remove(0);
    let waiting = traced(&cluster, &id);
    assert_eq!(waiting["state"], "waiting", "{waiting}");
    assert_eq!(waiting["message"]["sender"], "sender1@sender.test");
    assert_eq!(waiting["message"]["recipients"][0]["status"], "pending");
    assert_eq!(waiting["left_ms"], Value::Null);

    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    let left = traced(&cluster, &id);
    assert_eq!(left["state"], "delivered", "{left}");
    assert!(left["left_ms"].as_u64().is_some(), "{left}");
    let message = &left["message"];
    assert_eq!(message["digest"], waiting["message"]["digest"]);
    assert_eq!(message["client"], waiting["message"]["client"]);
    let recipient = &message["recipients"][0];
    assert_eq!(recipient["address"], "user@example.com", "{left}");
    assert_eq!(recipient["status"], "delivered");
    assert_eq!(recipient["host"], primary.address().to_string(), "{left}");
    assert!(
        recipient["reply"].as_str().unwrap().starts_with("250"),
        "{left}"
    );
    let table = cluster.ctl().run(&["trace", &id]);
    assert_eq!(table.code, 0, "{}", table.err);
    assert!(table.out.contains("user@example.com"), "{}", table.out);
    let shown = cluster.ctl().run(&["queue", "show", &id]);
    assert_eq!(shown.code, 1, "it is not in the spool: {}", shown.out);
}

#[test]
fn the_tries_of_each_recipient_are_told() {
    let primary = Primary::started();
    primary.on_cue(|cue| cue.refuse("busy@example.com", "450 4.2.1 mailbox busy"));
    let cluster = Cluster::start(1, &Settings::for_primary(primary.address()));
    let to = ["user@example.com", "busy@example.com"];
    let letter = Letter::of(2, &to, 1_000, harness::letter::Text::Plain);
    scene::send_all(&cluster, &[letter]);
    wait_until(scene::DRAIN, "one of the two has it", || {
        primary.count() == 1
    });
    let id = ids(&cluster).remove(0);
    let ctl = cluster.ctl();
    wait_until(scene::DRAIN, "the other is deferred", || {
        ctl.json(&["trace", &id])["state"] == "deferred"
    });
    let told = ctl.json(&["trace", &id]);
    let tried = &told["message"]["tries"][0];
    assert_eq!(
        (&tried["delivered"], &tried["deferred"]),
        (&1.into(), &1.into())
    );
    assert!(
        tried["words"].as_str().unwrap().contains("450 4.2.1"),
        "{told}"
    );
    primary.on_cue(harness::Cue::forgive);
    assert_eq!(ctl.run(&["flush"]).code, 0);
    cluster.wait_queued(0, scene::DRAIN);
    let told = ctl.json(&["trace", &id]);
    assert_eq!(told["state"], "delivered", "{told}");
    assert_eq!(told["message"]["attempts"], 2, "{told}");
    assert_eq!(told["message"]["tries"].as_array().map(Vec::len), Some(2));
}

#[test]
fn nothing_is_told_of_what_never_came() {
    let (_primary, cluster) = scene::outage(1);
    let ctl = cluster.ctl();
    for id in ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "letter"] {
        let outcome = ctl.run(&["trace", id]);
        let lines = outcome.err.trim_end().lines().count();
        assert_eq!((outcome.code, lines), (1, 1), "{}", outcome.err);
    }
}

#[test]
fn what_is_remembered_survives_a_restart() {
    let (mut primary, mut cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..3));
    let ids = ids(&cluster);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    let before: Vec<Value> = ids.iter().map(|id| traced(&cluster, id)).collect();
    cluster.nodes[0].kill();
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    let after: Vec<Value> = ids.iter().map(|id| traced(&cluster, id)).collect();
    assert_eq!(after, before);
}
