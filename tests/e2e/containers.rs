//! What is handed to those who run nodes in containers: the Compose file, and the Helm chart.
//!
//! Neither Docker nor Kubernetes is needed: what they would mount is looked at, and what nodes would read is read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{binaries, ctl, or_skip, prometheus::promtool, python};
use serde_json::Value;
use tempfile::TempDir;

const COMPOSE: &str = "../deploy/compose";
const CHART: &str = "../deploy/helm/layover";

/// Prints a YAML file as JSON.
const YAML: &str = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";

/// Prints what Helm makes of a chart with values, as a list, if it finds nothing wrong with them.
const RENDER: &str = r#"
import json, sys, yaml, helm_python
values = yaml.safe_load(sys.argv[2])
with helm_python.Chart.load(sys.argv[1]) as chart:
    chart.validate_schema(values)
    rendered = chart.render(values, name="layover", namespace="mail")
found = helm_python.lint(sys.argv[1], values)["errors"]
if found:
    sys.exit(str(found))
texts = [text for name, text in rendered.items() if name.endswith(".yaml")]
print(json.dumps([document for text in texts for document in yaml.safe_load_all(text) if document]))
"#;

/// What a script prints, as JSON.
pub(crate) fn asked(python: &str, script: &str, arguments: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(python);
    command.args(["-c", script]).args(arguments);
    let outcome = ctl::outcome(command.env("PYTHONPATH", binaries::unpacked("helm")));
    if outcome.code != 0 {
        return Err(outcome.err);
    }
    Ok(serde_json::from_str(&outcome.out).unwrap())
}

fn yaml(path: &Path) -> Option<Value> {
    let python = or_skip(python::having("yaml"))?;
    Some(asked(python, YAML, &[path.to_str().unwrap()]).unwrap())
}

/// Directory with certificates of these hosts, made as the documentation says, twice.
pub(crate) fn certified(hosts: &[&str]) -> TempDir {
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
pub(crate) fn check(text: &str, paths: &[(&str, &Path)]) {
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

/// A chart with the values that its README shows, and what is rendered of it.
fn rendered(change: impl Fn(&str) -> String) -> Option<Result<Vec<Value>, String>> {
    let chart = fs::canonicalize(CHART).unwrap();
    if !binaries::unpacked("helm").exists() {
        eprintln!("skipped: no Helm; 'make chart' gets it");
        return None;
    }
    let python = or_skip(python::having("yaml"))?;
    let readme = fs::read_to_string(chart.join("README.md")).unwrap();
    let (_, values) = readme.split_once("```yaml\n").unwrap();
    let (values, _) = values.split_once("```").unwrap();
    let made = asked(python, RENDER, &[chart.to_str().unwrap(), &change(values)]);
    Some(made.map(|made| made.as_array().unwrap().clone()))
}

fn of_kind<'v>(documents: &'v [Value], kind: &str) -> Vec<&'v Value> {
    let such = documents.iter().filter(|document| document["kind"] == kind);
    such.collect()
}

#[test]
fn nodes_accept_what_the_chart_makes_of_the_values_in_its_readme() {
    let Some(documents) = rendered(str::to_owned) else {
        return;
    };
    let documents = documents.unwrap();
    let files = &of_kind(&documents, "ConfigMap")[0]["data"];
    let set = of_kind(&documents, "StatefulSet")[0];
    let spec = &set["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    let mounts = container["volumeMounts"].as_array().unwrap().iter();
    let mounts: Vec<String> = mounts
        .map(|mount| mount["mountPath"].as_str().unwrap().to_owned())
        .collect();
    let host = |index: usize| format!("layover-{index}.layover-peers.mail.svc.cluster.local");
    let hosts = [0, 1, 2].map(host);
    let certificates = certified(&hosts.each_ref().map(String::as_str));
    for (from, to) in [(".pem", "tls.crt"), (".key", "tls.key")] {
        let from = certificates.path().join(format!("{}{from}", hosts[0]));
        fs::copy(from, certificates.path().join(to)).unwrap();
    }
    let policy: PathBuf = certificates.path().join("policy.toml");
    fs::write(&policy, files["policy.toml"].as_str().unwrap()).unwrap();
    assert_eq!(set["spec"]["replicas"], 3);
    for index in 0..3 {
        let text = files[format!("layover-{index}.toml")].as_str().unwrap();
        covered(text, &mounts);
        check(
            text,
            &[
                ("/etc/layover/policy.toml", &policy),
                ("/etc/layover-peers", certificates.path()),
                ("/etc/layover-smtp", certificates.path()),
            ],
        );
        for port in container["ports"].as_array().unwrap() {
            let port = format!("0.0.0.0:{}\"", port["containerPort"]);
            assert!(text.contains(&port), "{port}: {text}");
        }
    }

    // None is ready without a majority, and none is restarted for that.
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    let budget = of_kind(&documents, "PodDisruptionBudget")[0];
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    let services = of_kind(&documents, "Service");
    let of_pod = |index: usize| {
        let pod = format!("layover-{index}");
        let mut services = services.iter();
        services.find(|service| {
            service["spec"]["selector"]["statefulset.kubernetes.io/pod-name"] == pod
        })
    };
    for index in 0..3 {
        let service = of_pod(index).unwrap();
        assert_eq!(service["spec"]["externalTrafficPolicy"], "Local");
        assert_eq!(service["spec"]["ports"][0]["port"], 25);
        assert_eq!(service["spec"]["ports"][0]["targetPort"], "smtp");
    }
    let among = services
        .iter()
        .find(|service| service["metadata"]["name"] == set["spec"]["serviceName"]);
    assert_eq!(among.unwrap()["spec"]["publishNotReadyAddresses"], true);
}

#[test]
fn a_node_that_came_later_joins_and_a_wrong_number_of_founders_is_refused() {
    let fourth = "nodes:\n  - hostname: mx4.example.net\n";
    let Some(documents) = rendered(|values| values.replace("nodes:\n", fourth)) else {
        return;
    };
    let documents = documents.unwrap();
    let files = &of_kind(&documents, "ConfigMap")[0]["data"];
    for (index, founds) in [(0, true), (2, true), (3, false)] {
        let text = files[format!("layover-{index}.toml")].as_str().unwrap();
        assert_eq!(text.contains("members = ["), founds, "{text}");
        let joins = text.contains("join = \"layover-0.layover-peers.mail.svc.cluster.local:7400\"");
        assert_eq!(joins, !founds, "{text}");
    }
    let refused = rendered(|values| format!("founders: 4\n{values}")).unwrap();
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("founders is 4, and there are 3 nodes"),
        "{refused}"
    );
    let refused = rendered(|values| values.replace("policy:", "polity:")).unwrap();
    assert!(refused.unwrap_err().contains("polity"));
}
