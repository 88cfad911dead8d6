//! `layover doctor`: what it says of a cluster that is set up rightly, and of one that is not.
//!
//! It connects to port 25 of the addresses that the DNS tells, so that those are the test's own: only root may.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use harness::{
    Cluster, Ctl, NameServer, OwnNetwork, Primary, Settings, SignedZone, name_server::Data,
    or_skip, wait_until,
};
use serde_json::Value;

/// The addresses that the DNS gives the nodes.
const ADDRESSES: [Ipv4Addr; 3] = [
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv4Addr::new(192, 0, 2, 2),
    Ipv4Addr::new(192, 0, 2, 3),
];

const NAMES: [&str; 3] = ["mx1.example.net", "mx2.example.net", "mx3.example.net"];

const PRIMARY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

/// Nodes learn each other's names within seconds.
const ACQUAINTANCE: Duration = Duration::from_secs(20);

/// A zone in which everything is right.
fn tell_all(server: &NameServer) {
    let exchanges: Vec<Data> = NAMES.iter().map(|name| Data::Mx(20, name)).collect();
    server.tell("example.com", &exchanges);
    for (name, address) in NAMES.iter().zip(ADDRESSES) {
        server.tell(name, &[Data::A(address)]);
        server.tell(&reverse(address), &[Data::Ptr(name)]);
    }
}

/// A network in which the nodes, and their primary, have public addresses, and that primary.
fn enter() -> Option<(OwnNetwork, Primary)> {
    let addresses: Vec<Ipv4Addr> = ADDRESSES.into_iter().chain([PRIMARY]).collect();
    let network = or_skip(OwnNetwork::enter(&addresses))?;
    let mut primary = Primary::at(SocketAddr::from((PRIMARY, 25)));
    primary.up();
    Some((network, primary))
}

/// Three nodes, each at port 25 of its address, of which the first knows the others' names.
fn start(settings: &Settings) -> Cluster {
    let at = |address| format!("listen = [\"{address}:25\"]");
    let each = ADDRESSES.map(|address| settings.clone().with("smtp", &at(address)));
    let mut cluster = Cluster::prepare_each(&each);
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    let ctl = cluster.nodes[0].ctl();
    wait_until(ACQUAINTANCE, "the node knows the others' names", || {
        let (_, document) = examined(&ctl, &[]);
        let skipped = with_verdict(&document, "skipped");
        skipped.iter().all(|(check, _)| check != "helo")
    });
    cluster
}

/// All of it, with a zone in which everything is right, and further lines of the domain's policy.
pub(crate) fn scene(lines: &str) -> Option<(OwnNetwork, Primary, NameServer, Cluster)> {
    let (network, primary) = enter()?;
    let server = NameServer::start();
    tell_all(&server);
    let mut settings = Settings::for_primary(primary.address()).asking(&server);
    settings.policy.push_str(lines);
    let cluster = start(&settings);
    Some((network, primary, server, cluster))
}

fn reverse(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa")
}

/// What `layover --json doctor` prints, with its exit code.
fn examined(ctl: &Ctl, arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["--json", "doctor"];
    all.extend(arguments);
    let outcome = ctl.run(&all);
    let document = serde_json::from_str(&outcome.out)
        .unwrap_or_else(|error| panic!("{error}: {}{}", outcome.out, outcome.err));
    (outcome.code, document)
}

/// Check and subject of everything with a verdict.
fn with_verdict(document: &Value, verdict: &str) -> Vec<(String, String)> {
    let findings = document["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["verdict"] == verdict)
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            (text("check"), text("subject"))
        })
        .collect()
}

/// What is said of one check of one subject, if it has this verdict.
fn text_of(document: &Value, verdict: &str, check: &str, subject: &str) -> String {
    let mut findings = document["findings"].as_array().unwrap().iter();
    let found = findings.find(|finding| {
        finding["verdict"] == verdict && finding["check"] == check && finding["subject"] == subject
    });
    found.map_or_else(String::new, |finding| {
        finding["text"].as_str().unwrap().to_owned()
    })
}

fn pair(check: &str, subject: &str) -> (String, String) {
    (check.to_owned(), subject.to_owned())
}

#[test]
fn the_doctor_finds_what_is_wrong_and_writes_the_lines_that_are_missing() {
    let Some((_network, _primary, server, cluster)) = scene("") else {
        return;
    };
    let ctl = cluster.nodes[0].ctl();

    let (code, sound) = examined(&ctl, &[]);
    assert_eq!(code, 0, "{sound:#}");
    assert_eq!(sound["node_id"], 1);
    assert_eq!(sound["zone"].as_array().unwrap().len(), 0);
    let fine = with_verdict(&sound, "ok");
    for (check, subject) in [
        ("dns", "node 1"),
        ("mx", "example.com"),
        ("helo", "node 2"),
        ("address", "mx2.example.net"),
        ("ptr", "mx3.example.net"),
        ("certificate", "node 1"),
        ("peer", "node 3"),
        ("clock", "node 3"),
        ("disk", "node 1"),
        ("inbound", "mx1.example.net"),
        ("inbound", "mx3.example.net"),
        ("primary", "example.com"),
        ("outbound", "node 1"),
    ] {
        assert!(fine.contains(&pair(check, subject)), "{check}: {sound:#}");
    }
    let told = ctl.run(&["doctor"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.starts_with("As node 1 sees it:\n"), "{}", told.out);
    assert!(told.out.contains("(--all shows them)"), "{}", told.out);

    let listed = ctl.run(&["doctor", "--allow-list", "postfix"]);
    assert_eq!(listed.code, 0, "{}{}", listed.out, listed.err);
    for address in ADDRESSES {
        let entry = format!("\n{address} permit\n");
        assert!(listed.out.contains(&entry), "{}", listed.out);
    }

    // Node 3 is not listed, node 2 is further away, and the addresses of both lead elsewhere.
    server.tell(
        "example.com",
        &[Data::Mx(10, NAMES[0]), Data::Mx(30, NAMES[1])],
    );
    server.tell(&reverse(ADDRESSES[1]), &[Data::Ptr("host2.example.org")]);
    server.forget(&reverse(ADDRESSES[2]));
    let (code, wrong) = examined(&ctl, &["example.com"]);
    assert_eq!(code, 1, "{wrong:#}");
    assert_eq!(
        with_verdict(&wrong, "problem"),
        [
            pair("mx", "example.com"),
            pair("mx", "example.com"),
            pair("ptr", "mx2.example.net"),
            pair("ptr", "mx3.example.net"),
        ],
        "{wrong:#}"
    );
    let told = ctl.run(&["doctor"]);
    assert_eq!(told.code, 1);
    assert_eq!(told.err, "layover: 4 problems were found\n");
    for line in [
        "\nexample.com. IN MX 30 mx3.example.net.\n",
        "\nexample.com. IN MX 30 mx1.example.net.\n",
        "\n2.2.0.192.in-addr.arpa. IN PTR mx2.example.net.\n",
        "\n3.2.0.192.in-addr.arpa. IN PTR mx3.example.net.\n",
    ] {
        assert!(told.out.contains(line), "{line}: {}", told.out);
    }

    let unknown = ctl.run(&["doctor", "example.org"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("example.org"), "{}", unknown.err);
}

#[test]
fn the_doctor_finds_out_who_answers_at_port_25() {
    let Some((_network, primary, server, mut cluster)) = scene("") else {
        return;
    };
    let ctl = cluster.nodes[0].ctl();

    // Its own name leads to where this node has no way, another one to a third node.
    server.tell(NAMES[0], &[Data::A(Ipv4Addr::new(198, 51, 100, 1))]);
    server.tell(NAMES[1], &[Data::A(ADDRESSES[2])]);
    drop(primary);
    let (code, document) = examined(&ctl, &[]);
    assert_eq!(code, 1, "{document:#}");
    let other = text_of(&document, "problem", "inbound", NAMES[1]);
    assert!(
        other.contains("192.0.2.3:25 does not lead to it: \"mx3.example.net\" greets there"),
        "{document:#}"
    );
    for (subject, check) in [(NAMES[0], "inbound"), ("node 1", "outbound")] {
        let skipped = text_of(&document, "skipped", check, subject);
        assert!(
            skipped.contains("can not be judged from here"),
            "{check}: {document:#}"
        );
    }
    let fine = pair("inbound", NAMES[2]);
    assert!(
        with_verdict(&document, "ok").contains(&fine),
        "{document:#}"
    );

    cluster.nodes[2].kill();
    let (_, document) = examined(&ctl, &[]);
    let gone = text_of(&document, "problem", "inbound", NAMES[2]);
    assert!(
        gone.starts_with("no session at 192.0.2.3:25: "),
        "{document:#}"
    );
}

/// Node 3 has no address, the domain does not name node 2, an address has no name, and the certificate that node 1
/// should have is another.
#[test]
fn the_lines_that_a_signed_zone_lacks_make_it_whole() {
    let Some((_network, primary)) = enter() else {
        return;
    };
    let mut zone = vec![
        "example.com. IN MX 10 mail.example.com.".to_owned(),
        format!("mail.example.com. IN A {PRIMARY}"),
        format!("_25._tcp.{}. IN TLSA 3 1 1 {}", NAMES[0], "00".repeat(32)),
    ];
    for (place, (name, address)) in NAMES.iter().zip(ADDRESSES).enumerate() {
        if place != 1 {
            zone.push(format!("example.com. IN MX 20 {name}."));
        }
        if place != 2 {
            zone.push(format!("{name}. IN A {address}"));
        }
        if place != 0 {
            zone.push(format!("{}. IN PTR {name}.", reverse(address)));
        }
    }
    let Some(mut server) = or_skip(SignedZone::serve(&zone)) else {
        return;
    };
    let settings = Settings::for_primary(primary.address()).trusting(&server);
    let cluster = start(&settings);
    let ctl = cluster.nodes[0].ctl();

    let (code, wrong) = examined(&ctl, &[]);
    assert_eq!(code, 1, "{wrong:#}");
    assert_eq!(
        with_verdict(&wrong, "problem"),
        [
            pair("mx", "example.com"),
            pair("ptr", NAMES[0]),
            pair("tlsa", NAMES[0]),
            pair("address", NAMES[2]),
        ],
        "{wrong:#}"
    );
    let lines = wrong["zone"].as_array().unwrap().iter();
    let lines: Vec<String> = lines
        .map(|line| line.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lines.len(), 4, "{wrong:#}");
    for line in [
        "example.com. IN MX 20 mx2.example.net.",
        "1.2.0.192.in-addr.arpa. IN PTR mx1.example.net.",
        "mx3.example.net. IN A 192.0.2.3",
    ] {
        assert!(lines.iter().any(|own| own == line), "{line}: {wrong:#}");
    }

    zone.extend(lines);
    server.publish(&zone);
    let (code, mended) = examined(&ctl, &[]);
    assert_eq!(code, 0, "{mended:#}");
    assert_eq!(mended["zone"].as_array().unwrap().len(), 0, "{mended:#}");
    assert_eq!(with_verdict(&mended, "skipped"), [], "{mended:#}");
    let fine = with_verdict(&mended, "ok");
    for (check, subject) in [
        ("mx", "example.com"),
        ("ptr", NAMES[0]),
        ("tlsa", NAMES[0]),
        ("address", NAMES[2]),
        ("inbound", NAMES[2]),
    ] {
        assert!(fine.contains(&pair(check, subject)), "{check}: {mended:#}");
    }
}

#[test]
fn the_doctor_names_what_does_not_answer() {
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address());
    let mut cluster = Cluster::start(3, &settings);
    cluster.nodes[2].kill();
    let (code, document) = examined(&cluster.nodes[0].ctl(), &[]);
    assert_eq!(code, 1);
    let problems = with_verdict(&document, "problem");
    // The name server of these tests is nobody, unless they say otherwise.
    for (check, subject) in [
        ("dns", "node 1"),
        ("peer", "node 3"),
        ("primary", "example.com"),
    ] {
        assert!(
            problems.contains(&pair(check, subject)),
            "{check}: {document:#}"
        );
    }
    assert!(!document.to_string().contains("\"mx\""), "{document:#}");
}
