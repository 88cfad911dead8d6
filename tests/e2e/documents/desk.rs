//! Where somebody types what the documents say.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::{Cluster, Daemon, binaries, ctl::Outcome, http, process, wait, wait_until};
use rustix::process::Signal;
use tempfile::TempDir;

use super::named::Named;

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:9";

/// What is typed when a program asks for something.
const TYPED: &str = "correct horse battery staple\n";

/// A daemon has started, or ended, within this.
const SOON: Duration = Duration::from_secs(35);

/// Ends the process when the test ends before it.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A folder with the files that the documents name, and the nodes that are asked.
#[derive(Debug)]
pub(super) struct Desk {
    folder: TempDir,
    servers: Vec<SocketAddr>,
}

impl Desk {
    /// One at which nobody is asked.
    pub(super) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Self {
            folder,
            servers: Vec::new(),
        };
        desk.put("typed", TYPED);
        desk
    }

    /// One at which the nodes of this cluster are asked; `mx2` is the second.
    pub(super) fn before(cluster: &Cluster) -> Self {
        let address = |node: &Daemon| node.ports.admin.address();
        Self {
            servers: cluster.nodes.iter().map(address).collect(),
            ..Self::empty()
        }
    }

    /// Its folder.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file there.
    pub(super) fn put(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Runs a command with these values in the place of what stands for them. Returns whether it is a whole one, as
    /// most are: the others are no more than the name of a command.
    ///
    /// # Panics
    /// When it is a whole one, and fails.
    #[track_caller]
    pub(super) fn works(&self, named: &Named, values: &[(&str, &str)]) -> bool {
        let told = self.run(named, values, &[]);
        if told.code == 2 && named.may_be_a_name() {
            return false;
        }
        assert_eq!(told.code, 0, "{named}: {}{}", told.out, told.err);
        true
    }

    /// Runs a command, with further arguments behind it.
    pub(super) fn run(&self, named: &Named, values: &[(&str, &str)], further: &[&str]) -> Outcome {
        let mut command = self.command(named);
        let typed = File::open(self.path().join("typed")).unwrap();
        command.args(Self::arguments(named, values));
        command.args(further).stdin(typed);
        let output = command.output().unwrap();
        if let Some(file) = &named.into {
            fs::write(self.path().join(file), &output.stdout).unwrap();
        }
        Outcome {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command at a terminal, where it draws until this key is pressed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub(super) fn quits(&self, named: &Named, key: &str) {
        self.put("key", key);
        let program = self.command(named).get_program().to_owned();
        let words = named.words[1..].join(" ");
        let line = format!("stty columns 80 rows 24; {} {words}", program.display());
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("LAYOVER_SERVER", self.asked(named))
            .env("SHELL", "/bin/sh")
            .stdin(File::open(self.path().join("key")).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{named}: {output:?}");
    }

    /// Starts a daemon, does something once it takes mail, as its web port tells, and ends it.
    ///
    /// # Panics
    /// When it does not start, or does not end as it should.
    #[track_caller]
    pub(super) fn serves(
        &self,
        named: &Named,
        values: &[(&str, &str)],
        web: SocketAddr,
        then: impl FnOnce(),
    ) {
        let mut command = self.command(named);
        command.args(Self::arguments(named, values));
        command.env("TMPDIR", self.path()).stderr(Stdio::null());
        let mut daemon = Running(command.spawn().unwrap());
        wait_until(SOON, "the node takes mail", || {
            http::get(web, "/readyz").is_ok_and(|(code, _)| code == 200)
        });
        then();
        process::signal(daemon.0.id(), Signal::TERM);
        let ended = wait::within(SOON, || daemon.0.try_wait().unwrap());
        assert!(ended.is_some_and(|ended| ended.success()), "{named}");
    }

    /// What stands behind the program, with these values.
    fn arguments(named: &Named, values: &[(&str, &str)]) -> Vec<String> {
        let value = |word: &String| {
            let value = values.iter().find(|(name, _)| name == word);
            value.map_or(word.as_str(), |(_, value)| value).to_owned()
        };
        named.words[1..].iter().map(value).collect()
    }

    /// The program of a command, without any argument.
    pub(super) fn command(&self, named: &Named) -> Command {
        let program = match named.words[0].as_str() {
            "layover" => binaries::layover(),
            _ => binaries::layoverd(),
        };
        let mut command = Command::new(program);
        command.env("LAYOVER_SERVER", self.asked(named));
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Whom a command asks.
    fn asked(&self, named: &Named) -> String {
        let server = |server: &SocketAddr| server.to_string();
        if self.servers.is_empty() {
            return NOBODY.to_owned();
        }
        let Some(name) = &named.asked else {
            let all: Vec<String> = self.servers.iter().map(server).collect();
            return all.join(",");
        };
        let number = name
            .strip_prefix("mx")
            .and_then(|number| number.parse().ok());
        let number: usize = number.unwrap_or_else(|| panic!("{named}: which node is {name}?"));
        server(&self.servers[number - 1])
    }
}
