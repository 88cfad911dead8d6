//! One node: what goes in comes out, and what must not go in does not.

use std::{fs, io::ErrorKind, sync::Arc, time::Duration};

use harness::{
    Cluster, Letter, Primary, Reply, Sender, Settings,
    letter::{Text, without_trace},
    process, wait_until,
};

use crate::scene;

fn sender(cluster: &Cluster) -> Sender {
    Sender::connect(cluster.nodes[0].smtp()).unwrap()
}

#[test]
fn a_message_arrives_octet_for_octet_under_one_received_field() {
    let primary = Primary::started();
    let cluster = Cluster::start(1, &Settings::for_primary(primary.address()));
    let letters = [
        Letter::of(1, &["a@example.com"], 3_000, Text::Plain),
        Letter::of(2, &["a@example.com", "b@example.com"], 3_000, Text::Dots),
        Letter::of(3, &["a@example.com"], 3_000, Text::EightBit),
    ];
    let mut sender = sender(&cluster);
    let ids: Vec<String> = letters
        .iter()
        .map(|letter| sender.send(letter).unwrap().queued_as().unwrap().to_owned())
        .collect();
    scene::wait_received(&primary, 3);
    for ((letter, id), arrived) in letters.iter().zip(&ids).zip(primary.received()) {
        let head = &arrived.body[..arrived.body.len() - letter.body.len()];
        let head = String::from_utf8(head.to_vec()).unwrap();
        assert!(head.starts_with("Received: from "), "{head}");
        assert_eq!(head.matches("Received:").count(), 1, "{head}");
        assert!(
            head.contains("mx1.example.net") && head.contains(id.as_str()),
            "{head}"
        );
        assert_eq!(without_trace(&arrived.body), letter.body);
        assert_eq!(arrived.from, letter.from);
    }
    scene::drain(&cluster, &mut { primary }, &letters);
}

#[test]
fn mail_waits_while_the_primary_is_down_and_leaves_in_order() {
    let (mut primary, cluster) = scene::outage(1);
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(60, Duration::from_secs(5));
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert_eq!(account.repeated, Vec::<usize>::new());
}

#[test]
fn the_queue_outlives_a_kill_and_a_restart() {
    let (mut primary, mut cluster) = scene::outage(1);
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters[..20]);
    cluster.nodes[0].kill();
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    scene::send_all(&cluster, &letters[20..]);
    assert!(cluster.nodes[0].terminate().success());
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn mail_for_other_domains_is_refused_as_relaying() {
    let (_primary, cluster) = scene::outage(1);
    let mut sender = sender(&cluster);
    let reply = sender
        .send(&Letter::new(1, "a@elsewhere.test", 500))
        .unwrap();
    assert_eq!(reply.code, 550, "{reply}");
    assert!(
        reply.lines[0].starts_with("5.7.1 ") && reply.lines[0].contains("relay"),
        "{reply}"
    );
    assert_eq!(cluster.nodes[0].queued(), Some(0));
}

#[test]
fn a_message_that_is_too_large_is_refused_before_and_after_it_was_sent() {
    let primary = Primary::down_at_first();
    let settings =
        Settings::for_primary(primary.address()).with("smtp", "max_message_size = \"100KiB\"");
    let cluster = Cluster::start(1, &settings);
    let mut sender = sender(&cluster);
    let reply = sender
        .command("MAIL FROM:<a@sender.test> SIZE=200000")
        .unwrap();
    assert!(
        reply.code == 552 && reply.lines[0].starts_with("5.3.4"),
        "{reply}"
    );
    let reply = sender
        .send(&Letter::new(1, "a@example.com", 200_000))
        .unwrap();
    assert!(
        reply.code == 552 && reply.lines[0].starts_with("5.3.4"),
        "{reply}"
    );
    let reply = sender
        .send(&Letter::new(2, "a@example.com", 2_000))
        .unwrap();
    assert_eq!(reply.code, 250, "the session goes on: {reply}");
    cluster.wait_queued(1, Duration::from_secs(5));
}

#[test]
fn a_client_that_breaks_off_in_its_message_leaves_nothing() {
    let (_primary, cluster) = scene::outage(1);
    let open_files = process::open_files(cluster.nodes[0].pid()).unwrap();
    for _ in 0..20 {
        let mut sender = in_data(&cluster);
        sender
            .write(b"Subject: half a message\r\n\r\nthis is n")
            .unwrap();
        sender.hang_up();
    }
    let mut whole = sender(&cluster);
    assert_eq!(
        whole
            .send(&Letter::new(1, "a@example.com", 500))
            .unwrap()
            .code,
        250
    );
    cluster.wait_queued(1, Duration::from_secs(5));
    whole.quit().unwrap();
    wait_until(
        Duration::from_secs(10),
        "the sockets of broken sessions are closed",
        || process::open_files(cluster.nodes[0].pid()).unwrap() <= open_files + 3,
    );
}

fn in_data(cluster: &Cluster) -> Sender {
    let mut sender = sender(cluster);
    for command in [
        "MAIL FROM:<a@sender.test>",
        "RCPT TO:<a@example.com>",
        "DATA",
    ] {
        assert!(sender.command(command).unwrap().is_positive());
    }
    sender
}

#[test]
fn a_client_that_stalls_is_sent_away_and_others_are_served_meanwhile() {
    let primary = Primary::down_at_first();
    let settings =
        Settings::for_primary(primary.address()).with("smtp", "command_timeout = \"2s\"");
    let cluster = Cluster::start(1, &settings);
    let mut stalled: Vec<Sender> = (0..20).map(|_| sender(&cluster)).collect();
    let mut in_data = in_data(&cluster);
    in_data.write(b"half").unwrap();
    assert_eq!(
        sender(&cluster)
            .send(&Letter::new(1, "a@example.com", 500))
            .unwrap()
            .code,
        250
    );
    for sender in stalled.iter_mut().chain([&mut in_data]) {
        let reply = sender.read_reply().unwrap();
        assert!(
            reply.code == 421 && reply.lines[0].starts_with("4.4.2"),
            "{reply}"
        );
        let end = sender.read_reply().unwrap_err().kind();
        assert!(
            matches!(end, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
            "{end}"
        );
    }
    assert_eq!(cluster.nodes[0].queued(), Some(1));
}

#[test]
fn one_address_can_not_take_all_connections() {
    let primary = Primary::down_at_first();
    let settings =
        Settings::for_primary(primary.address()).with("smtp", "max_connections_per_ip = 5");
    let cluster = Cluster::start(1, &settings);
    let held: Vec<Sender> = (0..5).map(|_| sender(&cluster)).collect();
    let reply = Sender::dial(cluster.nodes[0].smtp()).and_then(|mut sender| sender.read_reply());
    let refused = |reply: &Reply| reply.code == 421;
    assert!(
        reply.as_ref().is_ok_and(refused) || reply.is_err(),
        "{reply:?}"
    );
    drop(held);
    let smtp = cluster.nodes[0].smtp();
    wait_until(Duration::from_secs(10), "the places are free again", || {
        Sender::connect(smtp).is_ok()
    });
}

#[test]
fn ten_mebibytes_do_not_raise_the_memory_much() {
    const LARGE: usize = 10 * 1024 * 1024;
    const RISE_MAX: u64 = 16 * 1024 * 1024;
    let (mut primary, cluster) = scene::outage(1);
    let pid = cluster.nodes[0].pid();
    let mut sender = sender(&cluster);
    // Caches and write buffers, which are bounded, are filled before anything is measured.
    let mut letters: Vec<Letter> = (0..800)
        .map(|serial| Letter::new(serial, "a@example.com", 100_000))
        .collect();
    for letter in &letters {
        assert_eq!(sender.send(letter).unwrap().code, 250);
    }
    let before = process::resident_bytes_max(pid).unwrap();
    letters.push(Letter::new(800, "a@example.com", LARGE));
    assert_eq!(sender.send(&letters[800]).unwrap().code, 250);
    let rise = process::resident_bytes_max(pid).unwrap() - before;
    assert!(
        rise < RISE_MAX,
        "taking it in raised the peak by {rise} octets"
    );
    scene::drain(&cluster, &mut primary, &letters);
    let rise = process::resident_bytes_max(pid).unwrap() - before;
    assert!(
        rise < 2 * RISE_MAX,
        "in and out raised the peak by {rise} octets"
    );
}

#[test]
fn starttls_carries_mail_and_forgets_what_was_said_in_clear() {
    let (mut primary, cluster) = scene::outage(1);
    let mut clear = sender(&cluster);
    assert!(clear.offers("STARTTLS"));
    assert!(
        clear
            .command("MAIL FROM:<a@sender.test>")
            .unwrap()
            .is_positive()
    );
    let mut tls = clear.start_tls(cluster.authority.client()).unwrap();
    assert!(!tls.offers("STARTTLS"));
    assert_eq!(tls.command("RCPT TO:<a@example.com>").unwrap().code, 503);
    let letter = Letter::new(1, "a@example.com", 50_000);
    assert_eq!(tls.send(&letter).unwrap().code, 250);
    tls.quit().unwrap();
    scene::drain(&cluster, &mut primary, &[letter]);
}

#[test]
fn a_renewed_certificate_is_used_after_sighup_and_sessions_go_on() {
    let (_primary, cluster) = scene::outage(1);
    let node = &cluster.nodes[0];
    let trust = cluster.authority.client();
    let certificate = |sender: &Sender| sender.server_certificate().unwrap();
    let mut before = Sender::connect_tls(node.smtp(), Arc::clone(&trust)).unwrap();
    let renewed = cluster.authority.sign("renewed.example.net");
    fs::copy(&renewed.cert, node.config().with_file_name("smtp.pem")).unwrap();
    fs::copy(&renewed.key, node.config().with_file_name("smtp.key")).unwrap();
    node.reload();
    wait_until(
        Duration::from_secs(10),
        "new sessions see the new certificate",
        || {
            let after = Sender::connect_tls(node.smtp(), Arc::clone(&trust)).unwrap();
            certificate(&after) != certificate(&before)
        },
    );
    assert_eq!(
        before
            .send(&Letter::new(1, "a@example.com", 500))
            .unwrap()
            .code,
        250
    );
}
