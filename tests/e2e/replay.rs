//! Delivered mail that is delivered again.

use std::time::Duration;

use harness::{Cluster, Ctl, Letter, Primary, Settings, SmallDisk, compare, wait_until};
use serde_json::Value;

use crate::scene;

/// What is kept no longer is looked for every few seconds.
const GIVEN_UP: Duration = Duration::from_secs(60);

fn settings(domains: &[(&str, std::net::SocketAddr)], queue: &str) -> Settings {
    let mut settings = Settings::for_domains(domains);
    settings.policy = format!("[queue]\n{queue}\n\n{}", settings.policy);
    settings
}

/// Replays, and returns how many messages are delivered again, and how many are gone.
#[track_caller]
fn replay(ctl: &Ctl, words: &[&str]) -> (u64, u64) {
    let told = ctl.json(&[&["replay"], words].concat());
    let number = |name: &str| told[name].as_u64().unwrap();
    assert_eq!(number("left"), 0, "{told}");
    (number("replayed"), number("gone"))
}

fn retained(ctl: &Ctl) -> Value {
    ctl.json(&["status"])["retained_messages"].clone()
}

#[test]
fn what_the_primary_has_lost_comes_again_in_order_and_whole() {
    let (mut primary, cluster) = scene::outage(3);
    let mut letters = scene::letters(0..60);
    letters.push(Letter::new(60, "user0@example.com", 1_500_000));
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
    assert_eq!(primary.take_received().len(), 61);
    let follower = cluster.nodes[cluster.follower()].ctl();
    assert_eq!(replay(&follower, &["--since", "1h"]), (61, 0));
    scene::wait_received(&primary, 61);
    cluster.wait_queued(0, scene::DRAIN);
    let account = compare(&letters, &primary.received());
    assert!(
        account.is_right() && account.repeated.is_empty(),
        "{account:?}"
    );
    let audit = follower.json(&["audit"]);
    let what = audit[0]["what"].as_str().unwrap();
    assert!(what.starts_with("replay --since 20"), "{audit}");
    // It is kept for another time.
    assert_eq!(retained(&follower), 61);
    for node in &cluster.nodes {
        wait_until(scene::CATCH_UP, "all tell what is kept", || {
            node.metric("layover_retained_messages", &[]) == Some(61.0)
        });
    }
    assert_eq!(cluster.ctl().run(&["cluster", "verify"]).code, 0);
}

#[test]
fn only_what_was_delivered_since_then_to_that_domain_comes_again() {
    let [first, second] = [Primary::started(), Primary::started()];
    let domains = [
        ("example.com", first.address()),
        ("example.org", second.address()),
    ];
    let cluster = Cluster::start(1, &Settings::for_domains(&domains));
    let ctl = cluster.ctl();
    let both = ["a@example.com", "b@example.org"];
    let letter = Letter::of(1, &both, 1_000, harness::letter::Text::Plain);
    scene::send_all(&cluster, &[letter]);
    cluster.wait_queued(0, scene::DRAIN);
    assert_eq!((first.count(), second.count()), (1, 1));
    let far = "2100-01-01T00:00:00Z";
    assert_eq!(replay(&ctl, &["--since", far]), (0, 0));
    assert_eq!(
        replay(&ctl, &["--since", "1h", "--domain", "example.org"]),
        (1, 0)
    );
    scene::wait_received(&second, 2);
    cluster.wait_queued(0, scene::DRAIN);
    assert_eq!(first.count(), 1);
    let unknown = ctl.run(&["replay", "--since", "1h", "--domain", "elsewhere.test"]);
    let lines = unknown.err.trim_end().lines().count();
    assert_eq!((unknown.code, lines), (1, 1), "{}", unknown.err);
}

#[test]
fn what_is_kept_no_longer_is_told_as_gone() {
    let mut primary = Primary::down_at_first();
    let domains = [("example.com", primary.address())];
    let cluster = Cluster::start(1, &settings(&domains, "retain_delivered = \"2s\""));
    let letters = scene::letters(0..5);
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
    let ctl = cluster.ctl();
    wait_until(GIVEN_UP, "nothing is kept any more", || retained(&ctl) == 0);
    assert_eq!(replay(&ctl, &["--since", "1h"]), (0, 5));
    assert_eq!(primary.count(), 5);
}

#[test]
fn a_replay_survives_the_end_of_the_leader() {
    let (mut primary, mut cluster) = scene::outage(3);
    let letters = scene::letters(0..40);
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
    assert_eq!(primary.take_received().len(), 40);
    primary.down();
    assert_eq!(replay(&cluster.ctl(), &["--since", "1h"]), (40, 0));
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn delivered_mail_makes_room_for_new_mail() {
    const OCTETS: usize = 200_000;
    let mut primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address())
        .with("node", "min_free_space = \"40MiB\"")
        .with("cluster", "log_keep_size = \"16MiB\"");
    let mut cluster = Cluster::prepare(1, &settings);
    let Some(disk) = SmallDisk::mount(&cluster.nodes[0].data_dir(), 384) else {
        return;
    };
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    let letters: Vec<Letter> = (0..200)
        .map(|serial| Letter::new(serial, "a@example.com", OCTETS))
        .collect();
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);
    let ctl = cluster.ctl();
    assert_eq!(retained(&ctl), 200);
    wait_until(GIVEN_UP, "what was delivered first is given up", || {
        // Again: the node gives back the room of what has left its log.
        disk.fill(50 << 20);
        retained(&ctl).as_u64().is_some_and(|kept| kept < 200)
    });
    let gone = replay(&ctl, &["--since", "1h"]).1;
    assert!(gone > 0, "{gone}");
    disk.clear();
    cluster.wait_queued(0, scene::DRAIN);
}
