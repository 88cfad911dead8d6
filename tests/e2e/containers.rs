//! What is handed to those who run nodes in containers: the Compose file.
//!
//! Docker is not needed: what it would mount is looked at, and what nodes would read is read.

use std::{fs, path::Path, process::Command};

use harness::{binaries, ctl, or_skip, prometheus::promtool, python};
use serde_json::Value;
use tempfile::TempDir;

const COMPOSE: &str = "../deploy/compose";

/// Prints a YAML file as JSON.
const YAML: &str = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";

fn yaml(path: &Path) -> Option<Value> {
    let python = or_skip(python::having("yaml"))?;
    let outcome = ctl::outcome(Command::new(python).args(["-c", YAML]).arg(path));
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    Some(serde_json::from_str(&outcome.out).unwrap())
}

/// Directory with certificates of these hosts, made as the documentation says, twice.
fn certified(hosts: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut command = Command::new(binaries::layover());
        command.args(["cluster", "certs"]).arg(directory.path());
        let made = ctl::outcome(command.args(hosts));
        assert_eq!(made.code, 0, "{}", made.err);
    }
    directory
}

/// Has a node check its file, in which the paths of a container stand for those of this machine.
#[track_caller]
fn check(text: &str, paths: &[(&str, &Path)]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("layover.toml");
    let mut text = text.to_owned();
    for (inside, outside) in paths {
        assert!(text.contains(inside), "{inside}: {text}");
        text = text.replace(inside, outside.to_str().unwrap());
    }
    fs::write(&file, &text).unwrap();
    let checked = ctl::layoverd(&["check".as_ref(), "--config".as_ref(), file.as_ref()]);
    assert_eq!(checked.code, 0, "{}{}\n{text}", checked.out, checked.err);
}

/// The file that a node reads is among its mounts.
#[track_caller]
fn covered(text: &str, mounts: &[String]) {
    let quoted = text.split('"').skip(1).step_by(2);
    for path in quoted.filter(|word| word.starts_with('/')) {
        let is_mounted = |mount: &String| Path::new(path).starts_with(mount);
        assert!(mounts.iter().any(is_mounted), "{path}: {mounts:?}");
    }
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn what_the_compose_file_mounts_is_there_and_nodes_accept_it() {
    let folder = fs::canonicalize(COMPOSE).unwrap();
    let Some(compose) = yaml(&folder.join("compose.yml")) else {
        return;
    };
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for mount in texts(&service["volumes"]) {
            let source = mount.split(':').next().unwrap();
            let is_there = if source.starts_with('.') {
                folder.join(source).is_file()
            } else {
                compose["volumes"].get(source).is_some()
            };
            assert!(is_there, "{name}: {mount}");
        }
    }
    let makes = texts(&services["certs"]["entrypoint"]);
    assert_eq!(makes[..3], ["layover", "cluster", "certs"]);
    let hosts = texts(&services["certs"]["command"]);
    assert_eq!(hosts.len(), 3);
    let certificates = certified(&hosts);
    let mut published = Vec::new();
    for host in &hosts {
        let node = &services[*host];
        let mounts: Vec<String> = texts(&node["volumes"])
            .iter()
            .map(|mount| mount.split(':').nth(1).unwrap().to_owned())
            .collect();
        assert!(mounts.contains(&"/etc/layover/layover.toml".to_owned()));
        let text = fs::read_to_string(folder.join(format!("{host}.toml"))).unwrap();
        assert!(
            text.contains(&format!("advertise = \"{host}:7400\"")),
            "{text}"
        );
        covered(&text, &mounts);
        let policy = folder.join("policy.toml");
        check(
            &text,
            &[
                ("/etc/layover/cluster", certificates.path()),
                ("/etc/layover/policy.toml", &policy),
            ],
        );
        for port in texts(&node["ports"]) {
            let inside = port.rsplit(':').next().unwrap();
            assert!(["25", "7402"].contains(&inside), "{host}: {port}");
            published.push(port.to_owned());
        }
    }
    published.sort();
    published.dedup();
    assert_eq!(published.len(), 6, "{published:?}");
}

#[test]
fn what_the_compose_file_starts_finds_each_other() {
    let folder = fs::canonicalize(COMPOSE).unwrap();
    let Some(compose) = yaml(&folder.join("compose.yml")) else {
        return;
    };
    let services = compose["services"].as_object().unwrap();
    let hosts = texts(&services["certs"]["command"]);
    let policy = fs::read_to_string(folder.join("policy.toml")).unwrap();
    assert!(policy.contains("\"primary:1025\"") && services.contains_key("primary"));
    let subnet = compose["networks"]["default"]["ipam"]["config"][0]["subnet"].as_str();
    for host in &hosts {
        let text = fs::read_to_string(folder.join(format!("{host}.toml"))).unwrap();
        assert_eq!(text.matches(subnet.unwrap()).count(), 2, "{text}");
    }
    let scraping = yaml(&folder.join("prometheus.yml")).unwrap();
    let targets = texts(&scraping["scrape_configs"][0]["static_configs"][0]["targets"]);
    let expected: Vec<String> = hosts.iter().map(|host| format!("{host}:7402")).collect();
    assert_eq!(targets, expected);
    let sources = yaml(&folder.join("grafana/datasources.yml")).unwrap();
    assert_eq!(sources["datasources"][0]["url"], "http://prometheus:9090");
    assert!(services.contains_key("prometheus"));
    let boards = yaml(&folder.join("grafana/dashboards.yml")).unwrap();
    let boards = boards["providers"][0]["options"]["path"].as_str().unwrap();
    let mounts = texts(&services["grafana"]["volumes"]);
    assert!(
        mounts.iter().any(|mount| mount.contains(boards)),
        "{mounts:?}"
    );
    if let Some(promtool) = or_skip(promtool()) {
        let mut command = Command::new(promtool);
        command.args(["check", "config", "--syntax-only"]);
        let checked = ctl::outcome(command.arg(folder.join("prometheus.yml")));
        assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    }
}
