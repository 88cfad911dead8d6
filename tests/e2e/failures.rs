//! Without a majority nothing is acknowledged; with one again, everything goes on.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use harness::{Authority, Cluster, Letter, Primary, Reply, Sender, Settings, wait_until};

use crate::scene;

/// The tests' `commit_timeout`, and the time the reply itself may take.
const REFUSED_WITHIN: Duration = Duration::from_secs(5 + 3);

fn outage() -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address()).with("smtp", "commit_timeout = \"5s\"");
    let cluster = Cluster::start(3, &settings);
    (primary, cluster)
}

/// Not taken, and honestly so: 4xx, or nobody answers, or the connection ends.
fn is_put_off(outcome: &io::Result<Reply>) -> bool {
    outcome.as_ref().map_or(true, Reply::is_transient)
}

#[test]
fn without_a_quorum_nothing_is_acknowledged_and_the_port_closes() {
    let (mut primary, mut cluster) = outage();
    let letters = scene::letters(0..20);
    scene::send_all(&cluster, &letters[..10]);
    let survivor = cluster.follower();
    let smtp = cluster.nodes[survivor].smtp();
    let mut session = Sender::connect(smtp).unwrap();
    for place in (0..3).filter(|&place| place != survivor) {
        cluster.nodes[place].kill();
    }
    let began = Instant::now();
    let outcome = session.send(&Letter::new(100, "a@example.com", 1_000));
    assert!(is_put_off(&outcome), "{outcome:?}");
    assert!(
        began.elapsed() < REFUSED_WITHIN,
        "it took {:?}",
        began.elapsed()
    );
    wait_until(Duration::from_secs(30), "the port is closed", || {
        Sender::dial(smtp).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    });
    assert!(!cluster.nodes[survivor].is_ready());
    let told = cluster.nodes[survivor].ctl().json(&["status"]);
    assert!(told["cluster"]["leader"].is_null(), "{told}");
    let first = told["troubles"][0].as_str().unwrap_or_default();
    assert!(first.starts_with("No leader is known"), "{told}");
    let leads = cluster.nodes[survivor].metric("layover_raft_is_leader", &[]);
    assert_eq!(leads, Some(0.0));

    for place in (0..3).filter(|&place| place != survivor) {
        cluster.nodes[place].spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    scene::send_all(&cluster, &letters[10..]);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    // The letter that was put off may have been stored all the same: its sender was told "later".
    let received: Vec<_> = primary
        .received()
        .into_iter()
        .filter(|arrived| arrived.serial() != Some(100))
        .collect();
    let account = harness::compare(&letters, &received);
    assert!(account.is_right(), "{account}: {account:?}");
}

#[test]
fn paused_followers_are_no_quorum_either() {
    let (mut primary, cluster) = outage();
    let leader = cluster.leader();
    let smtp = cluster.nodes[leader].smtp();
    let mut session = Sender::connect(smtp).unwrap();
    let paused: Vec<usize> = (0..3).filter(|&place| place != leader).collect();
    for &place in &paused {
        cluster.nodes[place].pause();
    }
    let began = Instant::now();
    let outcome = session.send(&Letter::new(100, "a@example.com", 1_000));
    for &place in &paused {
        cluster.nodes[place].resume();
    }
    assert!(is_put_off(&outcome), "{outcome:?}");
    assert!(
        began.elapsed() < REFUSED_WITHIN,
        "it took {:?}",
        began.elapsed()
    );
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    primary.up();
    cluster.wait_queued(0, scene::DRAIN);
    let received: Vec<_> = primary
        .received()
        .into_iter()
        .filter(|arrived| arrived.serial() != Some(100))
        .collect();
    assert!(harness::compare(&letters, &received).is_right());
}

#[test]
fn a_paused_leader_is_replaced_and_does_no_harm_when_it_wakes() {
    let (mut primary, cluster) = outage();
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters[..20]);
    let leader = cluster.leader();
    cluster.nodes[leader].pause();
    let others: Vec<_> = (0..3).filter(|&place| place != leader).collect();
    wait_until(harness::cluster::ELECTION, "another node leads", || {
        others.iter().any(|&place| cluster.nodes[place].is_leader())
    });
    let hosts: Vec<_> = others
        .iter()
        .map(|&place| cluster.nodes[place].smtp())
        .collect();
    let mut courier = harness::Courier::new(&hosts);
    for letter in &letters[20..40] {
        courier.send(letter, scene::TAKEN).unwrap();
    }
    cluster.nodes[leader].resume();
    scene::send_all(&cluster, &letters[40..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_single_node_that_is_told_to_stop_ends_what_is_under_way() {
    let (mut primary, mut cluster) = scene::outage(1);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    let letter = Letter::new(1, "a@example.com", 1_000);
    assert_eq!(sender.send(&letter).unwrap().code, 250);
    let began = Instant::now();
    assert!(cluster.nodes[0].terminate().success());
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "it took {:?}",
        began.elapsed()
    );
    let farewell = sender.read_reply();
    assert!(
        farewell.as_ref().map_or(true, |reply| reply.code == 421),
        "{farewell:?}"
    );
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    scene::drain(&cluster, &mut primary, &[letter]);
}

#[test]
fn a_disk_that_is_too_full_is_a_reason_to_come_again() {
    let primary = Primary::down_at_first();
    let settings =
        Settings::for_primary(primary.address()).with("node", "min_free_space = \"99%\"");
    let mut cluster = Cluster::prepare(1, &settings);
    cluster.nodes[0].spawn();
    let smtp = cluster.nodes[0].smtp();
    wait_until(Duration::from_secs(30), "the port is open", || {
        Sender::connect(smtp).is_ok()
    });
    let mut sender = Sender::connect(smtp).unwrap();
    wait_until(Duration::from_secs(30), "the reason is the disk", || {
        let reply = sender.command("MAIL FROM:<a@sender.test>").unwrap();
        assert!(reply.is_transient(), "{reply}");
        reply.code == 452 && reply.lines[0].starts_with("4.3.1")
    });
    let accepting = cluster.nodes[0].metric("layover_smtp_accepting", &[]);
    assert_eq!(accepting, Some(0.0), "alerts go by it");
}

#[test]
fn a_node_with_certificates_of_another_authority_is_kept_out() {
    let (mut primary, mut cluster) = {
        let primary = Primary::down_at_first();
        let cluster = Cluster::prepare(3, &Settings::for_primary(primary.address()));
        (primary, cluster)
    };
    let stranger = Authority::new(&cluster.directory().join("stranger"));
    let pair = stranger.sign("mx3-peer.example.net");
    let config = cluster.nodes[2].config();
    for (from, to) in [(&pair.cert, "peer.pem"), (&pair.key, "peer.key")] {
        fs::copy(from, config.with_file_name(to)).unwrap();
    }
    let text = fs::read_to_string(&config).unwrap();
    let (own, foreign) = (cluster.authority.ca(), stranger.ca());
    let text = text.replace(&own.display().to_string(), &foreign.display().to_string());
    fs::write(&config, text).unwrap();
    for node in &mut cluster.nodes {
        node.spawn();
    }
    cluster.nodes[0].wait_ready();
    cluster.nodes[1].wait_ready();
    let mut courier = harness::Courier::new(&cluster.hosts()[..2]);
    let letters = scene::letters(0..10);
    for letter in &letters {
        courier.send(letter, scene::TAKEN).unwrap();
    }
    assert!(!cluster.nodes[2].is_ready());
    assert_ne!(cluster.nodes[2].queued(), Some(10));
    cluster.nodes[2].kill();
    scene::drain(&cluster, &mut primary, &letters);
}
