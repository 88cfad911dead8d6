//! How fast mail is accepted while the primary is down.

use std::{
    fmt,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    disk,
    meter::Meter,
    starttls,
    system::{DOMAIN, System},
    table::Figures,
};

/// No single measurement writes more than this, so that the disk does not fill.
const BYTES_MAX: f64 = 1_500_000_000.0;

/// Messages sent to warm caches and processes up, and to guess how many the measurement needs.
const PILOT: usize = 400;

/// As few of them as to write no more than this.
const PILOT_BYTES_MAX: usize = 50_000_000;

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
    /// Whether a session runs TLS.
    pub(crate) starttls: bool,
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
        let tls = if self.starttls { ", STARTTLS" } else { "" };
        write!(
            f,
            "{} KiB, {} sessions {kept}{tls}",
            self.size / 1024,
            self.sessions
        )
    }
}

impl Load {
    /// Sessions in clear that are kept open.
    pub(crate) const fn of(kib: usize, sessions: usize) -> Self {
        Self {
            size: kib * 1024,
            sessions,
            kept_open: true,
            starttls: false,
            sender: SENDER,
        }
    }

    const fn one_message_each(self) -> Self {
        Self {
            kept_open: false,
            ..self
        }
    }

    const fn with_starttls(self) -> Self {
        Self {
            starttls: true,
            ..self
        }
    }
}

/// What is measured.
pub(crate) const LOADS: [Load; 11] = [
    Load::of(10, 1),
    Load::of(10, 10),
    Load::of(10, 50),
    Load::of(10, 200),
    Load::of(10, 50).one_message_each(),
    Load::of(10, 50).with_starttls(),
    Load::of(10, 50).one_message_each().with_starttls(),
    Load::of(1, 50),
    Load::of(100, 50),
    Load::of(1024, 10),
    Load::of(1024, 50),
];

/// The same in short: one of each kind.
pub(crate) const QUICK_LOADS: [Load; 3] = [
    Load::of(10, 50),
    Load::of(10, 50).one_message_each().with_starttls(),
    Load::of(1024, 10),
];

/// Measures one load for about `span`, and what the disk allows just before.
pub(crate) fn run(system: &mut dyn System, load: &Load, span: Duration) -> Result<Figures> {
    let bound = disk::bound(load.size, load.sessions)?;
    let few = PILOT.min(PILOT_BYTES_MAX / load.size);
    let pilot = send(system, load, few.max(load.sessions * 2))?;
    let affordable = BYTES_MAX / load.size as f64;
    let wanted = (pilot.per_second * span.as_secs_f64()).min(affordable);
    let figures = send(system, load, wanted as usize)?;
    Ok(figures.beside(bound))
}

/// Sends `count` messages, spread evenly over the system's hosts.
pub(crate) fn send(system: &dyn System, load: &Load, count: usize) -> Result<Figures> {
    let hosts = system.hosts();
    let used = hosts.get(..load.sessions).unwrap_or(&hosts);
    let meter = Meter::start(system);
    if load.starttls {
        starttls::send(used, &system.trust(), load, count)?;
    } else {
        send_in_clear(used, load, count)?;
    }
    Ok(meter.figures(system, count, load.size))
}

fn send_in_clear(hosts: &[SocketAddr], load: &Load, count: usize) -> Result<()> {
    let share =
        |whole: usize, place| whole / hosts.len() + usize::from(place < whole % hosts.len());
    let sources: Vec<Child> = hosts
        .iter()
        .enumerate()
        .map(|(place, host)| {
            let sessions = share(load.sessions, place);
            source(*host, load, sessions, share(count, place).max(1))
        })
        .collect::<Result<_>>()?;
    for mut source in sources {
        let status = source.wait()?;
        ensure!(
            status.success(),
            "smtp-source ended with {status}: a message was not accepted"
        );
    }
    Ok(())
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
