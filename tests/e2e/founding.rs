//! Data of another cluster is never taken for one's own.

use std::{fs, path::Path, thread, time::Duration};

use harness::{Cluster, Daemon, Letter, Primary, Sender, Settings, logs, wait_until};

use crate::scene;

/// A cluster that was founded, took one message, and was stopped.
fn founded_and_stopped(nodes: u64) -> Cluster {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address()).allowing("");
    let mut cluster = Cluster::start(nodes, &settings);
    scene::send_all(&cluster, &scene::letters(0..1));
    cluster.wait_queued(1, scene::CATCH_UP);
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
    cluster
}

/// Gives a node that is down the data directory of another.
fn swap_data(node: &Daemon, other: &Daemon) {
    let (own, foreign) = (node.data_dir(), other.data_dir());
    let aside = own.with_extension("aside");
    fs::rename(&own, &aside).unwrap();
    fs::rename(&foreign, &own).unwrap();
    fs::rename(&aside, &foreign).unwrap();
}

/// The one line with which a node refuses to start on a data directory, which it must name.
#[track_caller]
fn refusal(node: &mut Daemon) -> String {
    let before = node.log_text().len();
    node.spawn();
    let (status, log) = node.wait_exit();
    let said = log.get(before..).unwrap_or_default();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let last = logs::last_words(said).to_owned();
    assert!(
        last.contains(&node.data_dir().display().to_string()),
        "{last}"
    );
    last
}

/// Writes another first line of `[cluster]` instead of `members`.
fn found_by(config: &Path, line: &str) {
    let text = fs::read_to_string(config).unwrap();
    let text: Vec<&str> = text
        .lines()
        .map(|own| {
            if own.starts_with("members =") {
                line
            } else {
                own
            }
        })
        .collect();
    fs::write(config, text.join("\n")).unwrap();
}

#[test]
fn a_founding_node_that_is_alone_says_once_for_whom_it_waits() {
    let primary = Primary::down_at_first();
    let mut cluster = Cluster::prepare(3, &Settings::for_primary(primary.address()));
    cluster.nodes[0].spawn();
    let said = |node: &Daemon| {
        let log = node.log_text();
        let lines = log.lines();
        let waits = "waiting until more than half of the members answer";
        let waits = lines.filter(|line| line.contains(waits));
        waits.map(str::to_owned).collect::<Vec<_>>()
    };
    wait_until(scene::CATCH_UP, "it says so", || {
        !said(&cluster.nodes[0]).is_empty()
    });
    // It asks five times a second.
    thread::sleep(Duration::from_secs(2));
    let lines = said(&cluster.nodes[0]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for other in &cluster.nodes[1..] {
        let silent = format!("node {} ({})", other.id, other.ports.cluster.address());
        assert!(lines[0].contains(&silent), "{lines:?}");
    }
    cluster.nodes[1].spawn();
    cluster.nodes[0].wait_ready();
    cluster.nodes[1].wait_ready();
}

#[test]
fn data_of_another_cluster_with_the_same_ids_is_refused() {
    let other = founded_and_stopped(3);
    let (mut primary, mut cluster) = {
        let primary = Primary::down_at_first();
        let settings = Settings::for_primary(primary.address()).allowing("");
        let cluster = Cluster::start(3, &settings);
        (primary, cluster)
    };
    let letters = scene::letters(0..20);
    scene::send_all(&cluster, &letters[..10]);
    assert!(cluster.nodes[1].terminate().success());
    swap_data(&cluster.nodes[1], &other.nodes[1]);
    let said = refusal(&mut cluster.nodes[1]);
    assert!(said.contains("cluster"), "{said}");

    // With its own data it is welcome again, and nothing has come to harm.
    swap_data(&cluster.nodes[1], &other.nodes[1]);
    cluster.nodes[1].spawn();
    cluster.nodes[1].wait_ready();
    scene::send_all(&cluster, &letters[10..]);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn data_of_another_cluster_does_no_harm_when_nobody_is_there_to_tell() {
    let other = founded_and_stopped(3);
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address()).allowing("");
    let mut cluster = Cluster::start(3, &settings);
    let mut primary = primary;
    let letters = scene::letters(0..20);
    scene::send_all(&cluster, &letters[..10]);
    cluster.wait_queued(10, scene::CATCH_UP);
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
    swap_data(&cluster.nodes[1], &other.nodes[1]);
    // It starts alone, asks in vain, and only then do the others come.
    cluster.nodes[1].spawn();
    wait_until(scene::CATCH_UP, "it answers", || {
        harness::http::get(cluster.nodes[1].ports.http.address(), "/healthz").is_ok()
    });
    for place in [0, 2] {
        cluster.nodes[place].spawn();
    }
    for place in [0, 2] {
        cluster.nodes[place].wait_ready();
    }
    let mut courier = harness::Courier::new(&[cluster.nodes[0].smtp(), cluster.nodes[2].smtp()]);
    for letter in &letters[10..] {
        courier.send(letter, scene::TAKEN).unwrap();
    }
    let stranger = Letter::new(100, "a@example.com", 1_000);
    let taken = Sender::connect(cluster.nodes[1].smtp()).and_then(|mut to| to.send(&stranger));
    assert!(
        taken.as_ref().map_or(true, |reply| !reply.is_positive()),
        "{taken:?}"
    );
    // It finds out where it is, and ends.
    let (status, log) = cluster.nodes[1].wait_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    let last = logs::last_words(&log);
    assert!(last.contains("belongs to cluster"), "{last}");
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn a_node_founded_alone_is_not_made_a_member_of_others() {
    let mut cluster = {
        let primary = Primary::down_at_first();
        let settings = Settings::for_primary(primary.address()).allowing("");
        Cluster::prepare(3, &settings)
    };
    let config = cluster.nodes[0].config();
    let members = fs::read_to_string(&config).unwrap();
    found_by(&config, "bootstrap = true");
    cluster.nodes[0].spawn();
    cluster.nodes[0].wait_ready();
    assert!(cluster.nodes[0].terminate().success());

    fs::write(&config, members).unwrap();
    let said = refusal(&mut cluster.nodes[0]);
    assert!(said.contains("members"), "{said}");
}

#[test]
fn a_member_is_not_made_a_cluster_of_its_own() {
    let mut cluster = founded_and_stopped(3);
    found_by(&cluster.nodes[0].config(), "bootstrap = true");
    refusal(&mut cluster.nodes[0]);
}
