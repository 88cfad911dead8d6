//! How fast mail is accepted while the primary is down.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    disk,
    figures::Figures,
    load::Load,
    meter::Meter,
    pipelining, starttls,
    system::{DOMAIN, System},
};

/// No single measurement writes more than this, so that the disk does not fill.
const BYTES_MAX: f64 = 1_500_000_000.0;

/// Messages sent to warm caches and processes up, and to guess how many the measurement needs.
pub(crate) const PILOT: usize = 400;

/// As few of them as to write no more than this.
const PILOT_BYTES_MAX: usize = 50_000_000;

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

/// The same, to these, without TLS and without measuring it.
pub(crate) fn send_in_clear(hosts: &[SocketAddr], load: &Load, count: usize) -> Result<()> {
    if load.pipelined {
        return pipelining::send(hosts, load, count);
    }
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
