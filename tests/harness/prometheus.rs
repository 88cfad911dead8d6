//! A private Prometheus, and `promtool`, which judges its rules.
//!
//! `tests/setup/install.sh` unpacks both beside what cargo builds: Debian's package would start a service.

use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Port, binaries, http, logs, wait};

/// It answers within this time after its start.
const START: Duration = Duration::from_secs(60);

/// An instance that scrapes every second.
#[derive(Debug)]
pub struct Prometheus {
    web: Port,
    /// Its configuration, data and log.
    _directory: TempDir,
    child: Child,
}

/// The program that checks and tests rules.
///
/// # Errors
/// When it is not there.
pub fn promtool() -> Result<PathBuf, String> {
    program("promtool")
}

fn program(name: &str) -> Result<PathBuf, String> {
    let candidates = [binaries::unpacked("prometheus"), PathBuf::from("/")];
    candidates
        .into_iter()
        .map(|root| root.join("usr/bin").join(name))
        .find(|program| program.exists())
        .ok_or_else(|| {
            format!("{name} is not there; tests/setup/install.sh unpacks it where apt is at hand")
        })
}

impl Prometheus {
    /// Starts one that scrapes these nodes as the job `layover` and goes by these rules; waits until it is
    /// ready.
    ///
    /// # Errors
    /// When Prometheus is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(nodes: &[SocketAddr], rules: &Path) -> Result<Self, String> {
        let program = program("prometheus")?;
        let directory = tempfile::Builder::new()
            .prefix("layover-prometheus-")
            .tempdir()
            .expect("the temporary directory is writable");
        let at = |name: &str| directory.path().join(name);
        let rules = fs::canonicalize(rules).expect("the rules are there");
        let targets: Vec<String> = nodes.iter().map(|node| format!("'{node}'")).collect();
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - {{ job_name: layover, static_configs: [{{ targets: [{}] }}] }}\n",
            rules.display(),
            targets.join(", ")
        );
        fs::write(at("prometheus.yml"), text).expect("files can be written");
        let web = Port::free();
        let said = fs::File::create(at("log")).expect("files can be written");
        let child = Command::new(program)
            .arg(format!("--web.listen-address={}", web.address()))
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("the program was there a moment ago");
        let log = at("log");
        let prometheus = Self {
            web,
            _directory: directory,
            child,
        };
        let ready = || {
            matches!(
                http::get(prometheus.web.address(), "/-/ready"),
                Ok((200, _))
            )
        };
        let is_ready = wait::within(START, || ready().then_some(()));
        assert!(is_ready.is_some(), "{}", logs::tail(&log, 30));
        Ok(prometheus)
    }

    /// What an expression of PromQL comes to now: its samples.
    ///
    /// # Errors
    /// What is wrong with it, in Prometheus' words.
    ///
    /// # Panics
    /// When Prometheus does not answer.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let mut escaped = String::new();
        for octet in expression.bytes() {
            write!(escaped, "%{octet:02X}").expect("strings grow");
        }
        let answer = self.get(&format!("/api/v1/query?query={escaped}"));
        match answer["data"]["result"].as_array() {
            Some(samples) => Ok(samples.clone()),
            None => Err(answer["error"].to_string()),
        }
    }

    /// Its rules as they were evaluated last.
    ///
    /// # Panics
    /// When Prometheus does not answer.
    #[must_use]
    pub fn rules(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array();
        let groups = groups.expect("Prometheus tells its rules").iter();
        groups
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect()
    }

    fn get(&self, path: &str) -> Value {
        let (_, text) = http::get(self.web.address(), path).expect("Prometheus answers");
        serde_json::from_str(&text).expect("Prometheus answers in JSON")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
