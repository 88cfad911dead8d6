//! Clients of our own that shake hands: smtp-source knows no TLS.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use harness::{
    Authority, Letter, Sender,
    network::{Lines, Wire},
    sender::stuffed,
};
use rustls::{ClientConfig, ServerConfig, client::Resumption};

use crate::{
    figures::Figures,
    load::Load,
    meter::Meter,
    system::{DOMAIN, System},
};

/// Sessions that shake hands side by side.
const SESSIONS: usize = 50;

/// Every handshake is a whole one: a sender seldom meets the same node again.
fn without_memory(trust: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = trust.clone();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Sends `count` messages of a load, spread evenly over these hosts.
pub(crate) fn send(
    hosts: &[SocketAddr],
    trust: &ClientConfig,
    load: &Load,
    count: usize,
) -> Result<()> {
    let trust = &without_memory(trust);
    let body = &stuffed(&Letter::new(0, "all", load.size).body);
    let share = |session| count / load.sessions + usize::from(session < count % load.sessions);
    let jobs = (0..load.sessions).zip(hosts.iter().cycle());
    in_threads(jobs.map(|(session, host)| {
        let messages = share(session);
        move || {
            let mut open = None;
            for number in 0..messages {
                let mut sender = match open.take() {
                    Some(sender) => sender,
                    None => Sender::connect_tls(*host, Arc::clone(trust))?,
                };
                let to = format!("user{session}x{number}@{DOMAIN}");
                transfer(&mut sender, load.sender, &to, body)?;
                if load.kept_open {
                    open = Some(sender);
                } else {
                    sender.quit()?;
                }
            }
            if let Some(sender) = open {
                sender.quit()?;
            }
            Ok(())
        }
    }))
}

/// Sends one message, whose body is stuffed already.
fn transfer(sender: &mut Sender, from: &str, to: &str, body: &[u8]) -> Result<()> {
    prepare(sender, from, to)?;
    sender.write(body)?;
    let reply = sender.read_reply()?;
    ensure!(reply.code == 250, "the final dot: {reply}");
    Ok(())
}

/// Goes as far as DATA.
pub(crate) fn prepare(sender: &mut Sender, from: &str, to: &str) -> Result<()> {
    for command in [
        format!("MAIL FROM:<{from}>"),
        format!("RCPT TO:<{to}>"),
        "DATA".to_owned(),
    ] {
        let reply = sender.command(&command)?;
        ensure!(reply.is_positive(), "{command}: {reply}");
    }
    Ok(())
}

/// Connections that shake hands and are closed again, and what rustls itself reaches behind the same dialogue, with
/// the same clients, just before.
pub(crate) fn handshakes(system: &dyn System, span: Duration) -> Result<Figures> {
    let directory = tempfile::tempdir()?;
    let authority = Authority::new(directory.path());
    let bare = bare_server(authority.server("localhost"))?;
    let bound = shake(&[bare], &authority.client(), span)? as f64 / span.as_secs_f64();
    let meter = Meter::start(system);
    let count = shake(&system.hosts(), &system.trust(), span)?;
    Ok(meter.figures(system, count, 0).beside(bound))
}

fn shake(hosts: &[SocketAddr], trust: &ClientConfig, span: Duration) -> Result<usize> {
    let trust = &without_memory(trust);
    let end = Instant::now() + span;
    let counted = &AtomicUsize::new(0);
    let hosts = hosts.iter().cycle().take(SESSIONS);
    in_threads(hosts.map(|host| {
        move || {
            while Instant::now() < end {
                Sender::connect_tls(*host, Arc::clone(trust))?.quit()?;
                counted.fetch_add(1, Relaxed);
            }
            Ok(())
        }
    }))?;
    Ok(counted.load(Relaxed))
}

/// A server that knows the words of one dialogue by heart, with as many threads as there are clients.
fn bare_server(config: Arc<ServerConfig>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    for _ in 0..SESSIONS {
        let (listener, config) = (listener.try_clone()?, Arc::clone(&config));
        // They wait for clients until the process ends.
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                drop(stream.set_nodelay(true));
                drop(converse(Wire::Plain(stream), Arc::clone(&config)));
            }
        });
    }
    Ok(address)
}

fn converse(wire: Wire, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut lines = Lines::new(wire);
    lines.write(b"220 mx\r\n")?;
    lines.read_line()?;
    lines.write(b"250-mx\r\n250 STARTTLS\r\n")?;
    lines.read_line()?;
    lines.write(b"220 go on\r\n")?;
    let mut lines = Lines::new(lines.into_wire().accept_tls(config)?);
    for reply in [b"250 mx\r\n", b"221 mx\r\n"] {
        lines.read_line()?;
        lines.write(reply)?;
    }
    Ok(())
}

/// Runs each job in a thread of its own; fails if one does.
fn in_threads<J>(jobs: impl Iterator<Item = J>) -> Result<()>
where
    J: FnOnce() -> Result<()> + Send,
{
    thread::scope(|scope| {
        let threads: Vec<_> = jobs.map(|job| scope.spawn(job)).collect();
        for thread in threads {
            let ended = thread.join();
            ended.map_err(|_| anyhow!("a client's thread panicked"))??;
        }
        Ok(())
    })
}
