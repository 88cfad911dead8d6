//! NSD, a name server that stands in front of real zones, with a zone that is signed: a root of its own, so that
//! every name may stand in it.
//!
//! `tests/setup/install.sh` unpacks it and ldnsutils beside what cargo builds: Debian's package would start a
//! service.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Port, binaries, ctl, logs, process, wait};

/// It answers within this time after its start, and by its new zone after it was told to read that.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server. It ends when it is dropped.
#[derive(Debug)]
pub struct SignedZone {
    port: Port,
    /// Its configuration, keys, zone and log.
    directory: TempDir,
    /// What the files of its key are called, without their ends.
    key: String,
    serial: u32,
    child: Option<Child>,
}

impl SignedZone {
    /// Signs these lines, and serves them on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When NSD, or what signs, is not installed.
    ///
    /// # Panics
    /// When signing fails, or it does not start.
    pub fn serve(lines: &[String]) -> Result<Self, String> {
        let nsd = program("usr/sbin/nsd")?;
        let keygen = program("usr/bin/ldns-keygen")?;
        let directory = tempfile::Builder::new()
            .prefix("layover-nsd-")
            .tempdir()
            .expect("the temporary directory is writable");
        let made = run(command(&keygen)
            .args(["-a", "ECDSAP256SHA256", "-k", "."])
            .current_dir(directory.path()));
        let mut server = Self {
            port: Port::free(),
            directory,
            key: made.trim().to_owned(),
            serial: 0,
            child: None,
        };
        server.sign(lines);
        fs::write(server.at("nsd.conf"), server.configuration()).expect("files can be written");
        let child = command(&nsd)
            .arg("-d")
            .arg("-c")
            .arg(server.at("nsd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program was there a moment ago");
        server.child = Some(child);
        server.wait_served();
        Ok(server)
    }

    /// Serves these lines in place of the former, signed by the same key.
    ///
    /// # Panics
    /// When signing fails, or the server does not go by them in time.
    pub fn publish(&mut self, lines: &[String]) {
        self.sign(lines);
        let child = self.child.as_ref().expect("it was started");
        process::signal(child.id(), Signal::HUP);
        self.wait_served();
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// A file of the key by which its signatures can be checked.
    #[must_use]
    pub fn trust_anchors(&self) -> PathBuf {
        self.at(&format!("{}.key", self.key))
    }

    fn sign(&mut self, lines: &[String]) {
        self.serial += 1;
        let zone = format!(
            "$TTL 60\n. IN SOA ns.test. admin.test. {} 3600 600 86400 60\n. IN NS ns.test.\n\
             ns.test. IN A 127.0.0.1\n{}\n",
            self.serial,
            lines.join("\n")
        );
        fs::write(self.at("zone"), zone).expect("files can be written");
        let signer = program("usr/bin/ldns-signzone").expect("it was unpacked with the server");
        run(command(&signer)
            .args(["-o", ".", "-f", "signed.new", "zone", &self.key])
            .current_dir(self.directory.path()));
        // The server never reads half of it.
        fs::rename(self.at("signed.new"), self.at("signed")).expect("files can be renamed");
    }

    fn configuration(&self) -> String {
        let address = self.address();
        let at = |name: &str| self.at(name).display().to_string();
        format!(
            "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  server-count: 1\n  \
             zonesdir: \"{}\"\n  pidfile: \"{}\"\n  zonelistfile: \"{}\"\n  xfrdfile: \"{}\"\n  xfrdir: \"{}\"\n  \
             logfile: \"{}\"\nremote-control:\n  control-enable: no\nzone:\n  name: \".\"\n  zonefile: \"{}\"\n",
            address.ip(),
            address.port(),
            at(""),
            at("nsd.pid"),
            at("zone.list"),
            at("xfrd.state"),
            at(""),
            at("log"),
            at("signed"),
        )
    }

    /// Waits until it tells of the zone that was signed last.
    fn wait_served(&self) {
        let drill = program("usr/bin/drill").expect("it was unpacked with the server");
        let port = self.address().port().to_string();
        let serial = format!(" {} 3600 ", self.serial);
        let is_served = || {
            let asked = ctl::tried(command(&drill).args(["-p", &port, "@127.0.0.1", ".", "SOA"]));
            asked
                .is_ok_and(|answer| answer.out.contains(&serial))
                .then_some(())
        };
        let served = wait::within(PATIENCE, is_served);
        assert!(served.is_some(), "{}", logs::tail(&self.at("log"), 30));
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for SignedZone {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Asked politely, it ends its own children, too.
            process::signal(child.id(), Signal::TERM);
            drop(child.wait());
        }
    }
}

fn program(name: &str) -> Result<PathBuf, String> {
    [binaries::unpacked("nsd"), PathBuf::from("/")]
        .into_iter()
        .map(|root| root.join(name))
        .find(|program| program.exists())
        .ok_or_else(|| {
            format!("{name} is not there; tests/setup/install.sh unpacks it where apt is at hand")
        })
}

/// A program that finds the libraries that were unpacked with it.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    let libraries = binaries::unpacked("nsd").join("libraries");
    command.env("LD_LIBRARY_PATH", libraries);
    command
}

fn run(command: &mut Command) -> String {
    let outcome = ctl::tried(command).expect("the program was there a moment ago");
    assert_eq!(outcome.code, 0, "{command:?}: {}", outcome.err);
    outcome.out
}
