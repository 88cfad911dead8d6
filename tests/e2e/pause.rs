//! Domains whose mail is kept back.

use std::time::Duration;

use harness::{Cluster, Primary, Settings, wait_until};
use serde_json::Value;

use crate::scene;

const DOMAIN: &str = "example.com";

fn domain(cluster: &Cluster) -> Value {
    cluster.ctl().json(&["status"])["domains"][0].clone()
}

fn paused(cluster: &Cluster) -> Option<f64> {
    cluster.nodes[0].metric("layover_domain_paused", &["domain=\"example.com\""])
}

#[test]
fn a_paused_domain_takes_mail_and_sends_none_until_it_is_resumed() {
    let mut primary = Primary::started();
    let cluster = Cluster::start(3, &Settings::for_primary(primary.address()));
    let asked = cluster.nodes[cluster.follower()].ctl();
    let told = asked.json(&["domain", "pause", DOMAIN, "--reason", "new disks"]);
    assert_eq!(told["waiting"], 0, "{told}");
    let letters = scene::letters(0..20);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(20, scene::CATCH_UP);
    assert_eq!(asked.run(&["flush"]).code, 0);
    let sessions = primary.sessions();
    wait_until(
        scene::DRAIN,
        "the primary is asked whether it is there",
        || primary.sessions() >= sessions + 2,
    );
    assert_eq!(primary.count(), 0, "a flush does not end a pause");
    let status = domain(&cluster);
    assert_eq!(status["paused"]["reason"], "new disks", "{status}");
    assert_eq!(status["primary_state"], "up", "{status}");
    wait_until(scene::CATCH_UP, "the metric tells", || {
        paused(&cluster) == Some(1.0)
    });

    primary.down();
    wait_until(scene::DRAIN, "the primary counts as down", || {
        domain(&cluster)["primary_state"] == "down"
    });
    primary.up();
    wait_until(scene::DRAIN, "the primary counts as up", || {
        domain(&cluster)["primary_state"] == "up"
    });
    assert_eq!(primary.count(), 0);

    assert_eq!(asked.json(&["domain", "resume", DOMAIN])["changed"], true);
    assert_eq!(asked.json(&["domain", "resume", DOMAIN])["changed"], false);
    scene::drain(&cluster, &mut primary, &letters);
    wait_until(scene::CATCH_UP, "the metric tells", || {
        paused(&cluster) == Some(0.0)
    });
    let audit = asked.json(&["audit"]);
    let what: Vec<_> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["what"])
        .collect();
    let expected = [
        "domain pause example.com",
        "flush",
        "domain resume example.com",
    ];
    assert_eq!(what, expected);
}

#[test]
fn a_pause_outlives_the_leader_and_ends_by_itself() {
    let mut primary = Primary::started();
    let mut cluster = Cluster::start(3, &Settings::for_primary(primary.address()));
    let paused = cluster
        .ctl()
        .json(&["domain", "pause", DOMAIN, "--for", "20s"]);
    assert!(paused["until_ms"].as_u64() > Some(0), "{paused}");
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    wait_until(Duration::from_secs(60), "it is over", || {
        primary.count() == 10
    });
    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
    let now = domain(&cluster);
    assert!(now["paused"].is_null(), "{now}");
    scene::drain(&cluster, &mut primary, &letters);
    let received = primary.received();
    let until = paused["until_ms"].as_u64().unwrap();
    assert!(!received.is_empty());
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(since >= u128::from(until), "nothing came before");
}

#[test]
fn a_domain_that_is_not_ours_is_not_paused_nor_for_no_time() {
    let (_primary, cluster) = scene::outage(1);
    let refused = cluster.ctl().run(&["domain", "pause", "elsewhere.test"]);
    assert_eq!(
        (refused.code, refused.err.trim_end().lines().count()),
        (1, 1)
    );
    assert_eq!(cluster.ctl().run(&["domain", "pause"]).code, 2);
    for span in ["0s", "11years"] {
        let pause = ["domain", "pause", DOMAIN, "--for", span];
        let refused = cluster.ctl().run(&pause);
        assert_eq!(refused.code, 1, "{span}");
        assert!(refused.err.contains("1s at least"), "{}", refused.err);
    }
    assert!(domain(&cluster)["paused"].is_null());
}
