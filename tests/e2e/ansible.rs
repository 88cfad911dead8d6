//! What is handed to those who set up nodes with Ansible. Ansible itself is not needed.

use std::{fs, path::Path};

use harness::{or_skip, python};
use serde_json::Value;

use crate::containers::{asked, certified, check};

const FOLDER: &str = "../deploy/ansible";

/// Prints, for each host of an inventory, what the template makes of it, as Ansible would.
const RENDER: &str = r#"
import json, sys, jinja2, yaml
folder = sys.argv[1]
environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), trim_blocks=True,
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
hosts = yaml.safe_load(open(folder + "/inventory.yml"))["layover"]["hosts"]
template = environment.get_template("layover.toml.j2")
print(json.dumps({name: template.render(own, inventory_hostname=name, ansible_managed="by Ansible",
    groups={"layover": list(hosts)}, hostvars=hosts) for name, own in hosts.items()}))
"#;

#[test]
fn nodes_accept_what_the_template_makes_of_the_inventory() {
    let both = python::having("jinja2, yaml");
    let Some(python) = or_skip(both) else {
        return;
    };
    let rendered = asked(python, RENDER, &[FOLDER]).unwrap();
    let rendered = rendered.as_object().unwrap();
    assert_eq!(rendered.len(), 3);
    let policy = fs::canonicalize("../deploy/policy.toml").unwrap();
    for (host, text) in rendered {
        let text = text.as_str().unwrap();
        assert!(text.contains(&format!("hostname = \"{host}\"")), "{text}");
        let inside = format!("{}.internal", host.split('.').next().unwrap());
        let certificates = certified(&[&inside]);
        let of = |ending: &str| certificates.path().join(format!("{inside}.{ending}"));
        check(
            text,
            &[
                ("/etc/layover/cluster", certificates.path()),
                ("/etc/layover/tls/fullchain.pem", &of("pem")),
                ("/etc/layover/tls/key.pem", &of("key")),
                ("/etc/layover/policy.toml", &policy),
            ],
        );
    }
}

#[test]
fn the_playbook_names_what_the_packages_install() {
    let text = fs::read_to_string(Path::new(FOLDER).join("playbook.yml")).unwrap();
    let unit = fs::read_to_string("../deploy/layoverd.service").unwrap();
    for (task, said) in [
        (
            "validate: layoverd check --config %s",
            "layoverd check --config",
        ),
        (
            "dest: /etc/layover/layover.toml",
            "/etc/layover/layover.toml",
        ),
        ("group: layover", "Group=layover"),
    ] {
        assert!(text.contains(task), "{task}");
        assert!(unit.contains(said), "{said}");
    }
    let Some(python) = or_skip(python::having("yaml")) else {
        return;
    };
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let plays: Value = asked(python, read, &[&format!("{FOLDER}/playbook.yml")]).unwrap();
    let tasks = plays[0]["tasks"].as_array().unwrap();
    let waits = tasks
        .last()
        .and_then(|task| task["ansible.builtin.uri"]["url"].as_str());
    assert_eq!(
        waits,
        Some("http://127.0.0.1:7402/readyz"),
        "before the next node"
    );
}
