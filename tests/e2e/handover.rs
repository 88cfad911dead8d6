//! A leader that is told to stop, and one that is held up: the others go on.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use harness::{Letter, Sender, wait_until};

use crate::scene;

/// Well under the time after which a service manager loses patience, on two busy cores.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// What a held up leader may deliver again: what it had under way on all its connections.
const REPEATS_MAX: usize = 100;

/// More than a follower has requests to its leader at the same time.
const SESSIONS: usize = 12;

/// An election, held twice, on two busy cores; a leader that is asked has five seconds for its answer.
const ELECTED_WITHIN: Duration = Duration::from_millis(4500);

/// Sends to one host over one session, which must say yes to everything; returns what was taken
/// and the longest wait.
fn send_without_error(
    stop: &AtomicBool,
    host: SocketAddr,
    number: usize,
) -> (Vec<Letter>, Duration) {
    let mut session = Sender::connect(host).unwrap();
    let (mut taken, mut slowest) = (Vec::new(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let serial = number * 10_000 + taken.len();
        let letter = Letter::new(serial, &format!("user{number}@example.com"), 2_000);
        let began = Instant::now();
        let reply = session.send(&letter).unwrap();
        assert_eq!(reply.code, 250, "{reply}");
        slowest = slowest.max(began.elapsed());
        taken.push(letter);
    }
    (taken, slowest)
}

#[test]
fn a_leader_told_to_stop_hands_over_and_clients_of_the_others_see_no_error() {
    let (mut primary, mut cluster) = scene::outage(3);
    let leader = cluster.leader();
    let others: Vec<usize> = (0..3).filter(|&place| place != leader).collect();
    let hosts: Vec<SocketAddr> = others.iter().map(|&at| cluster.nodes[at].smtp()).collect();
    let stop = &AtomicBool::new(false);
    let mut letters = Vec::new();
    thread::scope(|scope| {
        let senders: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(number, &host)| scope.spawn(move || send_without_error(stop, host, number)))
            .collect();
        wait_until(scene::TAKEN, "mail flows", || {
            cluster.nodes[leader]
                .queued()
                .is_some_and(|queued| queued > 30)
        });
        let began = Instant::now();
        let status = cluster.nodes[leader].terminate();
        let took = began.elapsed();
        let queued = || cluster.nodes[others[0]].queued().unwrap_or(0);
        let before = queued();
        let flows = harness::wait::within(scene::TAKEN, || (queued() > before + 30).then_some(()));
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            let (taken, slowest) = sender.join().unwrap();
            println!("{} letters, the slowest took {slowest:?}", taken.len());
            letters.extend(taken);
        }
        println!("the leader stopped in {took:?}");
        assert!(status.success(), "{status}");
        assert!(took < STOPS_WITHIN, "it took {took:?}");
        assert!(flows.is_some(), "mail flows no more");
    });
    let log = cluster.nodes[leader].log_text();
    assert!(log.contains("handing leadership over"), "{log}");
    assert!(!log.contains("not taken over in time"), "{log}");
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn clients_of_a_follower_wait_for_an_election_only_when_the_leader_is_held_up() {
    let (mut primary, cluster) = scene::outage(3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let host = cluster.nodes[follower].smtp();
    let queued = || cluster.nodes[follower].queued().unwrap_or(0);
    let flows = || {
        let before = queued();
        harness::wait::within(scene::TAKEN, || (queued() > before + 100).then_some(()))
    };
    let stop = &AtomicBool::new(false);
    let mut letters = Vec::new();
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SESSIONS)
            .map(|number| scope.spawn(move || send_without_error(stop, host, number)))
            .collect();
        let flowed = flows();
        cluster.nodes[leader].pause();
        let goes_on = flows();
        stop.store(true, Ordering::Relaxed);
        let sent: Vec<_> = senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect();
        assert!(flowed.is_some() && goes_on.is_some(), "mail flows no more");
        for (taken, slowest) in sent {
            println!("{} letters, the slowest took {slowest:?}", taken.len());
            assert!(slowest < ELECTED_WITHIN, "one took {slowest:?}");
            letters.extend(taken);
        }
    });
    cluster.nodes[leader].resume();
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_leader_told_to_stop_while_it_delivers_repeats_nothing() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..400);
    scene::send_all(&cluster, &letters);
    let leader = cluster.leader();
    primary.on_cue(|cue| cue.pause(harness::Stage::Dot, Duration::from_millis(5)));
    primary.up();
    scene::wait_received(&primary, 50);
    assert!(cluster.nodes[leader].terminate().success());
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert!(account.repeated.is_empty(), "{account}");
}

#[test]
fn a_leader_held_up_while_it_delivers_loses_nothing_when_it_wakes() {
    let (mut primary, cluster) = scene::outage(3);
    let letters = scene::letters(0..600);
    scene::send_all(&cluster, &letters[..500]);
    let leader = cluster.leader();
    primary.on_cue(|cue| cue.pause(harness::Stage::Dot, Duration::from_millis(10)));
    primary.up();
    scene::wait_received(&primary, 50);
    cluster.nodes[leader].pause();
    let others: Vec<usize> = (0..3).filter(|&place| place != leader).collect();
    wait_until(harness::cluster::ELECTION, "another node leads", || {
        others.iter().any(|&place| cluster.nodes[place].is_leader())
    });
    scene::wait_received(&primary, 200);
    cluster.nodes[leader].resume();
    scene::send_all(&cluster, &letters[500..]);
    let account = scene::drain(&cluster, &mut primary, &letters);
    println!("{account}");
    assert!(account.repeated.len() <= REPEATS_MAX, "{account}");
}
