//! The policy: one for all nodes, also while it changes.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use harness::{Cluster, Ctl, Letter, Primary, Sender, Settings, ctl::Outcome, wait_until};

use crate::scene;

/// A policy of these domains and their primaries.
fn policy(domains: &[(&str, SocketAddr)]) -> String {
    Settings::for_domains(domains).policy
}

/// The last domain of a policy takes mail only for those listed in a file.
fn listed(policy: &str, file: &str) -> String {
    let (front, last) = policy.rsplit_once("recipients = \"any\"").unwrap();
    format!("{front}recipients = \"list\"\nrecipients_file = {file:?}{last}")
}

fn write(cluster: &Cluster, name: &str, text: &str) -> PathBuf {
    let path = cluster.directory().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn apply(ctl: &Ctl, file: &Path) -> Outcome {
    ctl.run(&["policy", "apply", file.to_str().unwrap()])
}

#[track_caller]
fn applied(ctl: &Ctl, file: &Path) -> String {
    let outcome = apply(ctl, file);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    outcome.out
}

fn version(ctl: &Ctl) -> u64 {
    ctl.json(&["policy", "show"])["version"].as_u64().unwrap()
}

/// A session in which a sender was taken.
fn session(address: SocketAddr) -> Sender {
    let mut sender = Sender::connect(address).unwrap();
    let reply = sender.command("MAIL FROM:<a@sender.test>").unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    sender
}

#[track_caller]
fn answers(sender: &mut Sender, to: &str, expected: &str) {
    let reply = sender.command(&format!("RCPT TO:<{to}>")).unwrap();
    let said = reply.to_string();
    assert!(said.starts_with(expected), "{to}: {said}");
}

#[test]
fn a_policy_is_every_nodes_when_its_application_returns() {
    let primary = Primary::down_at_first();
    let at = primary.address();
    let before = [("example.com", at), ("example.net", at)];
    let cluster = Cluster::start(3, &Settings::for_domains(&before));
    let text = policy(&[("example.com", at), ("example.org", at)]);
    let file = write(&cluster, "next.toml", &text);
    let mut sessions: Vec<Sender> = cluster.hosts().into_iter().map(session).collect();

    let said = applied(&cluster.nodes[cluster.follower()].ctl(), &file);
    for sender in &mut sessions {
        answers(sender, "a@example.org", "250 2.1.5");
        answers(sender, "a@example.net", "550 5.7.1");
        answers(sender, "a@example.com", "250 2.1.5");
    }
    assert!(said.starts_with("policy 2 is in force\n"), "{said}");
    assert!(said.contains("new: example.org\n"), "{said}");
    assert!(said.contains("gone: example.net\n"), "{said}");
    assert!(!said.contains('!'), "{said}");
    for node in &cluster.nodes {
        let ctl = node.ctl();
        assert_eq!(ctl.run(&["policy", "show"]).out, text);
        assert_eq!(version(&ctl), 2);
        let diff = ctl.run(&["policy", "diff", file.to_str().unwrap()]);
        assert_eq!(diff.code, 0, "{}", diff.err);
        assert!(diff.out.starts_with("no difference"), "{}", diff.out);
    }
    let again = applied(&cluster.ctl(), &file);
    assert!(again.contains("policy 2 is in force already"), "{again}");
}

#[test]
fn mistakes_are_told_with_line_and_column_and_change_nothing() {
    let (primary, cluster) = scene::outage(3);
    let ctl = cluster.nodes[cluster.follower()].ctl();
    let sound = policy(&[("example.com", primary.address())]);
    let text = listed(&sound, "users.txt").replace("[[domain]]", "[[domain]]\ntls = \"maybe\"");
    let file = write(&cluster, "wrong.toml", &format!("{text}conections = 3\n"));
    let at = |place: &str| format!("{}{place}", file.display());

    let unread = apply(&ctl, &file);
    assert_eq!(unread.code, 1);
    assert!(
        unread.err.starts_with(&at(":6:19: reading")),
        "{}",
        unread.err
    );

    let users = write(&cluster, "users.txt", "# staff\nanna@example.com\n  bert\n");
    let outcome = apply(&ctl, &file);
    assert_eq!(outcome.code, 1);
    let lines: Vec<&str> = outcome.err.trim_end().lines().collect();
    assert_eq!(lines.len(), 3, "{}", outcome.err);
    assert!(lines[0].starts_with(&at(":2:7: tls = ")), "{}", lines[0]);
    assert!(
        lines[1].starts_with(&at(":9:1: unknown key")),
        "{}",
        lines[1]
    );
    let bert = format!("{}:3:3: ", users.display());
    assert!(lines[2].starts_with(&bert), "{}", lines[2]);
    write(&cluster, "users.txt", "# nobody yet\n");
    let listed = write(&cluster, "empty.toml", &listed(&sound, "users.txt"));
    let nobody = apply(&ctl, &listed);
    assert_eq!(nobody.code, 1);
    let at_the_file = format!("{}:5:19: recipients_file = ", listed.display());
    assert!(nobody.err.starts_with(&at_the_file), "{}", nobody.err);
    let missing = apply(&ctl, &cluster.directory().join("none.toml"));
    assert_eq!((missing.code, missing.err.lines().count()), (1, 1));
    for node in &cluster.nodes {
        assert_eq!(version(&node.ctl()), 1);
        answers(&mut session(node.smtp()), "bert@example.com", "250 2.1.5");
    }
}

#[test]
fn a_list_of_recipients_is_every_nodes_and_survives_a_restart_of_all() {
    let (primary, mut cluster) = scene::outage(3);
    let text = listed(
        &policy(&[("example.com", primary.address())]),
        "lists/users",
    );
    let file = write(&cluster, "policy.toml", &text);
    fs::create_dir(cluster.directory().join("lists")).unwrap();
    write(&cluster, "lists/users", "Anna@example.com # first\n");
    let shown = cluster
        .ctl()
        .run(&["policy", "diff", file.to_str().unwrap()]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for line in [
        "-recipients = \"any\"",
        "+recipients = \"list\"",
        "+Anna@example.com # first",
    ] {
        assert!(
            shown.out.lines().any(|l| l == line),
            "{line}: {}",
            shown.out
        );
    }
    let said = applied(&cluster.ctl(), &file);
    assert!(said.contains("changed: example.com"), "{said}");
    let check = |cluster: &Cluster| {
        for address in cluster.hosts() {
            let mut sender = session(address);
            answers(&mut sender, "ANNA@example.com", "250 2.1.5");
            answers(&mut sender, "bert@example.com", "550 5.1.1 User unknown");
            answers(&mut sender, "postmaster@example.com", "250 2.1.5");
        }
    };
    check(&cluster);
    let ctl = cluster.ctl();
    let told = ctl.run(&["recipients", "list", "Example.com"]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("addresses in it: 1"), "{}", told.out);
    let added = ctl.run(&["recipients", "add", "example.com", "bert"]);
    assert_eq!(added.code, 1, "{}", added.out);
    assert!(added.err.contains("recipients_file"), "{}", added.err);

    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    check(&cluster);
    let shown = cluster.ctl().json(&["policy", "show"]);
    assert_eq!(shown["version"], 2, "{shown}");
    assert_eq!(shown["lists"][0]["name"], "lists/users", "{shown}");
    // What the nodes have in `[policy] initial` is not what counts any more.
    wait_until(scene::CATCH_UP, "each node says so", || {
        let said = |node: &harness::Daemon| {
            let log = node.log_text();
            log.contains("differs from the policy in force")
        };
        cluster.nodes.iter().all(said)
    });
}

#[test]
fn a_node_that_was_down_takes_no_mail_before_it_goes_by_the_new_policy() {
    let (primary, mut cluster) = scene::outage(3);
    let at = primary.address();
    let down = cluster.follower();
    cluster.nodes[down].kill();
    let file = write(&cluster, "next.toml", &policy(&[("example.org", at)]));
    let other = cluster.leader();
    let said = applied(&cluster.nodes[other].ctl(), &file);
    let named = format!("! Node {} did not say", cluster.nodes[down].id);
    assert!(said.contains(&named), "{said}");

    cluster.nodes[down].spawn();
    let address = cluster.nodes[down].smtp();
    let mut first = harness::wait::within(scene::CATCH_UP, || {
        let mut sender = Sender::connect(address).ok()?;
        let reply = sender.command("MAIL FROM:<a@sender.test>").ok()?;
        (reply.code == 250).then_some(sender)
    })
    .expect("its port opens");
    answers(&mut first, "a@example.com", "550 5.7.1");
    answers(&mut first, "a@example.org", "250 2.1.5");
}

#[test]
fn queued_mail_goes_to_a_primary_that_takes_the_place_of_another() {
    let (_primary, cluster) = scene::outage(3);
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters);
    let mut next = Primary::down_at_first();
    let file = write(
        &cluster,
        "next.toml",
        &policy(&[("example.com", next.address())]),
    );
    applied(&cluster.nodes[cluster.follower()].ctl(), &file);
    let account = scene::drain(&cluster, &mut next, &letters);
    assert_eq!(account.repeated, Vec::<usize>::new());
}

#[test]
fn mail_of_a_domain_that_has_left_the_policy_waits_until_it_is_back() {
    let (mut primary, cluster) = scene::outage(3);
    let at = primary.address();
    let letters = scene::letters(0..5);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(5, scene::CATCH_UP);
    let ctl = cluster.ctl();
    let without = write(&cluster, "without.toml", &policy(&[("example.org", at)]));
    let said = applied(&ctl, &without);
    assert!(said.contains("! 5 messages wait for example.com"), "{said}");
    primary.up();
    let new = Letter::new(9, "a@example.org", 1_000);
    scene::send_all(&cluster, &[new]);
    scene::wait_received(&primary, 1);
    cluster.wait_queued(5, scene::DRAIN);
    let status = ctl.run(&["status"]).out;
    assert!(
        status.contains("5 messages wait for example.com"),
        "{status}"
    );

    let with = write(
        &cluster,
        "with.toml",
        &policy(&[("example.org", at), ("example.com", at)]),
    );
    applied(&ctl, &with);
    scene::wait_received(&primary, 6);
    cluster.wait_queued(0, scene::DRAIN);
    assert_eq!(primary.count(), 6);
}
