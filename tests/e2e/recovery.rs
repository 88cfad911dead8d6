//! Primaries that come back from an outage, and are not always themselves.

use std::time::Duration;

use harness::{Cluster, Cue, Letter, Primary, Settings, wait_until};
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

#[test]
fn from_the_primarys_return_to_its_first_mail_it_is_a_probe_and_two_seconds() {
    let letters = scene::letters(0..40);
    let (mut primary, cluster) = long_outage(1, &letters, |_| {});
    primary.up();
    let probe = Duration::from_millis(550);
    wait_until(
        probe + Duration::from_secs(2),
        "the first mail arrives",
        || primary.count() > 0,
    );
    scene::drain(&cluster, &mut primary, &letters);
}
