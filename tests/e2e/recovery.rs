//! Primaries that come back from an outage, and are not always themselves.

use std::time::{Duration, Instant};

use harness::{Cluster, Cue, Letter, Primary, Settings, Stage, wait_until};
use serde_json::Value;

use crate::scene;

/// An outage that is long enough for its end to be guarded.
const LONG: u64 = 3_500;

const ALARM: [&str; 2] = ["name=\"recovery-guard\"", "domain=\"example.com\""];

fn domain(cluster: &Cluster) -> Value {
    cluster.ctl().json(&["status"])["domains"][0].clone()
}

/// Nodes with these letters for a primary that has been down for long.
fn long_outage(
    nodes: u64,
    letters: &[Letter],
    change: impl FnOnce(&mut Settings),
) -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let mut settings = Settings::for_primary(primary.address());
    change(&mut settings);
    let cluster = Cluster::start(nodes, &settings);
    scene::send_all(&cluster, letters);
    wait_until(scene::DRAIN, "the outage has lasted", || {
        let status = cluster.ctl().json(&["status"]);
        let domain = &status["domains"][0];
        let since = domain["since_ms"].as_u64().unwrap_or(u64::MAX);
        domain["primary_state"] == "down"
            && status["now_ms"].as_u64().unwrap() >= since.saturating_add(LONG)
    });
    (primary, cluster)
}

fn wait_held(cluster: &Cluster) {
    wait_until(scene::DRAIN, "the mail is held back", || {
        domain(cluster)["condition"] == "held-back"
    });
}

fn rejected(cluster: &Cluster) -> usize {
    let list = cluster
        .ctl()
        .json(&["queue", "list", "--state", "rejected"]);
    list.as_array().map_or(0, Vec::len)
}

#[test]
fn a_primary_without_its_directory_gets_nothing_rejected_and_an_operator_goes_on() {
    let mut letters = scene::letters(0..40);
    let (mut primary, cluster) = long_outage(1, &letters, |_| {});
    primary.on_cue(|cue| cue.have(&[]));
    primary.up();
    wait_held(&cluster);
    let node = &cluster.nodes[0];
    assert_eq!(node.metric("layover_alarms", &ALARM), Some(1.0));
    let ctl = cluster.ctl();
    let status = ctl.run(&["status"]);
    assert!(
        status.out.contains("layover domain resume example.com"),
        "{}",
        status.out
    );
    let alarms = ctl.json(&["status"])["alarms"].clone();
    assert_eq!(alarms[0]["name"], "recovery-guard", "{alarms}");
    assert!(node.log_text().contains("not itself"), "the log tells it");
    // Mail is taken, and a flush does not override the guard.
    let more = scene::letters(40..45);
    scene::send_all(&cluster, &more);
    letters.extend(more);
    let named = primary.times_named("user0@example.com");
    assert_eq!(ctl.run(&["flush"]).code, 0);
    primary.on_cue(Cue::forgive);
    assert_eq!(domain(&cluster)["condition"], "held-back");
    assert_eq!(primary.times_named("user0@example.com"), named);
    assert_eq!((rejected(&cluster), primary.count()), (0, 0));
    let resumed = ctl.run(&["domain", "resume", "example.com"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let account = scene::drain(&cluster, &mut primary, &letters);
    assert_eq!(account.repeated, Vec::<usize>::new());
    assert_eq!(node.metric("layover_alarms", &ALARM), Some(0.0));
}

#[test]
fn a_stranger_among_many_is_rejected_and_the_rest_arrives() {
    let mut letters = vec![Letter::new(40, "gone@example.com", 1_000)];
    letters.extend(scene::letters(0..40));
    let (mut primary, cluster) = long_outage(1, &letters, |_| {});
    primary.on_cue(|cue| cue.refuse("gone@example.com", "550 5.1.1 no such user here"));
    primary.up();
    scene::wait_received(&primary, 40);
    wait_until(scene::DRAIN, "the stranger's letter is rejected", || {
        rejected(&cluster) == 1
    });
    assert_eq!(domain(&cluster)["condition"], "up");
    assert_eq!(cluster.nodes[0].metric("layover_alarms", &ALARM), Some(0.0));
}

#[test]
fn a_new_leader_holds_what_the_former_one_held() {
    let letters = scene::letters(0..40);
    let (mut primary, mut cluster) = long_outage(3, &letters, |_| {});
    primary.on_cue(|cue| cue.have(&[]));
    primary.up();
    wait_held(&cluster);
    let former = cluster.leader();
    cluster.nodes[former].kill();
    primary.on_cue(Cue::forgive);
    let leads = || (0..3).find(|&place| place != former && cluster.nodes[place].is_leader());
    let next = harness::wait::within(harness::cluster::ELECTION, leads).expect("another leads");
    wait_until(scene::CATCH_UP, "the new leader says so", || {
        cluster.nodes[next].log_text().contains("not itself")
    });
    assert_eq!(domain(&cluster)["condition"], "held-back");
    assert_eq!((rejected(&cluster), primary.count()), (0, 0));
    assert_eq!(
        cluster.ctl().run(&["domain", "resume", "example.com"]).code,
        0
    );
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn without_a_guard_the_primary_is_believed_at_once() {
    let unguarded = |settings: &mut Settings| {
        let line = "probe_interval = \"500ms\"\n";
        let lines = format!("{line}recovery_guard = false\n");
        settings.policy = settings.policy.replace(line, &lines);
    };
    let letters = scene::letters(0..20);
    let (mut primary, cluster) = long_outage(1, &letters, unguarded);
    primary.on_cue(|cue| cue.have(&[]));
    primary.up();
    wait_until(scene::DRAIN, "everything is rejected", || {
        rejected(&cluster) == letters.len()
    });
    assert_eq!(cluster.nodes[0].metric("layover_alarms", &ALARM), Some(0.0));
}

/// Between two probes: long beside what a machine that is busy with something else adds to the two seconds.
const INTERVAL: Duration = Duration::from_secs(4);

/// From the first moment at which a primary is ready to the first final dot that it reads, both by its own clock, at
/// most [`INTERVAL`] and two seconds pass. `bar` makes it unready, `open` ready.
///
/// Each outage ends when a probe has just failed, which is as long before the next as can be. The best of three
/// counts: the others may have met a machine that was busy.
fn first_delivery_is_in_time(
    mut primary: Primary,
    bar: impl Fn(&mut Primary),
    open: impl Fn(&mut Primary),
) {
    let mut settings = Settings::for_primary(primary.address());
    let interval = format!("probe_interval = \"{}s\"", INTERVAL.as_secs());
    settings.policy = settings
        .policy
        .replace("probe_interval = \"500ms\"", &interval);
    let cluster = Cluster::start(1, &settings);
    let last_error = || domain(&cluster)["delivery"]["last_error_ms"].as_u64();
    let mut waits = Vec::new();
    for outage in 0..3 {
        bar(&mut primary);
        let _former = primary.take_received();
        let letters = scene::letters(outage * 10..outage * 10 + 10);
        scene::send_all(&cluster, &letters);
        wait_until(scene::DRAIN, "the primary is down", || {
            domain(&cluster)["primary_state"] == "down"
        });
        let before = last_error();
        wait_until(scene::DRAIN, "a probe fails", || last_error() != before);
        let ready = Instant::now();
        open(&mut primary);
        scene::wait_received(&primary, 1);
        let first = primary.received().iter().map(|one| one.at).min();
        waits.push(
            first
                .expect("one is there")
                .saturating_duration_since(ready),
        );
        scene::drain(&cluster, &mut primary, &letters);
        if waits.last() <= Some(&(INTERVAL + Duration::from_secs(2))) {
            return;
        }
    }
    panic!("from readiness to the first delivery {waits:?}");
}

#[test]
fn from_the_opening_of_the_primarys_port_to_its_first_mail_it_is_a_probe_and_two_seconds() {
    let primary = Primary::down_at_first();
    first_delivery_is_in_time(primary, Primary::down, Primary::up);
}

#[test]
fn from_the_end_of_421_to_the_first_mail_it_is_a_probe_and_two_seconds() {
    let primary = Primary::started();
    let bar = |primary: &mut Primary| {
        // A session that is open would go on.
        primary.down();
        primary.on_cue(|cue| cue.answer(Stage::Connect, usize::MAX, "421 4.3.2 not yet"));
        primary.up();
    };
    let open = |primary: &mut Primary| primary.on_cue(|cue| cue.answer(Stage::Connect, 0, ""));
    first_delivery_is_in_time(primary, bar, open);
}
