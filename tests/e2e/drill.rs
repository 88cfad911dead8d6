//! `layover drill`: a message through each MX host that is a node, as a stranger's would go.
//!
//! MX records name no port, so the nodes of these tests listen on port 25, each at a loopback address of its
//! own: only root may.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use harness::{Cluster, Ctl, NameServer, Primary, Settings, name_server::Data, wait_until};
use serde_json::Value;

use crate::scene;

const NAMES: [&str; 3] = ["mx1.example.net", "mx2.example.net", "mx3.example.net"];

/// Nodes learn each other's names within seconds, and a leader drills by itself within seconds.
const SOON: Duration = Duration::from_secs(40);

const LAST_SUCCESS: &str = "layover_drill_last_success_timestamp_seconds";

const DOMAIN: [&str; 1] = ["domain=\"example.com\""];

/// The address of a node; tests run side by side.
fn address(test: u8, node: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 26, test, node)
}

/// The DNS names the primary in front of these nodes.
fn list(server: &NameServer, nodes: &[&'static str]) {
    let mut records = vec![Data::Mx(10, "mail.example.com")];
    records.extend(nodes.iter().map(|name| Data::Mx(20, name)));
    server.tell("example.com", &records);
}

/// Three nodes on port 25 that know each other's names. `None`, and a line that says so, where that is not
/// permitted.
fn start(test: u8, primary: &Primary, lines: &str) -> Option<(NameServer, Cluster)> {
    let server = NameServer::start();
    list(&server, &NAMES);
    server.tell("mail.example.com", &[Data::A(Ipv4Addr::new(192, 0, 2, 9))]);
    let mut nodes = Vec::new();
    for (node, name) in (1..).zip(NAMES) {
        let host = address(test, node);
        let address = SocketAddr::from((host, 25));
        if let Err(error) = TcpListener::bind(address) {
            println!("skipped: {address} can not be listened on ({error}); run the tests as root");
            return None;
        }
        server.tell(name, &[Data::A(host)]);
        let listen = format!("listen = [\"{address}\"]");
        let mut settings = Settings::for_primary(primary.address());
        settings = settings.asking(&server).with("smtp", &listen);
        settings.policy.push_str(lines);
        nodes.push(settings);
    }
    let mut cluster = Cluster::prepare_each(&nodes);
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    for node in &cluster.nodes {
        let ctl = node.ctl();
        wait_until(SOON, "the node knows the others' names", || {
            let told = ctl.run(&["--json", "doctor"]).out;
            let told: Value = serde_json::from_str(&told).unwrap();
            let findings = told["findings"].as_array().unwrap();
            // Their primary is in an inner network, which says nothing of the way out.
            findings
                .iter()
                .all(|finding| finding["verdict"] != "skipped" || finding["check"] == "outbound")
        });
    }
    Some((server, cluster))
}

/// What `layover --json drill` prints of each host in the end, with its exit code.
fn drilled(ctl: &Ctl) -> (i32, Vec<(String, String)>, Value) {
    let outcome = ctl.run(&["--json", "drill", "example.com"]);
    let document: Value = serde_json::from_str(&outcome.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", outcome.out, outcome.err));
    let steps = document.as_array().unwrap().iter();
    let ends = steps.filter_map(|step| {
        let outcome = step["outcome"].as_str()?.to_owned();
        Some((step["host"].as_str().unwrap().to_owned(), outcome))
    });
    (outcome.code, ends.collect(), document)
}

fn ends(outcomes: [&str; 3]) -> Vec<(String, String)> {
    let pairs = NAMES.iter().zip(outcomes);
    pairs
        .map(|(name, outcome)| ((*name).to_owned(), outcome.to_owned()))
        .collect()
}

#[test]
fn a_drill_goes_through_every_node_into_the_canarys_mailbox() {
    let primary = Primary::started();
    let canary = "canary = \"drills@example.com\"\n";
    let Some((server, mut cluster)) = start(1, &primary, canary) else {
        return;
    };
    let told = cluster.nodes[0].ctl().run(&["drill"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let end = "The drill is complete: 3 of 3 messages have arrived.\n";
    assert!(told.out.ends_with(end), "{}", told.out);
    for name in NAMES {
        for said in [
            format!("{name}:25: TLS runs"),
            format!("{name}: has taken the message: 250 2.0.0 Ok: queued as "),
            format!("{name}: {} has it: 250", primary.address()),
        ] {
            assert!(told.out.contains(&said), "{said}: {}", told.out);
        }
    }
    let received = primary.take_received();
    assert_eq!(received.len(), 3);
    for (message, name) in received.iter().zip(NAMES) {
        assert_eq!(message.from, "");
        assert_eq!(message.to, ["drills@example.com"]);
        let text = String::from_utf8_lossy(&message.body);
        let mark = format!("\r\nX-Layover-Drill: through {name} by mx1.example.net\r\n");
        assert!(text.contains(&mark), "{text}");
    }
    let last_success = |place: usize| cluster.nodes[place].metric(LAST_SUCCESS, &DOMAIN);
    assert!(last_success(0) > Some(1.0), "{:?}", last_success(0));
    // It has held none.
    assert_eq!(last_success(1), Some(0.0));

    // A follower drills as well as the leader, and one message is traced by its id.
    let follower = cluster.nodes[cluster.follower()].ctl();
    let (code, outcomes, document) = drilled(&follower);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(outcomes, ends(["delivered"; 3]), "{document:#}");
    let steps = document.as_array().unwrap();
    let id = steps.iter().find_map(|step| step["id"].as_str()).unwrap();
    let traced = follower.json(&["trace", id]);
    assert_eq!(traced["state"], "delivered", "{traced:#}");

    // One node is not listed, another is gone.
    list(&server, &NAMES[1..]);
    cluster.nodes[2].kill();
    let ctl = cluster.nodes[1].ctl();
    wait_until(scene::CATCH_UP, "the drill goes on without it", || {
        let (code, outcomes, _) = drilled(&ctl);
        let mut expected = ends(["failed", "delivered", "failed"]);
        expected.rotate_left(1);
        assert_eq!(code, 1);
        outcomes == expected
    });
    let told = ctl.run(&["drill", "example.com"]);
    assert_eq!(
        told.err,
        "layover: the drill failed: 2 of 3 ways to the primary did not work\n"
    );
    for said in [
        "node 1 is not among the MX hosts of example.com",
        "-> add the record that `layover doctor` writes",
        "mx3.example.net: there is no session that mail could go over",
        "-> see that the node runs and takes mail",
    ] {
        assert!(told.out.contains(said), "{said}: {}", told.out);
    }
}

#[test]
fn a_drill_says_that_its_messages_wait_for_a_primary_that_is_down() {
    let mut primary = Primary::down_at_first();
    let canary = "canary = \"drills@example.com\"\nrecovery_guard = false\n";
    let Some((_server, cluster)) = start(2, &primary, canary) else {
        return;
    };
    let ctl = cluster.nodes[0].ctl();
    let (code, outcomes, document) = drilled(&ctl);
    assert_eq!(code, 1);
    assert_eq!(outcomes, ends(["waiting"; 3]), "{document:#}");
    let told = ctl.run(&["drill"]);
    assert!(told.out.contains("the primary is down: "), "{}", told.out);
    assert_eq!(
        told.err,
        "layover: the drill is not complete: 0 of 3 messages have arrived, the others wait\n"
    );
    cluster.wait_queued(6, scene::CATCH_UP);
    assert_eq!(cluster.nodes[0].metric(LAST_SUCCESS, &DOMAIN), Some(0.0));
    primary.up();
    scene::wait_received(&primary, 6);

    // What it refuses is a failure, and stays for the postmaster.
    primary.on_cue(|cue| cue.refuse("drills@example.com", "550 5.1.1 no such user"));
    wait_until(scene::DRAIN, "the primary is believed", || {
        let (code, outcomes, _) = drilled(&ctl);
        code == 1 && outcomes == ends(["failed"; 3])
    });
    let told = ctl.run(&["drill"]);
    assert!(told.out.contains("refuses it: 550 5.1.1"), "{}", told.out);
    assert!(told.out.contains("layover queue delete "), "{}", told.out);
}

#[test]
fn without_a_canary_there_is_no_drill() {
    let primary = Primary::started();
    let cluster = Cluster::start(1, &Settings::for_primary(primary.address()));
    let ctl = cluster.ctl();
    for arguments in [&["drill"][..], &["drill", "example.com"]] {
        let told = ctl.run(arguments);
        assert_eq!(told.code, 1, "{}", told.out);
        assert!(told.err.contains("canary = "), "{}", told.err);
        assert!(told.err.contains("layover policy apply"), "{}", told.err);
    }
    let unknown = ctl.run(&["drill", "example.org"]);
    assert!(unknown.err.contains("no domain"), "{}", unknown.err);
    assert_eq!(primary.count(), 0);
}

#[test]
fn the_leader_drills_by_itself_and_so_does_the_next_one() {
    let primary = Primary::started();
    let lines = "canary = \"drills@example.com\"\n[drill]\nevery = \"24h\"\n";
    let Some((_server, cluster)) = start(3, &primary, lines) else {
        return;
    };
    let has_succeeded = |cluster: &Cluster, place: usize| {
        cluster.nodes[place].metric(LAST_SUCCESS, &DOMAIN) > Some(0.0)
    };
    let first = cluster.leader();
    wait_until(SOON, "the leader has drilled", || {
        has_succeeded(&cluster, first)
    });
    assert!(primary.count() >= 3);
    let next = (first + 1) % 3;
    scene::let_lead(&cluster, next);
    wait_until(SOON, "the next leader has drilled", || {
        has_succeeded(&cluster, next)
    });
    assert!(primary.count() >= 6);
    let interval = cluster.nodes[next].metric("layover_drill_interval_seconds", &[]);
    assert_eq!(interval, Some(86_400.0));
    let third = (0..3).find(|place| ![first, next].contains(place));
    assert!(!has_succeeded(&cluster, third.unwrap()), "it never led");
}
