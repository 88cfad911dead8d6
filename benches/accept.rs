//! How fast mail is accepted while the primary is down.

use std::{
    fmt,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    system::{DOMAIN, System},
    table::Figures,
};

/// No single measurement writes more than this, so that the disk does not fill.
const BYTES_MAX: f64 = 1_500_000_000.0;

/// Messages sent to warm caches and processes up, and to guess how many the measurement needs.
const PILOT: usize = 400;

/// Who sends, mostly.
pub(crate) const SENDER: &str = "sender@sender.test";

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Octets of a message's payload.
    pub(crate) size: usize,
    /// Sessions side by side.
    pub(crate) sessions: usize,
    /// Whether a session carries many messages.
    pub(crate) kept_open: bool,
    /// The reverse-path of all of them.
    pub(crate) sender: &'static str,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.kept_open {
            "kept open"
        } else {
            "one message each"
        };
        write!(
            f,
            "{} KiB, {} sessions {kept}",
            self.size / 1024,
            self.sessions
        )
    }
}

/// What is measured.
pub(crate) fn loads(quick: bool) -> Vec<Load> {
    let load = |kib: usize, sessions| Load {
        size: kib * 1024,
        sessions,
        kept_open: true,
        sender: SENDER,
    };
    if quick {
        return vec![load(10, 50)];
    }
    vec![
        load(10, 1),
        load(10, 50),
        load(10, 200),
        Load {
            kept_open: false,
            ..load(10, 50)
        },
        load(1, 50),
        load(100, 50),
    ]
}

/// Measures one load for about `span`.
pub(crate) fn run(system: &mut dyn System, load: &Load, span: Duration) -> Result<Figures> {
    let pilot = send(system, load, PILOT.max(load.sessions * 2))?;
    let affordable = BYTES_MAX / load.size as f64;
    let wanted = (pilot.per_second * span.as_secs_f64()).min(affordable);
    send(system, load, wanted as usize)
}

/// Sends `count` messages, spread evenly over the system's hosts.
pub(crate) fn send(system: &dyn System, load: &Load, count: usize) -> Result<Figures> {
    let hosts = system.hosts();
    let used: Vec<SocketAddr> = hosts.into_iter().take(load.sessions).collect();
    let cpu_before = system.cpu_time();
    let began = Instant::now();
    let sources: Vec<Child> = used
        .iter()
        .enumerate()
        .map(|(place, host)| {
            let share = |whole: usize| whole / used.len() + usize::from(place < whole % used.len());
            source(*host, load, share(load.sessions), share(count).max(1))
        })
        .collect::<Result<_>>()?;
    for mut source in sources {
        let status = source.wait()?;
        ensure!(
            status.success(),
            "smtp-source ended with {status}: a message was not accepted"
        );
    }
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = (system.cpu_time() - cpu_before).as_secs_f64();
    Ok(Figures {
        per_second: count as f64 / elapsed,
        cpu_ms: cpu * 1000.0 / count as f64,
        count,
    })
}

/// Postfix's own load generator. Recipients are numbered (-N), so that no cache answers for all.
fn source(host: SocketAddr, load: &Load, sessions: usize, count: usize) -> Result<Child> {
    let mut command = Command::new("/usr/sbin/smtp-source");
    if load.kept_open {
        command.arg("-d");
    }
    command
        .args(["-N", "-s", &sessions.to_string(), "-m", &count.to_string()])
        .args(["-l", &load.size.to_string(), "-f", load.sender])
        .args(["-t", &format!("user@{DOMAIN}"), "-M", "sender.test"])
        .arg(format!("inet:{}:{}", host.ip(), host.port()))
        .stdout(Stdio::null())
        .spawn()
        .context("smtp-source is part of Debian's package postfix")
}
