//! What primaries offer, remembered by every node while they are down.

use std::time::Duration;

use harness::{Cluster, Daemon, Letter, Offer, Primary, Reply, Sender, Settings, wait_until};

use crate::scene;

/// What the primary takes.
const SIZE: usize = 1024 * 1024;

/// A node knows within this what the leader has learned.
const LEARNED: Duration = Duration::from_secs(30);

/// Three nodes that have seen a primary with a size limit, which is down again.
fn after_one_contact() -> (Primary, Cluster) {
    let mut primary = Primary::started();
    primary.on_cue(|cue| cue.tell_size(SIZE));
    let cluster = Cluster::start(3, &Settings::for_primary(primary.address()));
    let letters = [Letter::new(1, "a@example.com", 1_000)];
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
    primary.down();
    (primary, cluster)
}

fn sender(node: &Daemon) -> Sender {
    Sender::connect(node.smtp()).unwrap()
}

fn announces(sender: &Sender, size: usize) -> bool {
    sender.extensions.contains(&format!("SIZE {size}"))
}

fn is_too_big(reply: &Reply) -> bool {
    reply.code == 552 && reply.lines.iter().all(|line| line.starts_with("5.3.4 "))
}

#[track_caller]
fn assert_kept_to(cluster: &Cluster) {
    for node in &cluster.nodes {
        wait_until(LEARNED, "the node announces the primary's size", || {
            announces(&sender(node), SIZE)
        });
        let mut sender = sender(node);
        let declared = format!("MAIL FROM:<a@sender.test> SIZE={}", 2 * SIZE);
        let reply = sender.command(&declared).unwrap();
        assert!(is_too_big(&reply), "{reply}");
        let reply = sender
            .send(&Letter::new(2, "a@example.com", 2 * SIZE))
            .unwrap();
        assert!(is_too_big(&reply), "{reply}");
    }
}

#[test]
fn a_message_that_the_primary_would_not_take_is_refused_while_it_is_down() {
    let (mut primary, mut cluster) = after_one_contact();
    assert_kept_to(&cluster);
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    assert_kept_to(&cluster);
    let status = cluster.ctl().json(&["status"]);
    let offers = &status["domains"][0]["offers"];
    assert_eq!(offers["size_max"], SIZE, "{status}");

    // What is refused for one is learned anew when the primary has changed its mind.
    primary.on_cue(|cue| cue.tell_size(0));
    let letters = [Letter::new(3, "a@example.com", 1_000)];
    scene::send_all(&cluster, &letters);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    for node in &cluster.nodes {
        wait_until(LEARNED, "the node takes large messages again", || {
            let mut sender = sender(node);
            let declared = format!("MAIL FROM:<a@sender.test> SIZE={}", 2 * SIZE);
            sender.command(&declared).unwrap().code == 250
        });
    }
}

#[test]
fn a_domain_with_a_small_primary_does_not_make_the_others_small() {
    let mut small = Primary::started();
    small.on_cue(|cue| cue.tell_size(SIZE));
    let large = Primary::down_at_first();
    let domains = [
        ("small.example", small.address()),
        ("large.example", large.address()),
    ];
    let cluster = Cluster::start(1, &Settings::for_domains(&domains));
    scene::send_all(&cluster, &[Letter::new(1, "a@small.example", 1_000)]);
    scene::wait_received(&small, 1);
    cluster.wait_queued(0, scene::DRAIN);
    small.down();
    let mut sender = sender(&cluster.nodes[0]);
    assert!(
        !sender.offers(&format!("SIZE {SIZE}")),
        "{:?}",
        sender.extensions
    );
    let declared = format!("MAIL FROM:<a@sender.test> SIZE={}", 2 * SIZE);
    assert_eq!(sender.command(&declared).unwrap().code, 250);
    let reply = sender.command("RCPT TO:<a@small.example>").unwrap();
    assert!(is_too_big(&reply), "{reply}");
    let reply = sender.command("RCPT TO:<a@large.example>").unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    sender.command("RSET").unwrap();
    let both = Letter::of(
        2,
        &["a@small.example", "a@large.example"],
        2 * SIZE,
        harness::letter::Text::Plain,
    );
    let reply = sender.send(&both).unwrap();
    assert!(is_too_big(&reply), "{reply}");
}

#[test]
fn what_a_sender_says_reaches_a_primary_that_takes_it() {
    let primary = Primary::started();
    let all = [
        Offer::SmtpUtf8,
        Offer::Chunking,
        Offer::BinaryMime,
        Offer::Dsn,
    ];
    primary.on_cue(|cue| cue.offer(&all));
    let cluster = Cluster::start(1, &Settings::for_primary(primary.address()));
    scene::send_all(&cluster, &[Letter::new(1, "a@example.com", 1_000)]);
    scene::wait_received(&primary, 1);
    let mut sender = sender(&cluster.nodes[0]);
    assert!(sender.offers("BINARYMIME"), "{:?}", sender.extensions);
    for command in [
        "MAIL FROM:<a@sender.test> BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=E1",
        "RCPT TO:<\u{f6}@example.com> NOTIFY=NEVER ORCPT=rfc822;c@example.com",
    ] {
        let reply = sender.command(command).unwrap();
        assert_eq!(reply.code, 250, "{command}: {reply}");
    }
    let body = b"Subject: x\r\n\r\n\0\n.\r\n\r";
    let chunk = format!("BDAT {} LAST\r\n", body.len());
    sender.write(&[chunk.as_bytes(), body].concat()).unwrap();
    let reply = sender.read_reply().unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    scene::wait_received(&primary, 2);
    let received = primary.received();
    let arrived = &received[1];
    assert!(
        arrived.body.ends_with(body),
        "{}",
        arrived.body.escape_ascii()
    );
    assert_eq!(arrived.to, ["\u{f6}@example.com"]);
    assert!(arrived.said.chunks > 0);
    for said in ["BODY=BINARYMIME", "SMTPUTF8", "RET=HDRS", "ENVID=E1"] {
        assert!(arrived.said.mail.iter().any(|word| word == said), "{said}");
    }
    assert_eq!(
        arrived.said.rcpt,
        [["NOTIFY=NEVER", "ORCPT=rfc822;c@example.com"]]
    );
}

#[test]
fn a_domain_in_its_own_script_is_the_policys_and_arrives_as_it_was_written() {
    let primary = Primary::started();
    primary.on_cue(|cue| cue.offer(&[Offer::SmtpUtf8]));
    let settings = Settings::for_domains(&[("b\u{fc}cher.example", primary.address())]);
    let cluster = Cluster::start(1, &settings);
    let mut sender = sender(&cluster.nodes[0]);
    for (command, code) in [
        ("MAIL FROM:<a@sender.test> SMTPUTF8", 250),
        ("RCPT TO:<a@buecher.example>", 550),
        ("RCPT TO:<a@b\u{fc}cher.test>", 550),
        ("RCPT TO:<a@B\u{dc}CHER.example>", 250),
    ] {
        let reply = sender.command(command).unwrap();
        assert_eq!(reply.code, code, "{command}: {reply}");
    }
    let body = "Subject: x\r\n\r\ntext\r\n";
    let chunk = format!("BDAT {} LAST\r\n{body}", body.len());
    sender.write(chunk.as_bytes()).unwrap();
    assert_eq!(sender.read_reply().unwrap().code, 250);
    scene::wait_received(&primary, 1);
    assert_eq!(primary.received()[0].to, ["a@B\u{dc}CHER.example"]);
}
