//! What operators do with messages.

use std::time::{Duration, Instant};

use harness::{Cluster, Ctl, Daemon, Letter, Primary, Sender, Settings, letter, wait_until};
use serde_json::Value;

use crate::scene;

/// What one node has changed stands on all within this.
const TOLD: Duration = Duration::from_secs(30);

const ANN: &str = "user1@example.com";

/// The ids of what the queue holds, in order of arrival.
fn ids(ctl: &Ctl, filter: &[&str]) -> Vec<String> {
    let mut words = vec!["queue", "list"];
    words.extend(filter);
    let list = ctl.json(&words);
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn change(ctl: &Ctl, words: &[&str]) -> Value {
    let mut all = vec!["queue"];
    all.extend(words);
    ctl.json(&all)
}

fn figures(node: &Daemon) -> Value {
    let ctl = Ctl::new(&[node.ports.admin.address()]);
    ctl.json(&["status"])["domains"][0].clone()
}

#[track_caller]
fn wait_figure(cluster: &Cluster, name: &str, expected: u64) {
    for node in &cluster.nodes {
        wait_until(TOLD, "the node knows", || figures(node)[name] == expected);
    }
}

fn rows(ctl: &Ctl) -> Vec<Value> {
    ctl.json(&["audit"]).as_array().unwrap().clone()
}

#[test]
fn what_is_held_stays_and_comes_in_its_place_when_it_is_released() {
    let (mut primary, cluster) = scene::outage(3);
    let letters = scene::letters(0..30);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(30, scene::CATCH_UP);
    let ctl = cluster.nodes[cluster.follower()].ctl();
    let filter = ["--recipient", ANN, "--reason", "looks odd"];
    let mut words = vec!["hold"];
    words.extend(filter);
    let told = change(&ctl, &words);
    assert_eq!(
        (&told["changed"], &told["absent"]),
        (&6.into(), &0.into()),
        "{told}"
    );
    wait_figure(&cluster, "held", 6);
    wait_figure(&cluster, "waiting", 24);
    let held = ids(&ctl, &["--state", "held"]);
    assert_eq!(held.len(), 6);
    let shown = ctl.json(&["queue", "show", &held[0]]);
    assert_eq!(shown["state"], "held", "{shown}");
    assert_eq!(shown["hold"]["reason"], "looks odd", "{shown}");
    let metric = ["state=\"held\"", "domain=\"example.com\""];
    let metric = cluster.nodes[0].metric("layover_queue_messages", &metric);
    assert_eq!(metric, Some(6.0));

    primary.up();
    scene::wait_received(&primary, 24);
    let flushed = ctl.run(&["flush", "--wait"]);
    assert_eq!(
        flushed.code, 0,
        "held messages are not waited for: {}",
        flushed.err
    );
    assert_eq!(primary.count(), 24);
    let again = change(&ctl, &["hold", &held[0]]);
    assert_eq!(
        (&again["changed"], &again["unaffected"]),
        (&0.into(), &1.into())
    );
    assert_eq!(change(&ctl, &["release", "--all"])["changed"], 6);
    scene::drain(&cluster, &mut primary, &letters);

    let rows = rows(&cluster.ctl());
    let what: Vec<&str> = rows
        .iter()
        .map(|row| row["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        what,
        [
            "hold --recipient user1@example.com",
            "flush",
            "release --all"
        ]
    );
    assert_eq!(
        (&rows[0]["changed"], &rows[0]["reason"]),
        (&6.into(), &"looks odd".into())
    );
    assert!(!rows[0]["by"].as_str().unwrap().is_empty());
    let later = ctl.json(&["audit", "--since", "2100-01-01"]);
    assert_eq!(later.as_array().map(Vec::len), Some(0));
}

#[test]
fn what_is_deleted_never_arrives_and_more_than_one_is_asked_about() {
    let (mut primary, cluster) = scene::outage(3);
    let letters = scene::letters(0..20);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(20, scene::CATCH_UP);
    let ctl = cluster.nodes[cluster.follower()].ctl();
    let asked = ctl.run(&["queue", "delete", "--recipient", ANN]);
    assert_eq!(asked.code, 2, "{}", asked.err);
    assert!(asked.err.contains("delete 4 messages?"), "{}", asked.err);
    assert!(asked.err.contains("--yes"), "{}", asked.err);
    assert_eq!(ids(&ctl, &[]).len(), 20);
    let unsaid = ctl.run(&["queue", "delete", "--yes"]);
    assert_eq!(unsaid.code, 2, "{}", unsaid.err);

    let one = ids(&ctl, &["--recipient", "user2@example.com", "--limit", "1"]);
    assert_eq!(change(&ctl, &["delete", &one[0]])["changed"], 1);
    assert_eq!(
        change(&ctl, &["delete", "--yes", "--recipient", ANN])["changed"],
        4
    );
    let gone = ctl.run(&["queue", "delete", &one[0]]);
    assert_eq!(gone.code, 1, "{}", gone.out);
    let there = ids(&ctl, &["--limit", "1"]);
    let some = ctl.run(&["queue", "hold", &one[0], &there[0]]);
    assert_eq!(some.code, 1, "{}", some.out);
    assert!(some.out.starts_with("held: 1 message;"), "{}", some.out);
    assert!(some.err.contains("1 of 2 messages"), "{}", some.err);
    assert_eq!(change(&ctl, &["release", &there[0]])["changed"], 1);
    let nowhere = ctl.run(&["queue", "delete", "--yes", "--domain", "elsewhere.test"]);
    assert_eq!(nowhere.code, 1, "{}", nowhere.out);
    cluster.wait_queued(15, scene::CATCH_UP);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    assert_eq!(primary.count(), 15);
    assert_eq!(primary.times_named(ANN), 0);
    let told = ctl.json(&["trace", &one[0]]);
    assert_eq!(told["state"], "deleted", "{told}");
    assert_eq!(
        told["message"]["recipients"][0]["status"], "pending",
        "{told}"
    );
}

#[test]
fn what_an_operator_gives_up_never_arrives_and_stays_where_nobody_may_be_told() {
    let mut primary = Primary::down_at_first();
    let mut settings = Settings::for_primary(primary.address());
    settings.policy = format!("[queue]\ndsn = \"never\"\n\n{}", settings.policy);
    let cluster = Cluster::start(1, &settings);
    scene::send_all(&cluster, &scene::letters(0..10));
    cluster.wait_queued(10, scene::CATCH_UP);
    let ctl = cluster.ctl();
    let asked = ctl.run(&["queue", "bounce", "--all"]);
    assert_eq!(asked.code, 2, "{}", asked.err);
    assert!(asked.err.contains("bounce 10 messages?"), "{}", asked.err);

    let one = ids(&ctl, &["--limit", "1"]);
    let told = change(&ctl, &["bounce", &one[0], "--reason", "moved away"]);
    assert_eq!(told["changed"], 1, "{told}");
    let told = change(&ctl, &["bounce", &one[0]]);
    assert_eq!(
        (&told["changed"], &told["unaffected"]),
        (&0.into(), &1.into())
    );
    let shown = ctl.json(&["queue", "show", &one[0]]);
    assert_eq!(shown["state"], "rejected", "{shown}");
    let recipient = &shown["recipients"][0];
    assert_eq!(
        recipient["reply"],
        "5.0.0 returned by the operator: moved away"
    );
    assert_eq!(recipient["owed"], Value::Null, "{shown}");
    let row = &rows(&ctl)[0];
    assert_eq!(row["what"], format!("bounce {}", one[0]), "{row}");
    assert_eq!(row["reason"], "moved away", "{row}");

    primary.up();
    wait_until(scene::DRAIN, "the others have left", || {
        primary.count() == 9
    });
    assert_eq!(ids(&ctl, &["--state", "rejected"]), one);
}

#[test]
fn what_the_primary_refused_is_tried_again_when_an_operator_wants_it() {
    let primary = Primary::started();
    primary.on_cue(|cue| cue.have(&["user1@example.com"]));
    let cluster = Cluster::start(1, &Settings::for_primary(primary.address()));
    let letters: Vec<Letter> = (0..3)
        .map(|serial| Letter::new(serial, "user2@example.com", 1_000))
        .collect();
    scene::send_all(&cluster, &letters);
    let ctl = cluster.ctl();
    wait_until(scene::DRAIN, "all are refused", || {
        figures(&cluster.nodes[0])["rejected"] == 3
    });
    primary.on_cue(|cue| cue.have(&["user2@example.com"]));
    let told = change(
        &ctl,
        &["retry", "--state", "rejected", "--reason", "mailbox made"],
    );
    assert_eq!(told["changed"], 3, "{told}");
    cluster.wait_queued(0, scene::DRAIN);
    assert_eq!(primary.count(), 3);
}

#[test]
fn each_verb_takes_a_reason_and_leaves_a_line() {
    let (_primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..8));
    cluster.wait_queued(8, scene::CATCH_UP);
    let ctl = cluster.ctl();
    let all = ids(&ctl, &[]);
    let (one, another) = (&all[0], &all[1]);
    // By id and by filter; a delivery that was put off is what can be retried.
    let done: [(&[&str], u64); 8] = [
        (&["hold", one], 1),
        (&["release", one], 1),
        (&["hold", "--sender", "@sender.test"], 8),
        (&["release", "--domain", "example.com"], 8),
        (&["bounce", another], 1),
        (&["retry", another], 1),
        (&["delete", "--yes", "--recipient", ANN], 2),
        (&["hold", "--all"], 6),
    ];
    for (number, (words, changed)) in done.iter().enumerate() {
        let reason = format!("reason {number}");
        let told = change(&ctl, &[*words, &["--reason", &reason]].concat());
        assert_eq!(told["changed"], *changed, "{words:?}: {told}");
    }
    let of_domains = [&["domain", "pause"][..], &["domain", "resume"], &["flush"]];
    for verb in of_domains {
        let words = ["example.com", "--reason", "reason of a domain"];
        let acted = ctl.run(&[verb, &words].concat());
        assert_eq!(acted.code, 0, "{}", acted.err);
    }
    let rows = rows(&ctl);
    assert_eq!(rows.len(), done.len() + of_domains.len(), "{rows:?}");
    for (number, ((words, changed), row)) in done.iter().zip(&rows).enumerate() {
        let typed: Vec<&str> = words
            .iter()
            .copied()
            .filter(|word| *word != "--yes")
            .collect();
        assert_eq!(row["what"], typed.join(" "), "{row}");
        assert_eq!(row["reason"], format!("reason {number}"), "{row}");
        assert_eq!(row["changed"], *changed, "{row}");
        assert!(!row["by"].as_str().unwrap().is_empty(), "{row}");
    }
    for row in &rows[done.len()..] {
        assert_eq!(row["reason"], "reason of a domain", "{row}");
    }
}

#[test]
fn the_queue_is_summed_up_and_a_message_exported_whole() {
    let (_primary, cluster) = scene::outage(3);
    let letters = [Letter::new(0, ANN, 2_000), Letter::new(1, ANN, 3_000_000)];
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(2, scene::CATCH_UP);
    let ctl = cluster.nodes[cluster.follower()].ctl();
    let summary = ctl.json(&["queue", "summary"]);
    assert_eq!(summary[0]["domain"], "example.com", "{summary}");
    let buckets = summary[0]["buckets"].as_array().unwrap();
    assert_eq!(buckets[0]["messages"], 2, "{summary}");
    assert!(ctl.run(&["queue", "summary"]).out.contains("example.com"));
    for (id, sent) in ids(&ctl, &[]).iter().zip(&letters) {
        let exported = ctl.run(&["queue", "export", id]);
        assert_eq!(exported.code, 0, "{}", exported.err);
        assert!(
            exported.out.starts_with("Received: "),
            "it has its trace field"
        );
        let body = letter::without_trace(exported.out.as_bytes());
        assert_eq!(body, sent.body, "octet for octet");
    }
    let missing = ctl.run(&["queue", "export", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    assert_eq!(
        (missing.code, missing.out.as_str()),
        (1, ""),
        "{}",
        missing.err
    );
}

#[test]
fn a_leader_killed_in_the_middle_of_a_large_change_loses_nothing() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..2_000);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(2_000, scene::CATCH_UP);
    let leader = cluster.leader();
    let ctl = cluster.nodes[cluster.follower()].ctl();
    let holding = std::thread::spawn(move || ctl.run(&["--json", "queue", "hold", "--all"]));
    wait_until(TOLD, "some are held", || {
        cluster.nodes[leader].metric("layover_queue_messages", &["state=\"held\""]) > Some(0.0)
    });
    cluster.nodes[leader].kill();
    let held = holding.join().unwrap();
    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
    if held.code == 0 {
        let told: Value = serde_json::from_str(&held.out).unwrap();
        assert_eq!(told["selected"], 2_000, "{told}");
    }
    let ctl = cluster.ctl();
    let begun = Instant::now();
    let rest = change(&ctl, &["hold", "--all"]);
    let sum =
        |told: &Value| told["changed"].as_u64().unwrap() + told["unaffected"].as_u64().unwrap();
    assert_eq!(sum(&rest), 2_000, "{rest}");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    wait_figure(&cluster, "held", 2_000);
    assert_eq!(change(&ctl, &["release", "--all"])["changed"], 2_000);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_domain_takes_no_more_than_its_quota() {
    let primary = Primary::down_at_first();
    let mut settings = Settings::for_primary(primary.address());
    settings.policy.push_str("max_queued_messages = 3\n");
    let cluster = Cluster::start(1, &settings);
    scene::send_all(&cluster, &scene::letters(0..3));
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    assert!(
        sender
            .command("MAIL FROM:<a@sender.test>")
            .unwrap()
            .is_positive()
    );
    let reply = sender
        .command(&format!("RCPT TO:<{ANN}>"))
        .unwrap()
        .to_string();
    assert!(reply.starts_with("452 4.2.2 "), "{reply}");
    let told = "The queue of example.com is full (max_queued_messages = 3 in the policy)";
    let status = || cluster.ctl().run(&["status"]).out;
    assert!(status().contains(told), "{}", status());
    assert_eq!(
        change(&cluster.ctl(), &["delete", "--yes", "--all"])["changed"],
        3
    );
    let reply = sender.command(&format!("RCPT TO:<{ANN}>")).unwrap();
    assert!(reply.is_positive(), "{reply}");
    assert!(!status().contains(told), "{}", status());
    sender.quit().unwrap();
}
