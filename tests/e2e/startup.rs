//! What a node refuses to start with: one line, exit code 1.

use std::{ffi::OsStr, fs, net::TcpListener, path::Path};

use harness::{Cluster, Primary, Settings, ctl, logs};

use crate::scene;

fn prepared(nodes: u64) -> Cluster {
    let primary = Primary::down_at_first();
    Cluster::prepare(
        nodes,
        &Settings::for_primary(primary.address()).allowing(""),
    )
}

fn check(config: &Path) -> ctl::Outcome {
    ctl::layoverd(&[
        OsStr::new("check"),
        OsStr::new("--config"),
        config.as_os_str(),
    ])
}

/// The last line that a node wrote before it ended with exit code 1.
#[track_caller]
fn refusal(cluster: &mut Cluster, place: usize) -> String {
    let node = &mut cluster.nodes[place];
    node.spawn();
    let (status, log) = node.wait_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    logs::last_words(&log).to_owned()
}

#[test]
fn with_a_log_in_json_it_is_said_there_why_a_node_does_not_start() {
    let cluster = prepared(1);
    let file = cluster.nodes[0].config();
    let sound = fs::read_to_string(&file).unwrap();
    let port = cluster.nodes[0].smtp().to_string();
    let taken = TcpListener::bind(&port).unwrap();
    for (text, words) in [
        (sound.replace("[http]", "[htp]"), "htp"),
        (sound, port.as_str()),
    ] {
        fs::write(&file, text).unwrap();
        let arguments = ["--log-format", "json", "--config"].map(OsStr::new);
        let outcome = ctl::layoverd(&[&arguments[..], &[file.as_os_str()]].concat());
        assert_eq!(outcome.code, 1, "{}", outcome.err);
        let last = outcome.err.lines().last().unwrap_or_default();
        let last: serde_json::Value = serde_json::from_str(last).unwrap();
        assert_eq!(last["level"], "ERROR", "{last}");
        let message = last["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{last}");
    }
    drop(taken);
}

#[test]
fn a_sound_configuration_passes_the_check() {
    let cluster = prepared(3);
    let outcome = check(&cluster.nodes[0].config());
    assert_eq!(outcome.code, 0, "{}", outcome.err);
}

#[test]
fn the_configuration_in_the_readme_passes_the_check() {
    let cluster = prepared(1);
    let readme = fs::read_to_string("../README.md").unwrap();
    let mut blocks = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let (node, policy) = (blocks.next().unwrap(), blocks.next().unwrap());
    let home = cluster.nodes[0].config().with_file_name("");
    let peer = cluster.authority.sign("mx1.internal");
    let mut text = node.to_owned();
    for (named, file) in [
        ("/etc/layover/tls/fullchain.pem", home.join("smtp.pem")),
        ("/etc/layover/tls/key.pem", home.join("smtp.key")),
        ("/etc/layover/cluster/ca.pem", cluster.authority.ca()),
        ("/etc/layover/cluster/mx1.internal.pem", peer.cert),
        ("/etc/layover/cluster/mx1.internal.key", peer.key),
        ("/etc/layover/policy.toml", home.join("policy.toml")),
    ] {
        assert!(text.contains(named), "{named} is not in the README");
        text = text.replace(named, &file.display().to_string());
    }
    fs::write(home.join("policy.toml"), policy).unwrap();
    fs::write(home.join("layover.toml"), text).unwrap();
    let outcome = check(&cluster.nodes[0].config());
    assert_eq!(outcome.code, 0, "{}", outcome.err);
}

#[test]
fn a_mistake_is_one_line_with_file_line_and_column() {
    // What to look for, what to write instead, and what the complaint must name.
    let table = [
        ("[http]", "[htp]", "htp"),
        (
            "commit_timeout = \"10s\"",
            "commit_timeout = \"10 apples\"",
            "10 apples",
        ),
        ("commit_timeout", "commit_time", "commit_time"),
        ("id = 1\n", "id = 0\n", "id"),
        ("id = 1\n", "id = \"one\"\n", "one"),
        (
            "max_connections_per_ip = 1000",
            "max_connections_per_ip = -1",
            "-1",
        ),
        (
            "hostname = \"mx1.example.net\"",
            "hostname = \"mx 1\"",
            "mx 1",
        ),
        ("peer.pem", "none.pem", "none.pem"),
        ("peer.key", "smtp.key", "smtp.key"),
        ("members = [", "members = [[", ""),
        ("initial = ", "# initial = ", "[policy] initial is missing"),
        ("/spool\"", "/layover.toml\"", "Not a directory"),
    ];
    for (from, to, named) in table {
        let cluster = prepared(1);
        let file = cluster.nodes[0].config();
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains(from),
            "{from} is not in the harness's node file"
        );
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let outcome = check(&file);
        assert_eq!(outcome.code, 1, "{to}: {}", outcome.err);
        assert_eq!(
            outcome.err.trim_end().lines().count(),
            1,
            "{to}: {}",
            outcome.err
        );
        let place = outcome.err.strip_prefix(&format!("{}:", file.display()));
        let numbers: Vec<&str> = place.unwrap_or_default().splitn(3, ':').collect();
        let is_number = |text: Option<&&str>| text.is_some_and(|text| text.parse::<u32>().is_ok());
        assert!(
            is_number(numbers.first()) && is_number(numbers.get(1)),
            "{}",
            outcome.err
        );
        assert!(outcome.err.contains(named), "{to}: {}", outcome.err);
    }
}

#[test]
fn a_mistake_in_the_policy_names_the_policy_file() {
    let cluster = prepared(1);
    let policy = cluster.nodes[0].config().with_file_name("policy.toml");
    fs::write(&policy, "[[domain]]\nname = \"example.com\"\nprimry = []\n").unwrap();
    let outcome = check(&cluster.nodes[0].config());
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.err.starts_with(&format!("{}:3:", policy.display())),
        "{}",
        outcome.err
    );
}

#[test]
fn a_port_in_use_is_named() {
    let mut cluster = prepared(1);
    let taken = TcpListener::bind(cluster.nodes[0].smtp()).unwrap();
    let said = refusal(&mut cluster, 0);
    assert!(
        said.contains(&cluster.nodes[0].smtp().to_string()),
        "{said}"
    );
    drop(taken);
}

#[test]
fn the_data_of_another_node_is_refused() {
    let mut cluster = prepared(2);
    cluster.nodes[0].spawn();
    cluster.nodes[1].spawn();
    cluster.nodes[0].wait_ready();
    cluster.nodes[1].wait_ready();
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
    let (first, second) = (cluster.nodes[0].data_dir(), cluster.nodes[1].data_dir());
    let aside = first.with_extension("aside");
    fs::rename(&first, &aside).unwrap();
    fs::rename(&second, &first).unwrap();
    fs::rename(&aside, &second).unwrap();
    let said = refusal(&mut cluster, 0);
    assert!(
        said.contains("node") && said.contains(&first.display().to_string()),
        "{said}"
    );
}

#[test]
fn two_nodes_on_one_data_directory_are_refused() {
    let (_primary, cluster) = scene::outage(1);
    let primary = Primary::down_at_first();
    let settings = Settings::for_primary(primary.address())
        .with(
            "node",
            &format!("data_dir = {:?}", cluster.nodes[0].data_dir()),
        )
        .allowing("");
    let mut other = Cluster::prepare(1, &settings);
    let said = refusal(&mut other, 0);
    assert!(
        said.contains(&cluster.nodes[0].data_dir().display().to_string()),
        "{said}"
    );
}
