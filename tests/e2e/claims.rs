//! What one leader has begun and another finds: nothing comes twice that need not.

use std::time::{Duration, Instant};

use harness::{Cluster, Letter, Primary, Received, Stage, wait_until};

use crate::scene;

/// As many messages as one domain's connections can have in flight: the policy's default.
const CONNECTIONS: usize = 20;

/// A primary that has a message and takes its time to say so.
const SCANNING: Duration = Duration::from_millis(300);

/// More than a leader claims ahead.
const MANY: usize = 850;

/// What says in the mail log that a message may come again.
const POSSIBLE_REPEAT: &str = "possible repeat";

/// Letters that a leader has claimed, to a few recipients, and behind them some to others.
fn many_letters() -> Vec<Letter> {
    let early = (0..MANY).map(|serial| (serial, format!("user{}@example.com", serial % 40)));
    let late = (MANY..MANY + 50).map(|serial| (serial, format!("late{}@example.com", serial % 5)));
    let letters = early.chain(late);
    letters
        .map(|(serial, to)| Letter::new(serial, &to, 1_000))
        .collect()
}

fn others(cluster: &Cluster, leader: usize) -> Vec<usize> {
    (0..cluster.nodes.len())
        .filter(|&place| place != leader)
        .collect()
}

/// Waits until one of these nodes leads, and returns which.
fn wait_leader(cluster: &Cluster, among: &[usize]) -> usize {
    let leads = || {
        among
            .iter()
            .copied()
            .find(|&at| cluster.nodes[at].is_leader())
    };
    harness::wait::within(harness::cluster::ELECTION, leads).expect("another node leads in time")
}

fn is_late(received: &Received) -> bool {
    received.serial().is_some_and(|serial| serial >= MANY)
}

/// A primary that takes its time behind the dot, and a leader with all its connections busy there.
fn draining_slowly(letters: &[Letter]) -> (Primary, Cluster, usize) {
    let (mut primary, cluster) = scene::outage(3);
    scene::send_all(&cluster, letters);
    let leader = cluster.leader();
    primary.on_cue(|cue| cue.pause(Stage::AfterDot, SCANNING));
    primary.up();
    scene::wait_received(&primary, 2 * CONNECTIONS);
    (primary, cluster, leader)
}

#[test]
fn behind_a_killed_leader_only_what_was_in_flight_comes_again_and_the_rest_goes_on() {
    let letters = many_letters();
    let (mut primary, mut cluster, leader) = draining_slowly(&letters);
    cluster.nodes[leader].kill();
    // What it had sent has been read by then, and nobody else leads yet.
    let gone = Instant::now() + SCANNING;
    primary.on_cue(|cue| cue.pause(Stage::AfterDot, Duration::ZERO));
    let next = wait_leader(&cluster, &others(&cluster, leader));
    let account = scene::drain(&cluster, &mut primary, &letters);
    println!("{account}");
    assert!(account.repeated.len() <= CONNECTIONS, "{account}");
    let received = primary.received();
    let since = received.iter().filter(|arrived| arrived.at > gone);
    let (late, early): (Vec<_>, Vec<_>) = since.partition(|arrived| is_late(arrived));
    let first = |arrived: &[&Received]| arrived.iter().map(|arrived| arrived.at).min();
    assert!(
        first(&late) < first(&early),
        "mail that nobody had claimed waits for nothing"
    );
    let log = cluster.nodes[next].log_text();
    assert!(log.contains(POSSIBLE_REPEAT), "what was in doubt is said");
}

#[test]
fn a_hand_over_gives_back_what_was_claimed_and_repeats_nothing() {
    let letters = many_letters();
    let (mut primary, mut cluster, leader) = draining_slowly(&letters);
    assert!(cluster.nodes[leader].terminate().success());
    primary.on_cue(|cue| cue.pause(Stage::AfterDot, Duration::ZERO));
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert!(account.repeated.is_empty(), "{account}");
    for place in others(&cluster, leader) {
        let log = cluster.nodes[place].log_text();
        assert!(!log.contains(POSSIBLE_REPEAT), "nothing was in doubt");
    }
}

#[test]
fn leadership_goes_to_another_node_when_deliveries_under_way_have_ended() {
    let letters = many_letters();
    let (mut primary, cluster, leader) = draining_slowly(&letters);
    let next = others(&cluster, leader)[0];
    scene::let_lead(&cluster, next);
    primary.on_cue(|cue| cue.pause(Stage::AfterDot, Duration::ZERO));
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert!(account.repeated.is_empty(), "{account}");
    let log = cluster.nodes[leader].log_text();
    let ended = log.find("forwarding has ended");
    let handed_over = log.find("handing leadership over");
    assert!(ended.is_some() && ended < handed_over, "{log}");
    for place in others(&cluster, leader) {
        let log = cluster.nodes[place].log_text();
        assert!(!log.contains(POSSIBLE_REPEAT), "nothing was in doubt");
    }
}

#[test]
fn a_leader_paused_behind_the_dot_tells_the_next_one_when_it_wakes() {
    let letters = many_letters();
    let (mut primary, cluster, leader) = draining_slowly(&letters);
    cluster.nodes[leader].pause();
    let next = wait_leader(&cluster, &others(&cluster, leader));
    cluster.nodes[leader].resume();
    primary.on_cue(|cue| cue.pause(Stage::AfterDot, Duration::ZERO));
    wait_until(scene::DRAIN, "it has ended", || {
        cluster.nodes[leader]
            .log_text()
            .contains("forwarding has ended")
    });
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert!(account.repeated.is_empty(), "{account}");
    let log = cluster.nodes[next].log_text();
    assert!(!log.contains(POSSIBLE_REPEAT), "it has told in time");
}
