//! What an operator sees and does.

use std::time::Duration;

use harness::{Cluster, Primary, Settings, http, wait_until};

use crate::scene;

#[test]
fn any_node_tells_the_state_of_all() {
    let (_primary, cluster) = scene::outage(3);
    scene::send_all(&cluster, &scene::letters(0..7));
    cluster.wait_queued(7, scene::CATCH_UP);
    let leader = cluster.leader();
    for node in &cluster.nodes {
        let ctl = node.ctl();
        let status = ctl.json(&["status"]);
        assert_eq!(status["domains"][0]["name"], "example.com", "{status}");
        assert_eq!(status["domains"][0]["waiting"], 7, "{status}");
        let members = ctl.json(&["cluster", "status"]);
        assert_eq!(members["leader"], cluster.nodes[leader].id, "{members}");
        assert_eq!(
            members["members"].as_array().map(Vec::len),
            Some(3),
            "{members}"
        );
        for words in [&["status"][..], &["cluster", "status"], &["queue", "list"]] {
            let outcome = ctl.run(words);
            assert_eq!(outcome.code, 0, "{}", outcome.err);
            assert!(!outcome.out.is_empty());
        }
    }
}

#[test]
fn any_node_tells_how_fast_the_queue_leaves() {
    let mut primary = Primary::down_at_first();
    let mut settings = Settings::for_primary(primary.address());
    settings.policy.push_str("messages_per_second = 2\n");
    let cluster = Cluster::start(3, &settings);
    scene::send_all(&cluster, &scene::letters(0..40));
    primary.up();
    for node in &cluster.nodes {
        let ctl = node.ctl();
        wait_until(scene::DRAIN, "it tells how fast it leaves", || {
            let told = ctl.json(&["status"])["domains"][0]["delivery"].clone();
            told["per_second"].as_f64() > Some(0.5) && told["expected_end_ms"].is_u64()
        });
    }
}

#[test]
fn a_primary_that_is_down_is_said_to_be_down() {
    let (mut primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..3));
    let ctl = cluster.ctl();
    wait_until(
        Duration::from_secs(20),
        "the primary counts as down",
        || ctl.json(&["status"])["domains"][0]["primary_state"] == "down",
    );
    primary.up();
    wait_until(scene::DRAIN, "the primary counts as up", || {
        ctl.json(&["status"])["domains"][0]["primary_state"] == "up"
    });
}

#[test]
fn the_queue_is_listed_in_order_and_a_message_is_shown() {
    let (_primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..12));
    let ctl = cluster.ctl();
    let list = ctl.json(&["queue", "list", "--limit", "5"]);
    let list = list.as_array().unwrap();
    let senders: Vec<_> = list
        .iter()
        .map(|entry| entry["sender"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (0..5)
        .map(|serial| format!("sender{serial}@sender.test"))
        .collect();
    assert_eq!(senders, expected);
    let one = ctl.json(&["queue", "list", "--recipient", "user3@example.com"]);
    assert_eq!(one.as_array().map(Vec::len), Some(2), "{one}");
    for (filter, code, words) in [
        (["--domain", "elsewhere.test"], 1, "elsewhere.test"),
        (["--sender", ""], 2, "<>"),
    ] {
        let refused = ctl.run(&[&["queue", "list"], &filter[..]].concat());
        assert_eq!(refused.code, code, "{}", refused.err);
        assert!(refused.err.contains(words), "{}", refused.err);
    }
    let id = list[0]["id"].as_str().unwrap();
    let shown = ctl.json(&["queue", "show", id]);
    assert!(
        shown["header"]
            .as_str()
            .unwrap()
            .contains("Subject: letter 0"),
        "{shown}"
    );
    let missing = ctl.run(&["queue", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    assert_eq!(
        (missing.code, missing.err.trim_end().lines().count()),
        (1, 1),
        "{}",
        missing.err
    );
}

#[test]
fn flush_waits_until_the_queue_is_empty() {
    let (mut primary, cluster) = scene::outage(3);
    let letters = scene::letters(0..50);
    scene::send_all(&cluster, &letters);
    primary.up();
    let outcome = cluster.nodes[cluster.follower()]
        .ctl()
        .run(&["flush", "--wait"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(primary.count(), 50);
    // Nobody watches: how it begins, how it ends, and at most that the primary was still down in between.
    let lines: Vec<&str> = outcome.out.lines().collect();
    assert!(lines.len() <= 4, "{}", outcome.out);
    assert!(
        lines.last().unwrap().starts_with("drained in "),
        "{}",
        outcome.out
    );
    let unknown = cluster.ctl().run(&["flush", "elsewhere.test"]);
    assert_eq!(
        (unknown.code, unknown.err.trim_end().lines().count()),
        (1, 1),
        "{}",
        unknown.err
    );
}

#[test]
fn wrong_usage_is_exit_code_2_and_a_silent_server_exit_code_1() {
    let (_primary, mut cluster) = scene::outage(1);
    for wrong in [
        &["queue", "lst"][..],
        &["--server", "mx1", "status"],
        &["--server", "", "status"],
        &["--tls-ca", "ca.pem", "status"],
    ] {
        let outcome = cluster.ctl().run(wrong);
        assert_eq!(outcome.code, 2, "{wrong:?}: {}", outcome.err);
    }
    cluster.nodes[0].kill();
    let outcome = cluster.ctl().run(&["status"]);
    assert_eq!(
        (outcome.code, outcome.err.trim_end().lines().count()),
        (1, 1),
        "{}",
        outcome.err
    );
}

#[test]
fn metrics_and_health_are_served() {
    let (_primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..4));
    let address = cluster.nodes[0].ports.http.address();
    assert_eq!(http::get(address, "/healthz").unwrap().0, 200);
    assert_eq!(http::get(address, "/readyz").unwrap().0, 200);
    assert_eq!(http::get(address, "/nothing").unwrap().0, 404);
    let (code, text) = http::get(address, "/metrics").unwrap();
    assert_eq!(code, 200);
    for name in [
        "layover_smtp_connections",
        "layover_smtp_messages_total",
        "layover_smtp_recipients_total",
        "layover_smtp_received_bytes_total",
        "layover_smtp_commit_seconds_bucket",
        "layover_queue_messages",
        "layover_queue_bytes",
        "layover_primary_up",
        "layover_raft_is_leader",
        "layover_raft_term",
        "layover_raft_last_log_index",
        "layover_raft_last_applied_index",
        "layover_storage_free_bytes",
        "layover_build_info",
    ] {
        assert!(
            http::metric(&text, name, &[]).is_some(),
            "{name} is not in\n{text}"
        );
    }
    for result in ["delivered", "deferred", "rejected"] {
        let labels = ["domain=\"example.com\"", &format!("result=\"{result}\"")];
        let count = http::metric(&text, "layover_deliveries_total", &labels);
        assert_eq!(count, Some(0.0), "before anything is delivered\n{text}");
    }
    assert_eq!(cluster.nodes[0].queued(), Some(4));
}
