//! Domains whose mail is taken only while their primary is down.

use std::{net::SocketAddr, time::Duration};

use harness::{Cluster, Daemon, Primary, Reply, Sender, Settings, wait_until};

use crate::scene;

/// A primary's death is noticed within a probe interval, half a second here, and a few seconds; a leader's
/// takes an election more.
const NOTICED: Duration = Duration::from_secs(30);

/// What one node has noted stands on all within about a second.
const TOLD: Duration = Duration::from_secs(30);

/// Three nodes, and a primary that is up.
fn guarded() -> (Primary, Cluster) {
    let primary = Primary::started();
    let mut settings = Settings::for_primary(primary.address());
    settings.policy.push_str("sentry = true\n");
    let cluster = Cluster::start(3, &settings);
    (primary, cluster)
}

/// What a node answers a sender with mail for a recipient.
fn answer(node: SocketAddr, to: &str) -> Reply {
    let mut sender = Sender::connect(node).unwrap();
    let reply = sender.command("MAIL FROM:<a@sender.test>").unwrap();
    assert!(reply.is_positive(), "{reply}");
    let reply = sender.command(&format!("RCPT TO:<{to}>")).unwrap();
    sender.quit().unwrap();
    reply
}

fn sends_away(node: &Daemon) -> bool {
    let reply = answer(node.smtp(), "user@example.com");
    assert!(reply.code == 250 || reply.code == 450, "{reply}");
    reply.code == 450
}

#[test]
fn mail_is_taken_on_every_node_only_while_the_primary_is_down() {
    let (mut primary, cluster) = guarded();
    for node in &cluster.nodes {
        let reply = answer(node.smtp(), "user@example.com");
        assert_eq!(reply.code, 450, "{reply}");
        assert!(reply.lines[0].starts_with("4.7.1 "), "{reply}");
        let reply = answer(node.smtp(), "Postmaster@example.com");
        assert_eq!(reply.code, 250, "{reply}");
        let deferred = ["result=\"deferred\""];
        let deferred = node.metric("layover_smtp_recipients_total", &deferred);
        assert_eq!(deferred, Some(1.0));
    }
    primary.down();
    for node in &cluster.nodes {
        wait_until(NOTICED, "mail is taken", || !sends_away(node));
    }
    let letters = scene::letters(0..30);
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
    for node in &cluster.nodes {
        wait_until(NOTICED, "senders are sent away", || sends_away(node));
    }
}

#[test]
fn a_primary_that_dies_with_the_leader_is_noticed_by_the_next_one() {
    let (mut primary, mut cluster) = guarded();
    let leader = cluster.leader();
    primary.down();
    cluster.nodes[leader].kill();
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        wait_until(NOTICED, "mail is taken", || {
            node.is_ready() && !sends_away(node)
        });
    }
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_visit_to_any_node_is_known_to_all() {
    let (_primary, cluster) = guarded();
    let rows = || {
        let equal = cluster.ctl().json(&["cluster", "verify"]);
        assert_eq!(equal["equal"], true, "{equal}");
        equal["members"][0]["rows"].as_u64().unwrap()
    };
    let before = rows();
    for node in &cluster.nodes {
        let reply = answer(node.smtp(), "anybody@example.com");
        assert_eq!(reply.code, 450, "{reply}");
    }
    wait_until(TOLD, "the visitor is known", || rows() == before + 1);
    let recipients = ["b@example.com", "c@example.com", "d@example.com"];
    for (node, to) in cluster.nodes.iter().zip(recipients) {
        let reply = answer(node.smtp(), to);
        assert_eq!(reply.code, 450, "{reply}");
    }
    wait_until(TOLD, "all visitors are known", || rows() == before + 4);
}
