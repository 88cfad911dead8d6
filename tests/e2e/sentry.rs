//! Domains whose mail is taken only while their primary is down.

use std::{io, net::SocketAddr, time::Duration};

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

/// What a node answers a sender with mail for a recipient, if it gets as far: else what it answers MAIL.
fn answered(node: SocketAddr, to: &str) -> io::Result<Reply> {
    let mut sender = Sender::connect(node)?;
    let mut reply = sender.command("MAIL FROM:<a@sender.test>")?;
    if reply.is_positive() {
        reply = sender.command(&format!("RCPT TO:<{to}>"))?;
    }
    sender.quit()?;
    Ok(reply)
}

fn answer(node: SocketAddr, to: &str) -> Reply {
    answered(node, to).unwrap()
}

/// Whether mail is taken, by a node that need not be there yet, or have a quorum.
fn takes_mail(node: &Daemon) -> bool {
    answered(node.smtp(), "user@example.com").is_ok_and(|reply| reply.code == 250)
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
        wait_until(NOTICED, "mail is taken", || takes_mail(node));
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
    // What is noted of the domain at its primary's first answer is a row, too.
    wait_until(TOLD, "the primary has been talked to", || {
        let status = cluster.ctl().json(&["status"]);
        status["domains"][0]["offers"].is_object()
    });
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
