//! One real `layoverd`.

use std::{
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Authority, Ctl, binaries, http, logs, process,
    settings::{Ports, Settings},
    wait,
};

/// A debug build under load on two cores starts within this time, or something is wrong.
const START: Duration = Duration::from_secs(30);

/// INTERFACE: on SIGTERM a node exits within 30 s.
const STOP: Duration = Duration::from_secs(35);

/// A node that is about to end by itself has ended after this time.
const A_MOMENT: Duration = Duration::from_secs(3);

/// A node: its files, its ports, and its process while it runs.
///
/// Dropping it kills the process and fails the test when the log has lines at level ERROR that
/// the test did not expect.
#[derive(Debug)]
pub struct Daemon {
    /// Its id in the cluster.
    pub id: u64,
    /// Its ports, which stay ours while it is down.
    pub ports: Ports,
    directory: PathBuf,
    child: Option<Child>,
    allowed_errors: Vec<String>,
    log: String,
    within: Vec<String>,
    environment: Vec<(String, PathBuf)>,
}

impl Daemon {
    /// Writes the node's files; starts nothing.
    pub(crate) fn prepare(
        id: u64,
        directory: &Path,
        ports: Ports,
        authority: &Authority,
        node_file: &str,
        settings: &Settings,
    ) -> Self {
        fs::create_dir_all(directory).expect("the node's directory can be made");
        for (name, host) in [
            ("smtp", format!("mx{id}.example.net")),
            ("peer", format!("mx{id}-peer.example.net")),
        ] {
            let pair = authority.sign_at(&host, ports.cluster.address().ip());
            for (from, extension) in [(&pair.cert, "pem"), (&pair.key, "key")] {
                fs::copy(from, directory.join(name).with_extension(extension))
                    .expect("certificates can be copied");
            }
        }
        for (name, text) in [
            ("policy.toml", settings.policy.as_str()),
            ("layover.toml", node_file),
        ] {
            fs::write(directory.join(name), text).expect("files can be written");
        }
        Self {
            id,
            ports,
            directory: directory.to_owned(),
            child: None,
            allowed_errors: settings.allowed_errors.clone(),
            log: settings.log.clone(),
            within: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Makes it another node at the same place: with another id, and what its node file says now.
    pub(crate) fn become_node(&mut self, id: u64, node_file: &str) {
        self.id = id;
        fs::write(self.config(), node_file).expect("files can be written");
    }

    /// Where its files lie.
    pub(crate) fn home(&self) -> &Path {
        &self.directory
    }

    /// Starts it, and the command line bound to it, by a program that puts them where they belong,
    /// as `nsenter --net=FILE` does; it must become what it starts.
    pub fn live_within(&mut self, launcher: &[String]) {
        launcher.clone_into(&mut self.within);
    }

    /// Sets an environment variable of the process from its next start on.
    pub fn set_environment(&mut self, name: &str, value: &Path) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Expects log lines that would be alarming and that contain `phrase` from now on.
    pub fn allow_error(&mut self, phrase: &str) {
        self.allowed_errors.push(phrase.to_owned());
    }

    /// Starts the process; does not wait for it.
    ///
    /// # Panics
    /// When the program is not there: the whole workspace must have been built.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "node {} runs already", self.id);
        let program = binaries::layoverd();
        let child = process::launch(&self.within, &program)
            .arg("--config")
            .arg(self.config())
            .env("RUST_LOG", &self.log)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log_file())
            .spawn()
            .unwrap_or_else(|error| panic!("starting {}: {error}", program.display()));
        self.child = Some(child);
    }

    /// Waits until it takes mail.
    ///
    /// # Panics
    /// When it ends or is not ready in time; the panic shows the end of its log.
    pub fn wait_ready(&mut self) {
        let end = Instant::now() + START;
        while !self.is_ready() {
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            let tail = || logs::tail(&self.log_path(), 30);
            if let Some(status) = ended {
                panic!("node {} ended with {status}:\n{}", self.id, tail());
            }
            assert!(
                Instant::now() < end,
                "node {} is not ready:\n{}",
                self.id,
                tail()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the process has ended by itself; returns its status and its log.
    ///
    /// # Panics
    /// When it runs on.
    pub fn wait_exit(&mut self) -> (ExitStatus, String) {
        let mut child = self.child.take().expect("the node was started");
        let status = wait::within(STOP, || child.try_wait().ok().flatten());
        let Some(status) = status else {
            drop(child.kill());
            panic!(
                "node {} did not end:\n{}",
                self.id,
                logs::tail(&self.log_path(), 30)
            );
        };
        (
            status,
            fs::read_to_string(self.log_path()).unwrap_or_default(),
        )
    }

    /// Ends it without warning.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Asks it to end, and waits for that; returns its exit status. One that was just started is asked as
    /// soon as it can be.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.pid();
        let _listens = wait::within(STOP, || process::catches(pid, Signal::TERM).then_some(()));
        self.signal(Signal::TERM);
        self.wait_exit().0
    }

    /// Stops the process where it stands, its sockets open. Returns when it does nothing any more.
    ///
    /// # Panics
    /// When it goes on.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let pid = self.pid();
        wait::wait_until(STOP, "every thread has stopped", || {
            process::is_stopped(pid)
        });
    }

    /// Tells it to read its certificates again.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether the process was started and not ended by us.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// How the process has ended by itself, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Whether the process was started and has ended by itself, or does so within a moment.
    pub fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| {
            wait::within(A_MOMENT, || child.try_wait().ok().flatten()).is_some()
        })
    }

    /// Whether it says that it can take mail.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_running()
            && http::get(self.ports.http.address(), "/readyz").is_ok_and(|(code, _)| code == 200)
    }

    /// A metric summed over all label sets that contain `labels`.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, text) = http::get(self.ports.http.address(), "/metrics").ok()?;
        http::metric(&text, name, labels)
    }

    /// Whether it leads, as far as it knows.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_running() && self.metric("layover_raft_is_leader", &[]) == Some(1.0)
    }

    /// Messages in the spool, as this node sees it; `None` when it does not answer.
    #[must_use]
    pub fn queued(&self) -> Option<u64> {
        let (_, text) = http::get(self.ports.http.address(), "/metrics").ok()?;
        let count = http::metric(&text, "layover_queue_messages", &[]).unwrap_or(0.0);
        format!("{count:.0}").parse().ok()
    }

    /// Where mail goes in.
    #[must_use]
    pub fn smtp(&self) -> SocketAddr {
        self.ports.smtp.address()
    }

    /// The command line, bound to this node.
    #[must_use]
    pub fn ctl(&self) -> Ctl {
        Ctl::new(&[self.ports.admin.address()]).within(&self.within)
    }

    /// The process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the node runs").id()
    }

    /// Its node file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("layover.toml")
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.join("spool")
    }

    /// Its log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Everything it logged so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Lines of the log that say that a person must look, and that nobody expected.
    #[must_use]
    pub fn alarming(&self) -> Vec<String> {
        logs::alarming(&self.log_path(), &self.allowed_errors)
    }

    /// Lets it run on after the harness is gone; returns the process id.
    pub fn leave_running(&mut self) -> Option<u32> {
        self.child.take().map(|child| child.id())
    }

    fn log_file(&self) -> File {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the log can be written")
    }

    fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        let alarming = self.alarming();
        if thread::panicking() {
            eprintln!(
                "--- node {} ---\n{}",
                self.id,
                logs::tail(&self.log_path(), 25)
            );
        } else {
            assert!(
                alarming.is_empty(),
                "node {} logged what no one expected:\n{}",
                self.id,
                alarming.join("\n")
            );
        }
    }
}
