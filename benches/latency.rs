//! How long a sender waits for its 250, seen by a client of our own.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use harness::{Letter, Sender, sender::stuffed};

use crate::{
    figures::Latency,
    starttls::prepare,
    system::{DOMAIN, System},
};

/// Sends 10 KiB messages over `sessions` sessions for `span`: as many as are taken, or `per_second`, evenly.
pub(crate) fn run(
    system: &dyn System,
    sessions: usize,
    span: Duration,
    per_second: Option<f64>,
) -> Result<Latency> {
    let pace = per_second.map(|rate| Duration::from_secs_f64(sessions as f64 / rate.max(1.0)));
    let jobs = (0..sessions).zip(system.hosts().into_iter().cycle());
    let threads: Vec<_> = jobs
        .map(|(number, host)| {
            // They do not all begin at once.
            let offset = pace
                .unwrap_or_default()
                .mul_f64(number as f64 / sessions as f64);
            thread::spawn(move || one_session(host, number, span, (offset, pace)))
        })
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
    let at = |thousandths: usize| {
        times
            .get(times.len() * thousandths / 1000)
            .copied()
            .unwrap_or_default()
    };
    Ok(Latency {
        p50: at(500),
        p99: at(990),
        p999: at(999),
        per_second: times.len() as f64 / span.as_secs_f64(),
    })
}

/// Sends message after message; when there is a pace, each at its time, or at once where that is over.
fn one_session(
    host: SocketAddr,
    number: usize,
    span: Duration,
    (offset, pace): (Duration, Option<Duration>),
) -> Result<Vec<Duration>> {
    let mut sender = Sender::connect(host)?;
    let to = format!("latency{number}@{DOMAIN}");
    let mut times = Vec::new();
    let began = Instant::now();
    let mut serial = number * 1_000_000;
    let mut due = offset;
    while began.elapsed() < span {
        if let Some(pace) = pace {
            thread::sleep(due.saturating_sub(began.elapsed()));
            due += pace;
        }
        serial += 1;
        let letter = Letter::new(serial, &to, 10 * 1024);
        let body = stuffed(&letter.body);
        prepare(&mut sender, &letter.from, &to)?;
        sender.write(&body)?;
        let sent = Instant::now();
        let reply = sender.read_reply()?;
        ensure!(reply.code == 250, "the final dot: {reply}");
        times.push(sent.elapsed());
    }
    sender.quit()?;
    Ok(times)
}
