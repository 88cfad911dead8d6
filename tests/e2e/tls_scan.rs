//! What a scanner for TLS finds at the port for mail.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use harness::{ctl, or_skip};
use serde_json::Value;

use crate::scene;

/// The name of testssl.sh in Debian, and by itself.
const SCANNER: [&str; 2] = ["testssl", "testssl.sh"];

/// What it says of the machine that it runs on.
const OF_THE_SCANNER: [&str; 1] = ["engine_problem"];

/// What is looked at, at the same time, as most of it is waiting: protocols, kinds of ciphers and forward
/// secrecy; attacks on the protocol; attacks by old ciphers.
const CHECKS: [(&str, &[&str]); 3] = [
    ("offered.json", &["-p", "-s", "-f"]),
    ("protocol.json", &["-H", "-I", "-BB", "-R", "-C"]),
    (
        "ciphers.json",
        &["-O", "-Z", "-W", "-F", "-D", "-J", "-A", "-L", "-4"],
    ),
];

/// Severities of what is as it should be, or says nothing of good or bad.
const HARMLESS: [&str; 2] = ["OK", "INFO"];

/// One line of its report.
#[derive(Clone, Debug)]
struct Finding {
    id: String,
    severity: String,
    text: String,
}

fn scanner() -> Result<&'static str, String> {
    let runs = |name: &&str| ctl::tried(Command::new(name).arg("--version")).is_ok();
    let found = SCANNER.into_iter().find(runs);
    found.ok_or_else(|| "there is no testssl.sh; Debian's package is testssl.sh".to_owned())
}

/// Has these checks made.
fn scan(scanner: &str, server: SocketAddr, checks: &[&str], report: &Path) -> Vec<Finding> {
    let outcome = ctl::outcome(
        Command::new(scanner)
            .args(["--quiet", "--color", "0", "--warnings", "off"])
            .args(["--nodns", "none", "--openssl-timeout", "30"])
            .arg("--jsonfile")
            .arg(report)
            .args(["--starttls", "smtp"])
            .args(checks)
            .arg(server.to_string()),
    );
    let text = fs::read_to_string(report).unwrap_or_default();
    let found: Option<Vec<Value>> = serde_json::from_str(&text).ok();
    let found = found.unwrap_or_else(|| panic!("{}\n{}\n{text}", outcome.out, outcome.err));
    let field = |finding: &Value, name: &str| finding[name].as_str().unwrap_or("").to_owned();
    let findings = found.iter().map(|finding| Finding {
        id: field(finding, "id"),
        severity: field(finding, "severity"),
        text: field(finding, "finding"),
    });
    findings
        .filter(|finding| !OF_THE_SCANNER.contains(&finding.id.as_str()))
        .collect()
}

#[test]
fn a_scanner_finds_nothing_vulnerable_and_nothing_below_tls_1_2() {
    let Some(scanner) = or_skip(scanner()) else {
        return;
    };
    let (_primary, cluster) = scene::outage(1);
    let server = cluster.nodes[0].smtp();
    let scans: Vec<_> = CHECKS
        .iter()
        .map(|(name, checks)| {
            let report: PathBuf = cluster.directory().join(name);
            thread::spawn(move || scan(scanner, server, checks, &report))
        })
        .collect();
    let found: Vec<Finding> = scans
        .into_iter()
        .flat_map(|scan| scan.join().unwrap())
        .collect();
    let bad: Vec<&Finding> = found
        .iter()
        .filter(|finding| !HARMLESS.contains(&finding.severity.as_str()))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for (id, start) in [
        ("SSLv2", "not offered"),
        ("SSLv3", "not offered"),
        ("TLS1", "not offered"),
        ("TLS1_1", "not offered"),
        ("TLS1_2", "offered"),
        ("TLS1_3", "offered"),
        ("heartbleed", "not vulnerable"),
        ("CCS", "not vulnerable"),
        ("ROBOT", "not vulnerable"),
        ("secure_renego", "supported"),
        ("LUCKY13", "not vulnerable"),
    ] {
        let finding = found.iter().find(|finding| finding.id == id);
        let finding = finding.unwrap_or_else(|| panic!("{id} was not looked at: {found:#?}"));
        assert!(finding.text.starts_with(start), "{finding:?}");
    }
}
