//! How long a sender waits for its 250, seen by a client of our own.

use std::{
    fmt,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use harness::{Letter, Sender, sender::stuffed};

use crate::system::{DOMAIN, System};

/// Times from the final dot to its 250.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// Half of all are below.
    pub(crate) p50: Duration,
    /// All but one in a hundred are below.
    pub(crate) p99: Duration,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(f, "p50 {:.2} ms, p99 {:.2} ms", ms(self.p50), ms(self.p99))
    }
}

/// Sends 10 KiB messages over `sessions` sessions for `span`.
pub(crate) fn run(system: &dyn System, sessions: usize, span: Duration) -> Result<Latency> {
    let hosts = system.hosts();
    let threads: Vec<_> = (0..sessions)
        .filter_map(|number| hosts.get(number % hosts.len()).map(|host| (number, *host)))
        .map(|(number, host)| thread::spawn(move || one_session(host, number, span)))
        .collect();
    let mut times = Vec::new();
    for thread in threads {
        times.extend(
            thread
                .join()
                .map_err(|_| anyhow!("a sender's thread panicked"))??,
        );
    }
    times.sort_unstable();
    let at = |hundredths: usize| {
        times
            .get(times.len() * hundredths / 100)
            .copied()
            .unwrap_or_default()
    };
    Ok(Latency {
        p50: at(50),
        p99: at(99),
    })
}

fn one_session(host: SocketAddr, number: usize, span: Duration) -> Result<Vec<Duration>> {
    let mut sender = Sender::connect(host)?;
    let to = format!("latency{number}@{DOMAIN}");
    let mut times = Vec::new();
    let end = Instant::now() + span;
    let mut serial = number * 1_000_000;
    while Instant::now() < end {
        serial += 1;
        let letter = Letter::new(serial, &to, 10 * 1024);
        let body = stuffed(&letter.body);
        for command in [
            format!("MAIL FROM:<{}>", letter.from),
            format!("RCPT TO:<{to}>"),
            "DATA".to_owned(),
        ] {
            let reply = sender.command(&command)?;
            ensure!(reply.is_positive(), "{command}: {reply}");
        }
        sender.write(&body)?;
        let sent = Instant::now();
        let reply = sender.read_reply()?;
        ensure!(reply.code == 250, "the final dot: {reply}");
        times.push(sent.elapsed());
    }
    sender.quit()?;
    Ok(times)
}
