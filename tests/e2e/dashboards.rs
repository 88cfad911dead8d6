//! What is handed to those who watch: alert rules, a dashboard, and a Prometheus that goes by them.

use std::{
    collections::BTreeSet,
    fs,
    io::{Seek as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use harness::{
    Cluster, Primary, Prometheus, Settings, ctl, http, or_skip, prometheus::promtool, wait_until,
};
use serde_json::Value;

use crate::scene;

const RULES: &str = "prometheus/alerts.yml";
const RULES_TEST: &str = "prometheus/alerts_test.yml";
const SCRAPING: &str = "prometheus/prometheus.yml";
const DASHBOARD: &str = "grafana/layover.json";

fn path(name: &str) -> PathBuf {
    Path::new("../deploy").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// Nodes whose primary is down and whose mail has not long to live.
fn start() -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let mut settings = Settings::for_primary(primary.address());
    let lines = "canary = \"drills@example.com\"\n[queue]\nmax_age = \"2d\"\n";
    settings.policy.push_str(lines);
    let cluster = Cluster::start(3, &settings);
    (primary, cluster)
}

/// The names of all samples that the nodes give.
fn exported(cluster: &Cluster) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for node in &cluster.nodes {
        let (_, page) = http::get(node.ports.http.address(), "/metrics").unwrap();
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        let name = |line: &str| line.split(['{', ' ']).next().map(str::to_owned);
        names.extend(samples.filter_map(name));
    }
    names
}

/// The names of our metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(|letter| !is_part(letter))
        .filter(|word| word.starts_with("layover_"))
        .map(str::to_owned)
        .collect()
}

/// Every panel, also those in rows that are folded.
fn panels(dashboard: &Value) -> Vec<Value> {
    let top = dashboard["panels"].as_array().unwrap();
    let folded = top.iter().filter_map(|row| row["panels"].as_array());
    top.iter().chain(folded.flatten()).cloned().collect()
}

/// The expressions of a panel, its variables set.
fn expressions(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().cloned().unwrap_or_default();
    let set = |target: &Value| {
        let expression = target["expr"].as_str().unwrap();
        let expression = expression.replace("$__rate_interval", "1m");
        expression
            .replace("$job", "layover")
            .replace("$domain", ".*")
    };
    targets.iter().map(set).collect()
}

#[test]
fn nodes_export_what_the_rules_and_the_dashboard_name() {
    let (mut primary, cluster) = start();
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let exprs = panels(&dashboard)
        .iter()
        .flat_map(expressions)
        .collect::<Vec<_>>();
    let wanted: BTreeSet<String> = &named(&read(RULES)) | &named(&exprs.join(" "));
    assert!(wanted.len() > 20, "{wanted:?}");
    // What only an outage shows.
    let mut seen = BTreeSet::new();
    wait_until(scene::CATCH_UP, "the nodes tell of the outage", || {
        seen.append(&mut exported(&cluster));
        [
            "layover_primary_reached",
            "layover_queue_first_expiry_seconds",
        ]
        .iter()
        .all(|name| seen.contains(*name))
    });
    scene::drain(&cluster, &mut primary, &letters);
    seen.append(&mut exported(&cluster));
    let unknown: Vec<&String> = wanted.difference(&seen).collect();
    assert!(
        unknown.is_empty(),
        "no node exports {unknown:?} of {seen:?}"
    );
}

#[test]
fn prometheus_own_judge_finds_nothing_wrong_with_what_nodes_export() {
    let Some(promtool) = or_skip(promtool()) else {
        return;
    };
    let (_primary, cluster) = start();
    scene::send_all(&cluster, &scene::letters(0..3));
    let (_, text) = http::get(cluster.nodes[0].ports.http.address(), "/metrics").unwrap();
    let mut page = tempfile::tempfile().unwrap();
    page.write_all(text.as_bytes()).unwrap();
    page.rewind().unwrap();
    let judged = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(page)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success(), "{words}\n{text}");
}

#[test]
fn the_rules_do_what_their_own_tests_say() {
    let Some(promtool) = or_skip(promtool()) else {
        return;
    };
    for (what, file) in [
        ("check config", SCRAPING),
        ("check rules", RULES),
        ("test rules", RULES_TEST),
    ] {
        let judged = ctl::outcome(
            Command::new(&promtool)
                .args(what.split(' '))
                .arg(path(file)),
        );
        assert_eq!(judged.code, 0, "{}{}", judged.out, judged.err);
    }
}

#[test]
fn every_alert_is_tested_and_says_where_to_read_on() {
    let (rules, tests) = (read(RULES), read(RULES_TEST));
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 12, "{alerts:?}");
    for alert in alerts {
        let is_raised = format!("alertname=\"{alert}\"");
        assert!(tests.contains(&is_raised), "no test raises {alert}");
    }
    let text = fs::read_to_string("../docs/operations.md").unwrap();
    let headings: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    let links: Vec<&str> = rules
        .split("docs/operations.md#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(links.len(), rules.matches("- alert: ").count());
    for link in links {
        assert!(headings.contains(link), "no section {link} of {headings:?}");
    }
}

/// By what a heading of Markdown is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_panel_says_what_it_shows() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = panels(&dashboard);
    let ids: BTreeSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert!(panel["description"].is_string(), "{title}");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(!expressions(panel).is_empty(), "{title}");
    }
}

#[test]
fn prometheus_scrapes_nodes_and_understands_every_rule_and_panel() {
    let (_primary, cluster) = start();
    scene::send_all(&cluster, &scene::letters(0..3));
    let nodes = cluster.nodes.iter();
    let nodes: Vec<_> = nodes.map(|node| node.ports.http.address()).collect();
    let Some(prometheus) = or_skip(Prometheus::start(&nodes, &path(RULES))) else {
        return;
    };
    wait_until(scene::CATCH_UP, "all nodes are scraped", || {
        let samples = prometheus.query("layover_build_info");
        samples.is_ok_and(|samples| samples.len() == nodes.len())
    });
    let mail = prometheus.query("sum(layover_smtp_messages_total{result=\"accepted\"})");
    assert_eq!(mail.unwrap()[0]["value"][1], "3");

    wait_until(scene::CATCH_UP, "all rules are evaluated", || {
        let rules = prometheus.rules();
        rules.iter().all(|rule| rule["health"] != "unknown")
    });
    for rule in prometheus.rules() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    // The outage is seen; that it is none of a node is, too.
    wait_until(scene::CATCH_UP, "the outage is seen", || {
        pending(&prometheus).contains("LayoverPrimaryDown")
    });
    assert!(!pending(&prometheus).contains("LayoverNoQuorum"));

    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    for expression in panels(&dashboard).iter().flat_map(expressions) {
        let answer = prometheus.query(&expression);
        assert!(answer.is_ok(), "{expression}: {answer:?}");
    }
}

/// The alerts whose condition holds, for however short a time yet.
fn pending(prometheus: &Prometheus) -> BTreeSet<String> {
    let rules = prometheus.rules();
    let pending = rules.iter().filter(|rule| rule["state"] != "inactive");
    let names = pending.filter_map(|rule| rule["name"].as_str());
    names.map(str::to_owned).collect()
}
