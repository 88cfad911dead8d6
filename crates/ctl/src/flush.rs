//! `layover flush`: try now, and if wanted watch the queue drain.

use std::time::{Duration, Instant};

use anyhow::bail;
use api::admin::v1::{DomainStatus, FlushRequest, StatusResponse};
use serde::Serialize;

use crate::{
    output::Output,
    servers::{Client, Servers},
    status, words,
};

/// How often progress is looked at. A primary takes a thousand messages in this time.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// An election and the restart of a node are over within this.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What `flush --wait --json` ends with.
#[derive(Debug, Serialize)]
struct Drained {
    domains: Vec<String>,
    rejected: u64,
    seconds: f64,
}

/// Makes deferred messages due; with `wait`, returns once all are delivered.
pub(crate) async fn flush(
    servers: &Servers,
    output: &mut Output,
    request: FlushRequest,
    wait: bool,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let flushed = servers
        .ask(async |mut client: Client| Ok(client.flush(request.clone()).await?.into_inner()))
        .await?;
    if !wait {
        if output.is_json() {
            return Ok(output.document(&flushed)?);
        }
        let names = words::escaped(&flushed.domains.join(", "));
        return Ok(output.line(&format!("flushed {names}"))?);
    }
    let rejected = drain(servers, output, &flushed.domains).await?;
    if output.is_json() {
        let seconds = started.elapsed().as_secs_f64();
        return Ok(output.document(&Drained {
            domains: flushed.domains,
            rejected,
            seconds,
        })?);
    }
    let mut line = format!("drained in {:.1} s", started.elapsed().as_secs_f64());
    if rejected > 0 {
        let messages = words::count(rejected, "message");
        line.push_str(&format!(
            "; the primary refused {messages} (layover queue list --state rejected)"
        ));
    }
    Ok(output.line(&line)?)
}

/// Watches until nothing is left to deliver; returns how many messages were refused.
async fn drain(servers: &Servers, output: &mut Output, names: &[String]) -> anyhow::Result<u64> {
    let mut heard = Instant::now();
    let mut before: Option<(Instant, u64)> = None;
    // So many were left at some time.
    let mut most = 0;
    loop {
        match status::fetch(servers).await {
            Ok(status) => {
                heard = Instant::now();
                let left = total(&status, names, |d| d.waiting.saturating_add(d.deferred));
                let rate = before.map(|(at, more)| rate(more, left, heard.duration_since(at)));
                before = Some((heard, left));
                if left == 0 {
                    output.end_progress()?;
                    return Ok(total(&status, names, |domain| domain.rejected));
                }
                most = left.max(most);
                let line = progress(&status, names, left, rate);
                output.progress_of(most - left, most, &line)?;
            }
            Err(error) if heard.elapsed() > SILENCE_MAX => {
                output.end_progress()?;
                bail!(error);
            }
            Err(error) => output.progress(&words::escaped(&format!("{error:#}")))?,
        }
        tokio::time::sleep(PROGRESS_INTERVAL).await;
    }
}

/// Domains of the answer that were flushed.
fn flushed<'a>(
    status: &'a StatusResponse,
    names: &'a [String],
) -> impl Iterator<Item = &'a DomainStatus> {
    status
        .domains
        .iter()
        .filter(|domain| names.contains(&domain.name))
}

fn total(status: &StatusResponse, names: &[String], figure: fn(&DomainStatus) -> u64) -> u64 {
    flushed(status, names)
        .map(figure)
        .fold(0, u64::saturating_add)
}

fn rate(before: u64, now: u64, elapsed: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    let gone = before.saturating_sub(now) as f64;
    gone / elapsed.as_secs_f64().max(0.001)
}

fn progress(status: &StatusResponse, names: &[String], left: u64, rate: Option<f64>) -> String {
    let mut line = format!("{} left", words::count(left, "message"));
    let waiting = total(status, names, |domain| domain.waiting);
    if waiting < left {
        line.push_str(&format!(", {} of them deferred", left - waiting));
    }
    if let Some(rate) = rate {
        line.push_str(&format!(", {rate:.0} a second"));
    }
    for domain in flushed(status, names).filter(|domain| domain.paused.is_some()) {
        line.push_str(&format!("; {} is paused", words::escaped(&domain.name)));
    }
    for domain in flushed(status, names).filter(|domain| domain.primary_state == "down") {
        let primary = status::primary(domain, status.now_ms);
        line.push_str(&format!(
            "; the primary of {} is {primary}",
            words::escaped(&domain.name)
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_what_is_left_and_what_it_waits_for() {
        let domain = |name: &str, state: &str, waiting, deferred| DomainStatus {
            name: name.to_owned(),
            primary_state: state.to_owned(),
            waiting,
            deferred,
            in_policy: true,
            ..DomainStatus::default()
        };
        let status = StatusResponse {
            domains: vec![
                domain("a.example", "down", 5, 2),
                domain("b.example", "up", 100, 0),
            ],
            ..StatusResponse::default()
        };
        let names = ["a.example".to_owned()];
        assert_eq!(total(&status, &names, |d| d.waiting + d.deferred), 7);
        assert_eq!(
            progress(&status, &names, 7, Some(2.4)),
            "7 messages left, 2 of them deferred, 2 a second; the primary of a.example is down"
        );
    }
}
