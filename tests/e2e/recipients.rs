//! Recipients whom the primary is asked about.

use std::time::{Duration, Instant};

use harness::{Cluster, Ctl, Daemon, Letter, Primary, Reply, Sender, Settings, Stage, wait_until};
use serde_json::Value;

use crate::scene;

const ANN: &str = "ann@example.com";
const NOBODY: &str = "nobody@example.com";

/// What one node has found out, all know within this.
const TOLD: Duration = Duration::from_secs(30);

/// A policy that has recipients verified, with another line for the domain.
fn verified(primary: &Primary, line: &str) -> Settings {
    let mut settings = Settings::for_primary(primary.address());
    let verify = format!("recipients = \"verify\"\n{line}");
    settings.policy = settings.policy.replace("recipients = \"any\"", &verify);
    settings
}

/// Nodes whose primary has no mailbox but Ann's.
fn with_ann(nodes: u64, line: &str) -> (Primary, Cluster) {
    let primary = Primary::started();
    primary.on_cue(|cue| cue.have(&[ANN]));
    let cluster = Cluster::start(nodes, &verified(&primary, line));
    (primary, cluster)
}

/// What a sender is answered who names a recipient.
fn named(node: &Daemon, to: &str) -> Reply {
    let mut sender = Sender::connect(node.smtp()).unwrap();
    let begun = sender.command("MAIL FROM:<a@sender.test>").unwrap();
    assert!(begun.is_positive(), "{begun}");
    let reply = sender.command(&format!("RCPT TO:<{to}>")).unwrap();
    sender.quit().unwrap();
    reply
}

#[track_caller]
fn assert_named(node: &Daemon, to: &str, expected: &str) {
    let reply = named(node, to).to_string();
    assert!(reply.starts_with(expected), "{to}: {reply}");
}

/// What a node knows of a recipient: state and source.
fn known(node: &Daemon, address: &str) -> Option<(String, String)> {
    let ctl = Ctl::new(&[node.ports.admin.address()]);
    let list = ctl.json(&["recipients", "list", "example.com"]);
    let found = list
        .as_array()?
        .iter()
        .find(|one| one["address"] == address)?;
    let word = |key: &str| found[key].as_str().map(str::to_owned);
    word("state").zip(word("from"))
}

#[track_caller]
fn wait_known(cluster: &Cluster, address: &str, state: &str, from: &str) {
    let expected = Some((state.to_owned(), from.to_owned()));
    for node in &cluster.nodes {
        wait_until(TOLD, "the node knows of the recipient", || {
            known(node, address) == expected
        });
    }
}

fn domain_status(cluster: &Cluster) -> Value {
    cluster.ctl().json(&["status"])["domains"][0].clone()
}

/// Breaks the primary off and has it noticed, by a letter to Ann.
fn begin_outage(primary: &mut Primary, cluster: &Cluster) {
    primary.down();
    scene::send_all(cluster, &[Letter::new(1, ANN, 1_000)]);
    wait_until(scene::DRAIN, "the primary is known to be down", || {
        domain_status(cluster)["primary_state"] == "down"
    });
}

#[test]
fn what_one_node_has_asked_all_nodes_know() {
    let (primary, cluster) = with_ann(3, "");
    assert_named(&cluster.nodes[0], NOBODY, "550 5.1.1 ");
    assert_named(&cluster.nodes[0], ANN, "250 2.1.5 ");
    wait_known(&cluster, NOBODY, "unknown", "probe");
    wait_known(&cluster, ANN, "valid", "probe");
    for node in &cluster.nodes {
        assert_named(node, "Nobody@Example.com", "550 5.1.1 ");
        assert_named(node, "Ann@Example.com", "250 2.1.5 ");
        assert_named(node, "postmaster@example.com", "250 2.1.5 ");
        assert_named(node, "ann@example.org", "550 5.7.1 ");
    }
    assert_eq!(primary.times_named(NOBODY), 1);
    assert_eq!(primary.times_named(ANN), 1);
    assert_eq!(primary.times_named("postmaster@example.com"), 0);
    let roster = &domain_status(&cluster)["recipients"];
    assert_eq!(
        (
            &roster["valid"],
            &roster["unknown"],
            &roster["takes_everybody"]
        ),
        (&Value::from(1), &Value::from(1), &Value::from(false))
    );
}

#[test]
fn an_outage_changes_nothing_for_those_who_are_known() {
    for (line, stranger) in [
        ("unknown_while_down = \"accept\"", "250 2.1.5 "),
        ("unknown_while_down = \"defer\"", "450 4.1.1 "),
    ] {
        let (mut primary, mut cluster) = with_ann(1, line);
        assert_named(&cluster.nodes[0], NOBODY, "550 5.1.1 ");
        assert_named(&cluster.nodes[0], ANN, "250 2.1.5 ");
        wait_known(&cluster, NOBODY, "unknown", "probe");
        wait_known(&cluster, ANN, "valid", "probe");
        begin_outage(&mut primary, &cluster);
        for _ in 0..2 {
            let node = &mut cluster.nodes[0];
            assert_named(node, ANN, "250 2.1.5 ");
            assert_named(node, NOBODY, "550 5.1.1 ");
            assert_named(node, "stranger@example.com", stranger);
            assert_named(node, "postmaster@example.com", "250 2.1.5 ");
            node.kill();
            node.spawn();
            node.wait_ready();
        }
        primary.up();
        scene::wait_received(&primary, 1);
    }
}

#[test]
fn a_primary_that_nobody_has_noticed_to_be_down_leaves_it_to_the_policy() {
    for (line, expected) in [
        ("unknown_while_down = \"accept\"", "250 2.1.5 "),
        ("unknown_while_down = \"defer\"", "450 4.1.1 "),
    ] {
        let primary = Primary::down_at_first();
        let cluster = Cluster::start(1, &verified(&primary, line));
        assert_named(&cluster.nodes[0], ANN, expected);
    }
}

#[test]
fn deliveries_teach_who_there_is() {
    let mut primary = Primary::down_at_first();
    primary.on_cue(|cue| cue.have(&[ANN]));
    let cluster = Cluster::start(1, &verified(&primary, ""));
    let letters = [Letter::new(1, ANN, 1_000), Letter::new(2, NOBODY, 1_000)];
    scene::send_all(&cluster, &letters);
    primary.up();
    wait_known(&cluster, ANN, "valid", "delivery");
    wait_known(&cluster, NOBODY, "unknown", "delivery");
    let (ann, nobody) = (primary.times_named(ANN), primary.times_named(NOBODY));
    assert_named(&cluster.nodes[0], ANN, "250 2.1.5 ");
    assert_named(&cluster.nodes[0], NOBODY, "550 5.1.1 ");
    assert_eq!(primary.times_named(ANN), ann, "nobody asked");
    assert_eq!(primary.times_named(NOBODY), nobody, "nobody asked");
}

#[test]
fn a_primary_that_takes_everybody_is_found_out() {
    let primary = Primary::started();
    let cluster = Cluster::start(1, &verified(&primary, ""));
    assert_named(&cluster.nodes[0], ANN, "250 2.1.5 ");
    wait_until(TOLD, "it is known to take everybody", || {
        domain_status(&cluster)["recipients"]["takes_everybody"] == true
    });
    assert_named(&cluster.nodes[0], NOBODY, "250 2.1.5 ");
    assert_eq!(primary.times_named(NOBODY), 0);
    assert_eq!(known(&cluster.nodes[0], ANN), None);
    let status = cluster.ctl().run(&["status"]);
    assert!(
        status.out.contains("takes mail for every address"),
        "{}",
        status.out
    );
}

#[test]
fn a_primary_that_does_not_answer_holds_no_sender_up_for_long() {
    let (primary, cluster) = with_ann(1, "");
    primary.on_cue(|cue| cue.pause(Stage::Recipient, Duration::from_secs(20)));
    let began = Instant::now();
    assert_named(&cluster.nodes[0], ANN, "450 4.1.1 ");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(known(&cluster.nodes[0], ANN), None);
}

#[test]
fn what_is_no_word_on_the_recipient_is_not_held_against_him() {
    let primary = Primary::started();
    primary.on_cue(|cue| {
        cue.refuse(ANN, "554 5.7.1 your address is on a list");
        cue.refuse(NOBODY, "451 4.3.0 try again later");
    });
    let cluster = Cluster::start(1, &verified(&primary, ""));
    assert_named(&cluster.nodes[0], ANN, "250 2.1.5 ");
    assert_named(&cluster.nodes[0], NOBODY, "450 4.1.1 ");
    assert_eq!(known(&cluster.nodes[0], ANN), None);
    assert_eq!(known(&cluster.nodes[0], NOBODY), None);
}

#[test]
fn pipelined_recipients_are_answered_in_their_order() {
    let (_primary, cluster) = with_ann(1, "");
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    let to = [
        ANN,
        NOBODY,
        "ann@example.org",
        "postmaster",
        "b@example.com",
        ANN,
    ];
    let recipients: String = to.iter().map(|to| format!("RCPT TO:<{to}>\r\n")).collect();
    let commands = format!("MAIL FROM:<a@sender.test>\r\n{recipients}DATA\r\n");
    sender.write(commands.as_bytes()).unwrap();
    let replies: Vec<String> = (0..to.len() + 2)
        .map(|_| sender.read_reply().unwrap().to_string())
        .collect();
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..9]).collect();
    let expected = [
        "250 2.1.0",
        "250 2.1.5",
        "550 5.1.1",
        "550 5.7.1",
        "250 2.1.5",
        "550 5.1.1",
        "250 2.1.5",
        "354 End d",
    ];
    assert_eq!(codes, expected);
}

#[test]
fn an_operator_knows_better() {
    let (primary, cluster) = with_ann(1, "");
    let node = &cluster.nodes[0];
    let ctl = cluster.ctl();
    let empty = ctl.run(&["recipients", "list", "example.com"]);
    assert_eq!(
        (empty.code, empty.out.as_str()),
        (0, "Nothing is known of any recipient.\n")
    );
    let added = ctl.run(&[
        "recipients",
        "add",
        "example.com",
        "Nobody",
        "b@example.com",
    ]);
    assert_eq!(
        (added.code, added.out.as_str()),
        (0, "added 2 recipients\n")
    );
    wait_known(&cluster, NOBODY, "valid", "operator");
    assert_named(node, NOBODY, "250 2.1.5 ");
    assert_eq!(primary.times_named(NOBODY), 0);

    let list = ctl.run(&["recipients", "list", "example.com"]);
    assert_eq!(list.out.lines().count(), 3, "{}", list.out);
    let forgot = ctl.run(&[
        "recipients",
        "forget",
        "example.com",
        NOBODY,
        "never-heard-of",
    ]);
    assert_eq!(
        (forgot.code, forgot.out.as_str()),
        (0, "forgot 1 recipient\n")
    );
    wait_until(TOLD, "he is forgotten", || known(node, NOBODY).is_none());
    assert_named(node, NOBODY, "550 5.1.1 ");
    wait_known(&cluster, NOBODY, "unknown", "probe");

    let all = ctl.json(&["recipients", "forget", "example.com", "--all"]);
    assert_eq!(all["changed"], 2);
    wait_until(TOLD, "everybody is forgotten", || {
        ctl.json(&["recipients", "list", "example.com"]) == Value::Array(Vec::new())
    });
}

#[test]
fn what_can_not_be_done_for_an_operator_is_said() {
    let (_primary, cluster) = with_ann(1, "");
    let ctl = cluster.ctl();
    for (arguments, words) in [
        (
            &["recipients", "list", "example.org"][..],
            "its domains are example.com",
        ),
        (
            &["recipients", "add", "example.org", "a"],
            "its domains are example.com",
        ),
        (
            &["recipients", "add", "example.com", "a@example.org"],
            "is no address of example.com",
        ),
        (
            &["recipients", "add", "example.com", "postmaster"],
            "is always valid",
        ),
        (
            &["recipients", "forget", "example.com", "a b"],
            "is no address of example.com",
        ),
    ] {
        let outcome = ctl.run(arguments);
        assert_eq!(outcome.code, 1, "{arguments:?}");
        assert!(
            outcome.err.contains(words),
            "{arguments:?}: {}",
            outcome.err
        );
        assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    }
    assert_eq!(ctl.run(&["recipients", "forget", "example.com"]).code, 2);
}
