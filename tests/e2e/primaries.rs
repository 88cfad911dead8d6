//! Primaries that misbehave.

use std::time::Duration;

use harness::{Account, Authority, Cluster, Letter, Primary, Settings, Stage, compare, wait_until};

use crate::scene;

fn with_primary() -> (Primary, Cluster) {
    let primary = Primary::started();
    let cluster = Cluster::start(1, &Settings::for_primary(primary.address()));
    (primary, cluster)
}

#[test]
fn one_recipient_put_off_does_not_hold_up_the_others() {
    let (mut primary, cluster) = with_primary();
    primary.on_cue(|cue| cue.refuse("user1@example.com", "450 4.2.1 mailbox busy"));
    let letters = scene::letters(0..25);
    scene::send_all(&cluster, &letters);
    scene::wait_received(&primary, 20);
    cluster.wait_queued(5, scene::DRAIN);
    let ctl = cluster.ctl();
    let deferred = ctl.json(&["queue", "list", "--state", "deferred"]);
    assert!(deferred.to_string().contains("mailbox busy"), "{deferred}");
    primary.on_cue(harness::Cue::forgive);
    assert_eq!(ctl.run(&["flush"]).code, 0);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_message_for_two_reaches_the_one_and_waits_for_the_other() {
    let (mut primary, cluster) = with_primary();
    primary.on_cue(|cue| cue.refuse("b@example.com", "450 4.2.1 later"));
    let letter = Letter::of(
        1,
        &["a@example.com", "b@example.com"],
        1_000,
        harness::letter::Text::Plain,
    );
    scene::send_all(&cluster, std::slice::from_ref(&letter));
    scene::wait_received(&primary, 1);
    assert_eq!(primary.received()[0].to, ["a@example.com"]);
    primary.on_cue(harness::Cue::forgive);
    let ctl = cluster.ctl();
    wait_until(scene::DRAIN, "the message is deferred", || {
        ctl.json(&["queue", "list", "--state", "deferred"])
            .to_string()
            .contains("b@example.com")
    });
    assert_eq!(ctl.run(&["flush"]).code, 0);
    let account = scene::drain(&cluster, &mut primary, &[letter]);
    assert_eq!(account.repeated, Vec::<usize>::new());
}

#[test]
fn a_refusal_for_good_stays_visible_and_is_never_dropped() {
    let (primary, cluster) = with_primary();
    primary.on_cue(|cue| cue.refuse("gone@example.com", "550 5.1.1 no such user here"));
    scene::send_all(&cluster, &[Letter::new(1, "gone@example.com", 1_000)]);
    let ctl = cluster.ctl();
    wait_until(scene::DRAIN, "the message is listed as rejected", || {
        let list = ctl.json(&["queue", "list", "--state", "rejected"]);
        list.as_array().is_some_and(|list| list.len() == 1)
    });
    let list = ctl.json(&["queue", "list"]);
    let id = list[0]["id"].as_str().unwrap();
    let shown = ctl.run(&["queue", "show", id]);
    assert!(shown.out.contains("no such user here"), "{}", shown.out);
    assert_eq!(primary.count(), 0);
}

#[test]
fn a_connection_lost_before_the_final_dot_changes_nothing_not_even_the_order() {
    for stage in [
        Stage::Connect,
        Stage::Ehlo,
        Stage::Mail,
        Stage::Recipient,
        Stage::Data,
    ] {
        let (mut primary, cluster) = with_primary();
        primary.on_cue(|cue| cue.hang_up(stage, 2));
        let letters = scene::letters(0..10);
        scene::send_all(&cluster, &letters);
        let account = scene::drain(&cluster, &mut primary, &letters);
        assert_eq!(account.repeated, Vec::<usize>::new(), "{stage:?}");
    }
}

#[test]
fn a_connection_lost_at_the_final_dot_loses_nothing() {
    let (mut primary, cluster) = with_primary();
    primary.on_cue(|cue| cue.hang_up(Stage::Dot, 2));
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    primary.up();
    let account = all_arrive(&cluster, &primary, &letters);
    assert_eq!(account.repeated, Vec::<usize>::new());
}

/// Flushes until nothing is left. A message that the primary put off by itself may come behind
/// later ones; nothing may be lost or changed.
fn all_arrive(cluster: &Cluster, primary: &Primary, letters: &[Letter]) -> Account {
    let ctl = cluster.ctl();
    wait_until(scene::DRAIN, "everything has left", || {
        drop(ctl.run(&["flush"]));
        cluster.nodes[0].queued() == Some(0)
    });
    let account = compare(letters, &primary.received());
    let in_any_order = Account {
        out_of_order: Vec::new(),
        ..account.clone()
    };
    assert!(in_any_order.is_right(), "{account}: {account:?}");
    account
}

#[test]
fn a_250_that_is_lost_repeats_at_most_what_was_under_way() {
    let (primary, cluster) = with_primary();
    primary.on_cue(|cue| cue.hang_up(Stage::AfterDot, 1));
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    let account = all_arrive(&cluster, &primary, &letters);
    assert_eq!(account.repeated.len(), 1, "{account}");
}

#[test]
fn a_421_is_a_reason_to_wait_and_not_to_bounce() {
    for stage in [Stage::Connect, Stage::Mail, Stage::Dot] {
        let (primary, cluster) = with_primary();
        primary.on_cue(|cue| cue.answer(stage, 3, "421 4.3.2 too busy"));
        let letters = scene::letters(0..10);
        scene::send_all(&cluster, &letters);
        let account = all_arrive(&cluster, &primary, &letters);
        assert_eq!(account.repeated, Vec::<usize>::new(), "{stage:?}");
        assert_eq!(account.out_of_order, Vec::<usize>::new(), "{stage:?}");
    }
}

#[test]
fn a_slow_primary_still_gets_its_mail_in_order() {
    let (mut primary, cluster) = scene::outage(1);
    primary.on_cue(|cue| cue.pause(Stage::Dot, Duration::from_millis(30)));
    let letters = scene::letters(0..100);
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn connections_to_the_primary_are_reused() {
    let (mut primary, cluster) = scene::outage(1);
    let letters = scene::letters(0..200);
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
    assert!(
        primary.sessions() <= 40,
        "200 messages over {} sessions",
        primary.sessions()
    );
}

#[test]
fn a_primary_that_offers_starttls_gets_its_mail_encrypted() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let mut primary = Primary::with_tls(authority.server("primary.test"));
    let cluster = Cluster::start(1, &Settings::for_primary(primary.address()));
    let letters = scene::letters(0..5);
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
    assert!(primary.received().iter().all(|arrived| arrived.tls));
}

#[test]
fn tls_that_a_primary_offers_no_more_is_an_alarm_on_every_node_until_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let mut primary = Primary::with_tls(authority.server("primary.test"));
    let cluster = Cluster::start(3, &Settings::for_primary(primary.address()));
    let letters = scene::letters(0..15);
    let raised = |expected: f64| {
        let alarm = ["name=\"tls-gone\"", "domain=\"example.com\""];
        wait_until(scene::DRAIN, "every node knows", || {
            let mut nodes = cluster.nodes.iter();
            nodes.all(|node| node.metric("layover_alarms", &alarm) == Some(expected))
        });
    };
    scene::send_all(&cluster, &letters[..5]);
    scene::drain(&cluster, &mut primary, &letters[..5]);
    raised(0.0);
    primary.down();
    let mut stripped = Primary::at(primary.address());
    scene::send_all(&cluster, &letters[5..10]);
    scene::drain(&cluster, &mut stripped, &letters[5..10]);
    raised(1.0);
    let status = cluster.ctl().run(&["status"]).out;
    assert!(
        status.contains("offered TLS and does not any more"),
        "{status}"
    );
    stripped.down();
    scene::send_all(&cluster, &letters[10..]);
    primary.up();
    scene::wait_received(&primary, 10);
    raised(0.0);
}

#[test]
fn two_domains_do_not_wait_for_each_other() {
    let mut first = Primary::down_at_first();
    let second = Primary::started();
    let domains = [
        ("example.com", first.address()),
        ("example.org", second.address()),
    ];
    let cluster = Cluster::start(1, &Settings::for_domains(&domains));
    let letters: Vec<Letter> = (0..20)
        .map(|serial| {
            let domain = if serial % 2 == 0 {
                "example.com"
            } else {
                "example.org"
            };
            Letter::new(serial, &format!("a@{domain}"), 1_000)
        })
        .collect();
    scene::send_all(&cluster, &letters);
    scene::wait_received(&second, 10);
    assert_eq!(first.count(), 0);
    first.up();
    scene::wait_received(&first, 10);
    cluster.wait_queued(0, scene::DRAIN);
}
