//! How fast mail leaves when the primary is back, and while it is there.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{wait, wait_until};

use crate::{accept, figures::Figures, load::Load, meter::Meter, system::System};

/// Even one message at a time is faster than this.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is sent.
const LOAD: Load = Load::of(10, 50);

/// Messages that go ahead, by which it is seen that the primary is up.
const AHEAD: usize = 200;

/// Fills the queue with `count` messages, opens the primary's port, tells the system if it is to be told, and waits
/// until all are there.
pub(crate) fn run(system: &mut dyn System, count: usize, is_told: bool) -> Result<Figures> {
    accept::send(system, &LOAD, count)?;
    let directory = tempfile::tempdir()?;
    let counter = directory.path().join("sink");
    system.settle()?;
    let mut sink = Sink::start(system, &counter)?;
    let meter = Meter::start(system);
    if is_told {
        system.flush()?;
    }
    wait_for(&counter, count)?;
    let figures = meter.figures(system, count, 0);
    sink.stop();
    Ok(figures)
}

/// Sends `count` messages while the primary is up, and waits until all are there.
pub(crate) fn pass_through(system: &mut dyn System, count: usize) -> Result<Figures> {
    let directory = tempfile::tempdir()?;
    let counter = directory.path().join("sink");
    accept::send(system, &LOAD, AHEAD)?;
    system.settle()?;
    let mut sink = Sink::start(system, &counter)?;
    system.flush()?;
    wait_for(&counter, AHEAD)?;
    let meter = Meter::start(system);
    accept::send(system, &LOAD, count)?;
    wait_for(&counter, AHEAD + count)?;
    let figures = meter.figures(system, count, LOAD.size);
    sink.stop();
    Ok(figures)
}

fn wait_for(counter: &Path, count: usize) -> Result<()> {
    let have_come = wait::within(PATIENCE, || (messages(counter) >= count).then_some(()));
    let came = messages(counter);
    ensure!(have_come.is_some(), "only {came} of {count} came in time");
    Ok(())
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
