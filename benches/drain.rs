//! How fast the queue empties when the primary is back.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{wait, wait_until};

use crate::{
    accept::{self, Load, SENDER},
    system::System,
    table::Figures,
};

/// Even one message at a time is faster than this.
const PATIENCE: Duration = Duration::from_secs(300);

/// Fills the queue with `count` messages of 10 KiB, opens the primary's port, flushes, and waits
/// until all are there.
pub(crate) fn run(system: &mut dyn System, count: usize) -> Result<Figures> {
    let load = Load {
        size: 10 * 1024,
        sessions: 50,
        kept_open: true,
        sender: SENDER,
    };
    accept::send(system, &load, count)?;
    let directory = tempfile::tempdir()?;
    let counter = directory.path().join("sink");
    system.settle()?;
    let mut sink = Sink::start(system, &counter)?;
    let cpu_before = system.cpu_time();
    let began = Instant::now();
    system.flush()?;
    let drained = wait::within(PATIENCE, || (messages(&counter) >= count).then_some(()));
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = (system.cpu_time() - cpu_before).as_secs_f64();
    sink.stop();
    ensure!(
        drained.is_some(),
        "only {} of {count} left in time",
        messages(&counter)
    );
    Ok(Figures {
        per_second: count as f64 / elapsed,
        cpu_ms: cpu * 1000.0 / count as f64,
        count,
    })
}

/// Postfix's own stand-in for a server.
pub(crate) struct Sink(Child);

impl Sink {
    /// Opens the primary's port, and has it write what it has counted to a file.
    pub(crate) fn start(system: &dyn System, counter: &Path) -> Result<Self> {
        let address = system.primary();
        let child = Command::new("/usr/sbin/smtp-sink")
            .args(["-c", "-u", "nobody"])
            .arg(format!("inet:{}:{}", address.ip(), address.port()))
            .arg("1000")
            .stdout(File::create(counter)?)
            .stderr(Stdio::null())
            .spawn()
            .context("smtp-sink is part of Debian's package postfix")?;
        wait_until(Duration::from_secs(5), "smtp-sink listens", || {
            TcpStream::connect(address).is_ok()
        });
        Ok(Self(child))
    }

    /// Closes the port.
    pub(crate) fn stop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The last count that smtp-sink has written, as `… mesg=17 …`.
pub(crate) fn messages(counter: &Path) -> usize {
    let bytes = fs::read(counter).unwrap_or_default();
    let tail = bytes
        .get(bytes.len().saturating_sub(400)..)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(tail);
    // Each count ends with a carriage return; what stands behind the last one may be cut short.
    let whole = text.rsplit_once('\r').map_or("", |(whole, _)| whole);
    whole
        .rsplit_once("mesg=")
        .map(|(_, rest)| rest)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}
