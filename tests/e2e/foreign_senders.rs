//! Mail servers that others wrote, as senders: Postfix and its load generator.

use std::{path::Path, process::Command};

use harness::{Letter, Postfix, SeveredLink, compare, ctl, or_skip, wait_until};

use crate::scene;

/// A Postfix that hands the mail of example.com to the first of these that takes it.
fn sending_to(hosts: &[std::net::SocketAddr]) -> Option<Postfix> {
    let postfix = or_skip(Postfix::prepare("example.com"))?;
    Some(postfix.relaying_to(hosts).impatient())
}

/// Gives a Postfix letters to send.
fn post(postfix: &Postfix, letters: &[Letter]) {
    let mut courier = harness::Courier::new(&[postfix.address()]);
    for letter in letters {
        courier.send(letter, scene::TAKEN).unwrap();
    }
}

/// Whether a Postfix has nothing left to send.
fn is_done(postfix: &Postfix) -> bool {
    let queues = ["incoming", "active", "deferred"];
    queues.iter().all(|queue| postfix.queued(queue) == 0)
}

#[test]
fn mail_from_postfix_survives_a_dead_node_and_an_outage_of_all() {
    let (mut primary, mut cluster) = scene::outage(3);
    let Some(mut postfix) = sending_to(&cluster.hosts()) else {
        return;
    };
    postfix.set("smtp_tls_security_level", "may");
    postfix.up();
    let letters = scene::letters(0..150);
    post(&postfix, &letters[..50]);
    cluster.nodes[0].kill();
    post(&postfix, &letters[50..100]);
    wait_until(scene::TAKEN, "Postfix has sent its mail", || {
        is_done(&postfix)
    });
    cluster.wait_queued(100, scene::CATCH_UP);
    for node in &mut cluster.nodes {
        node.kill();
    }
    post(&postfix, &letters[100..]);
    wait_until(scene::TAKEN, "Postfix has put its mail aside", || {
        postfix.queued("deferred") > 0
    });
    for node in &mut cluster.nodes {
        node.spawn();
    }
    wait_until(scene::TAKEN, "Postfix has sent its mail", || {
        postfix.flush();
        is_done(&postfix)
    });
    cluster.wait_queued(150, scene::CATCH_UP);

    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    let account = compare(&letters, &primary.received());
    // In which order Postfix has sent them is its own affair.
    assert!(account.lost.is_empty(), "{account}: {account:?}");
    assert!(account.changed.is_empty(), "{account}: {account:?}");
    assert!(account.repeated.is_empty(), "{account}: {account:?}");
    for arrived in primary.received() {
        let text = String::from_utf8_lossy(&arrived.body);
        assert!(text.contains(" with ESMTPS "), "{text}");
    }
}

#[test]
fn what_postfix_sends_again_as_it_read_no_250_is_kept_once() {
    let (mut primary, cluster) = scene::outage(3);
    let hosts = cluster.hosts();
    let mut link = SeveredLink::to(hosts[0]);
    let Some(mut postfix) = sending_to(&[link.address(), hosts[1], hosts[2]]) else {
        return;
    };
    postfix.up();
    let letters = scene::letters(0..1);
    post(&postfix, &letters);
    cluster.wait_queued(1, scene::TAKEN);
    link.cut();
    wait_until(scene::TAKEN, "Postfix has sent it again", || {
        postfix.flush();
        is_done(&postfix)
    });
    let repeated = cluster.nodes.iter().filter_map(|node| {
        let label = ["result=\"repeated\""];
        node.metric("layover_smtp_messages_total", &label)
    });
    assert!((repeated.sum::<f64>() - 1.0).abs() < f64::EPSILON);
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert!(account.repeated.is_empty(), "{account:?}");
}

#[test]
fn all_that_postfix_load_generator_sends_arrives() {
    let program = Path::new("/usr/sbin/smtp-source");
    if !program.exists() {
        eprintln!("skipped: there is no smtp-source; Debian's package is postfix");
        return;
    }
    let (mut primary, cluster) = scene::outage(3);
    let hosts = cluster.hosts();
    // Few sessions of many messages, many sessions of one each, and large messages.
    let loads: [&[&str]; 3] = [
        &["-s", "5", "-m", "100", "-l", "5000", "-d"],
        &["-s", "40", "-m", "80", "-l", "700", "-r", "3", "-N"],
        &["-s", "5", "-m", "20", "-l", "300000"],
    ];
    let mut sources = Vec::new();
    for (load, host) in loads.iter().zip(&hosts) {
        let mut command = Command::new(program);
        command.args(*load).args(["-f", "a@sender.test"]);
        command.args(["-t", "x@example.com", &host.to_string()]);
        sources.push(std::thread::spawn(move || ctl::outcome(&mut command)));
    }
    for source in sources {
        let outcome = source.join().unwrap();
        assert_eq!(outcome.code, 0, "{}", outcome.err);
    }
    cluster.wait_queued(200, scene::CATCH_UP);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    let received = primary.received();
    assert_eq!(received.len(), 200);
    let recipients: usize = received.iter().map(|one| one.to.len()).sum();
    assert_eq!(recipients, 100 + 80 * 3 + 20);
    let octets: usize = received.iter().map(|one| one.body.len()).sum();
    assert!(octets > 100 * 5_000 + 80 * 700 + 20 * 300_000, "{octets}");
}
