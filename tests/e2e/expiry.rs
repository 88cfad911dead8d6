//! Mail that grows too old.

use std::time::Duration;

use harness::{Cluster, Primary, Settings, wait_until};

use crate::scene;

/// Mail that is too old is looked for every few seconds, and counted every 20.
const LOOKED_AT: Duration = Duration::from_secs(60);

fn settings(primary: &Primary, queue: &str) -> Settings {
    let mut settings = Settings::for_primary(primary.address());
    settings.policy = format!("[queue]\n{queue}\n\n{}", settings.policy);
    settings
}

/// So many messages are in a state, as every node tells.
fn are(cluster: &Cluster, state: &str, count: u64) -> bool {
    cluster.nodes.iter().all(|node| {
        let status = node.ctl().json(&["status"]);
        status["domains"][0][state] == count
    })
}

#[test]
fn what_the_primary_never_takes_is_given_up_and_kept_for_the_postmaster() {
    let primary = Primary::started();
    primary.on_cue(|cue| cue.refuse("user0@example.com", "450 4.2.1 mailbox busy"));
    let cluster = Cluster::start(3, &settings(&primary, "max_age = \"3s\""));
    scene::send_all(&cluster, &scene::letters(0..1));
    wait_until(LOOKED_AT, "it is given up", || are(&cluster, "rejected", 1));
    let ctl = cluster.ctl();
    let list = ctl.json(&["queue", "list", "--state", "rejected"]);
    let id = list[0]["id"].as_str().unwrap();
    let shown = ctl.json(&["queue", "show", id]);
    let reply = shown["recipients"][0]["reply"].as_str().unwrap();
    assert!(reply.starts_with("5.4.7 delivery time expired"), "{reply}");
    assert!(reply.ends_with("450 4.2.1 mailbox busy"), "{reply}");
    assert_eq!(shown["expiry"], serde_json::Value::Null, "{shown}");
    assert!(
        shown["header"]
            .as_str()
            .unwrap()
            .contains("Subject: letter 0")
    );
    assert_eq!(primary.count(), 0);
}

#[test]
fn what_was_refused_is_dropped_once_it_was_kept_long_enough_and_nothing_else_is() {
    let primary = Primary::started();
    primary.on_cue(|cue| {
        cue.refuse("user0@example.com", "550 5.7.1 not wanted");
        cue.refuse("user1@example.com", "550 5.7.1 not wanted");
        cue.refuse("user2@example.com", "450 4.2.1 mailbox busy");
    });
    let cluster = Cluster::start(3, &settings(&primary, "retain_rejected = \"20s\""));
    scene::send_all(&cluster, &scene::letters(0..3));
    wait_until(LOOKED_AT, "they are refused", || {
        are(&cluster, "rejected", 2) && are(&cluster, "deferred", 1)
    });
    let ctl = cluster.ctl();
    let refused = |number: usize| {
        let to = format!("user{number}@example.com");
        let list = ctl.json(&["queue", "list", "--recipient", &to]);
        list[0]["id"].as_str().unwrap().to_owned()
    };
    let (dropped, kept) = (refused(0), refused(1));
    primary.on_cue(|cue| cue.refuse("user1@example.com", "450 4.2.1 mailbox busy"));
    assert_eq!(ctl.run(&["queue", "retry", &kept]).code, 0);
    wait_until(LOOKED_AT, "one is dropped", || are(&cluster, "rejected", 0));
    assert!(are(&cluster, "deferred", 2));
    let traced = ctl.json(&["trace", &dropped]);
    assert_eq!(traced["state"], "deleted", "{traced}");
    let recipient = &traced["message"]["recipients"][0];
    assert_eq!(recipient["status"], "rejected", "{traced}");
    let mut logs = cluster.nodes.iter().map(harness::Daemon::log_text);
    assert!(logs.any(|log| log.contains("has been kept for retain_rejected")));
    assert_eq!(primary.count(), 0);
}

#[test]
fn an_outage_does_not_age_mail_and_what_expires_soon_is_told() {
    let (mut primary, cluster) = {
        let primary = Primary::down_at_first();
        let settings = settings(&primary, "max_age = \"3s\"\nmax_age_total = \"1h\"");
        let cluster = Cluster::start(1, &settings);
        (primary, cluster)
    };
    let letters = scene::letters(0..3);
    scene::send_all(&cluster, &letters);
    let ctl = cluster.ctl();
    wait_until(LOOKED_AT, "it is told that mail expires soon", || {
        let status = ctl.json(&["status"]);
        status["domains"][0]["expiring"]["messages"] == 3
    });
    let warned = ctl.run(&["status"]).out;
    assert!(
        warned.contains("3 messages for example.com will be given up within 72 hours"),
        "{warned}"
    );
    let expiring = cluster.nodes[0].metric("layover_queue_expiring_messages", &["example.com"]);
    assert_eq!(expiring, Some(3.0));
    let log = cluster.nodes[0].log_text();
    assert!(log.contains("mail expires within 72 hours"), "{log}");
    let list = ctl.json(&["queue", "list"]);
    let shown = ctl.json(&["queue", "show", list[0]["id"].as_str().unwrap()]);
    assert_eq!(shown["expiry"]["is_suspended"], true, "{shown}");
    // By now it would have been too old long ago.
    assert!(are(&cluster, "waiting", 3));
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn an_outage_without_end_keeps_mail_up_to_the_age_in_all() {
    let primary = Primary::down_at_first();
    let settings = settings(&primary, "max_age = \"2s\"\nmax_age_total = \"6s\"");
    let cluster = Cluster::start(1, &settings);
    scene::send_all(&cluster, &scene::letters(0..40));
    let ctl = cluster.ctl();
    wait_until(LOOKED_AT, "the primary is down", || {
        ctl.json(&["status"])["domains"][0]["primary_state"] == "down"
    });
    wait_until(LOOKED_AT, "it is given up", || {
        are(&cluster, "rejected", 40)
    });
    assert!(are(&cluster, "waiting", 0));
}
