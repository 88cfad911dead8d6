//! `layover doctor`: what it says of a cluster that is set up rightly, and of one that is not.

use std::{net::Ipv4Addr, time::Duration};

use harness::{Cluster, Ctl, NameServer, Primary, Settings, name_server::Data, wait_until};
use serde_json::Value;

/// The addresses that the DNS gives the nodes. Nothing connects to them.
const ADDRESSES: [Ipv4Addr; 3] = [
    Ipv4Addr::new(192, 0, 2, 1),
    Ipv4Addr::new(192, 0, 2, 2),
    Ipv4Addr::new(192, 0, 2, 3),
];

const NAMES: [&str; 3] = ["mx1.example.net", "mx2.example.net", "mx3.example.net"];

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

fn pair(check: &str, subject: &str) -> (String, String) {
    (check.to_owned(), subject.to_owned())
}

#[test]
fn the_doctor_finds_what_is_wrong_and_writes_the_lines_that_are_missing() {
    let primary = Primary::started();
    let server = NameServer::start();
    tell_all(&server);
    let settings = Settings::for_primary(primary.address()).asking(&server);
    let cluster = Cluster::start(3, &settings);
    let ctl = cluster.nodes[0].ctl();
    wait_until(ACQUAINTANCE, "the node knows the others' names", || {
        with_verdict(&examined(&ctl, &[]).1, "skipped").is_empty()
    });

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
        ("primary", "example.com"),
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
