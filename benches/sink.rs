//! Postfix's own stand-in for a server, which keeps nothing of what it takes.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use harness::{Port, process, wait_until};

use crate::{
    accept::{self, PILOT},
    figures::Figures,
    load::Load,
};

/// What the column is called.
pub(crate) const NAME: &str = "smtp-sink";

/// A running one.
#[derive(Debug)]
pub(crate) struct Sink(Child);

impl Sink {
    /// Opens the port, and has what is counted written to a file.
    pub(crate) fn start(address: SocketAddr, counter: &Path) -> Result<Self> {
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

/// The last count that was written, as `… mesg=17 …`.
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

/// How fast it takes a load: what the load generator, and the kernel that carries it, leave to a server on the same
/// processors that neither writes nor remembers anything.
pub(crate) fn takes(load: &Load, span: Duration) -> Result<Figures> {
    let port = Port::free();
    let sink = Sink::start(port.address(), Path::new("/dev/null"))?;
    let measured = |count: usize| {
        let (began, cpu) = (Instant::now(), process::cpu_time(sink.0.id()));
        accept::send_in_clear(&[port.address()], load, count)?;
        let elapsed = began.elapsed().as_secs_f64();
        let cpu = process::cpu_time(sink.0.id()).saturating_sub(cpu);
        Ok::<_, anyhow::Error>(Figures {
            per_second: count as f64 / elapsed,
            cpu_ms: cpu.as_secs_f64() * 1000.0 / count as f64,
            written: None,
            of_bound: None,
        })
    };
    let pilot = measured(PILOT.max(load.sessions * 2))?;
    measured((pilot.per_second * span.as_secs_f64()) as usize)
}
