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
    /// Of them, what the primary refused for good since the flush began.
    rejected: u64,
    /// Of them, what operators hold, which is not waited for.
    held: u64,
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
    let before = if wait {
        Some(status::fetch(servers).await?)
    } else {
        None
    };
    let flushed = servers
        .ask(async |mut client: Client| Ok(client.flush(request.clone()).await?.into_inner()))
        .await?;
    let Some(before) = before else {
        if output.is_json() {
            return Ok(output.document(&flushed)?);
        }
        let names = words::escaped(&flushed.domains.join(", "));
        return Ok(output.line(&format!("flushed {names}"))?);
    };
    let after = Drain::of(&flushed.domains).watch(servers, output).await?;
    let seconds = started.elapsed().as_secs_f64();
    let drained = Drained::of(flushed.domains, &before, &after, seconds);
    if output.is_json() {
        return Ok(output.document(&drained)?);
    }
    Ok(output.line(&drained.words())?)
}

impl Drained {
    /// What has become of these domains between one status and another.
    fn of(
        domains: Vec<String>,
        before: &StatusResponse,
        after: &StatusResponse,
        seconds: f64,
    ) -> Self {
        let rejected = |status| total(status, &domains, |domain| domain.rejected);
        Self {
            rejected: rejected(after).saturating_sub(rejected(before)),
            held: total(after, &domains, |domain| domain.held),
            domains,
            seconds,
        }
    }

    fn words(&self) -> String {
        let mut line = format!("drained in {:.1} s", self.seconds);
        if self.rejected > 0 {
            let messages = words::count(self.rejected, "message");
            line.push_str(&format!(
                "; the primary refused {messages} (layover queue list --state rejected)"
            ));
        }
        if self.held > 0 {
            let messages = words::count(self.held, "message");
            line.push_str(&format!(
                "; not waited for: {messages} that operators hold (layover queue list --state held)"
            ));
        }
        line
    }
}

/// Mail that leaves while somebody watches.
struct Drain<'a> {
    names: &'a [String],
    before: Option<(Instant, u64)>,
    /// So many messages were left at some time.
    most: u64,
    /// What it was said to wait for.
    told: String,
}

impl<'a> Drain<'a> {
    const fn of(names: &'a [String]) -> Self {
        Self {
            names,
            before: None,
            most: 0,
            told: String::new(),
        }
    }

    /// Watches until nothing is left to deliver; returns what is so then.
    async fn watch(
        mut self,
        servers: &Servers,
        output: &mut Output,
    ) -> anyhow::Result<StatusResponse> {
        let mut heard = Instant::now();
        loop {
            match status::fetch(servers).await {
                Ok(status) => {
                    heard = Instant::now();
                    let left = left(&status, self.names);
                    if left == 0 {
                        output.end_progress()?;
                        return Ok(status);
                    }
                    self.show(output, &status, left, heard)?;
                }
                Err(error) if heard.elapsed() > SILENCE_MAX => {
                    output.end_progress()?;
                    bail!(error);
                }
                Err(error) => self.tell(output, words::escaped(&format!("{error:#}")))?,
            }
            tokio::time::sleep(PROGRESS_INTERVAL).await;
        }
    }

    /// Where a person watches, how far it is; elsewhere, only what has changed besides the figures.
    fn show(
        &mut self,
        output: &mut Output,
        status: &StatusResponse,
        left: u64,
        now: Instant,
    ) -> anyhow::Result<()> {
        let (before, names) = (self.before.replace((now, left)), self.names);
        if before.is_none() && !output.is_json() {
            let domains = words::escaped(&names.join(", "));
            output.line(&format!(
                "flushed {domains}: {} left",
                words::count(left, "message")
            ))?;
        }
        let obstacles = obstacles(status, names);
        if output.is_json() || !output.is_terminal() {
            return self.tell(output, obstacles);
        }
        self.told.clear();
        let rate = before.map(|(at, more)| rate(more, left, now.duration_since(at)));
        self.most = left.max(self.most);
        let mut line = figures(status, names, left, rate);
        if !obstacles.is_empty() {
            line.push_str(&format!("; {obstacles}"));
        }
        Ok(output.progress_of(self.most - left, self.most, &line)?)
    }

    /// Says what is waited for, or that it is over, unless that was said last.
    fn tell(&mut self, output: &mut Output, words: String) -> anyhow::Result<()> {
        if words != self.told {
            let line = if words.is_empty() {
                "it goes on"
            } else {
                &words
            };
            output.progress(line)?;
            self.told = words;
        }
        Ok(())
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

/// Messages that are still to be delivered.
fn left(status: &StatusResponse, names: &[String]) -> u64 {
    total(status, names, left_of)
}

const fn left_of(domain: &DomainStatus) -> u64 {
    domain.waiting.saturating_add(domain.deferred)
}

fn rate(before: u64, now: u64, elapsed: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    let gone = before.saturating_sub(now) as f64;
    gone / elapsed.as_secs_f64().max(0.001)
}

fn figures(status: &StatusResponse, names: &[String], left: u64, rate: Option<f64>) -> String {
    let mut line = format!("{} left", words::count(left, "message"));
    let waiting = total(status, names, |domain| domain.waiting);
    if waiting < left {
        line.push_str(&format!(", {} of them deferred", left - waiting));
    }
    if let Some(rate) = rate {
        line.push_str(&format!(", {rate:.0} a second"));
    }
    line
}

/// What keeps the mail from leaving. For how long does not stand there: it would be something else each time.
fn obstacles(status: &StatusResponse, names: &[String]) -> String {
    let mut obstacles = Vec::new();
    for domain in flushed(status, names).filter(|domain| left_of(domain) > 0) {
        let name = words::escaped(&domain.name);
        if domain.paused.is_some() {
            obstacles.push(format!("{name} is paused"));
        }
        let guard = domain.guard.as_ref();
        if let Some(guard) = guard.filter(|guard| guard.tripped_ms.is_some()) {
            let why = guard.why.as_deref().unwrap_or("it failed its trial");
            let why = words::escaped(why);
            obstacles.push(format!(
                "{name} is held back by the recovery guard: {why} (when its primary is mended: layover domain \
                 resume {name})"
            ));
        }
        if domain.primary_state == "down" {
            let reason = domain.reason.as_deref().unwrap_or("no reason is known");
            let reason = words::escaped(reason);
            obstacles.push(format!("the primary of {name} is down: {reason}"));
        }
    }
    obstacles.join("; ")
}

#[cfg(test)]
mod tests {
    use api::admin::v1::{Pause, RecoveryGuard};

    use super::*;

    #[test]
    fn what_is_said_at_the_end_is_of_this_flush() {
        let status = |rejected, held| StatusResponse {
            domains: vec![DomainStatus {
                name: "a.example".to_owned(),
                rejected,
                held,
                ..DomainStatus::default()
            }],
            ..StatusResponse::default()
        };
        let words = |before, after| {
            let domains = vec!["a.example".to_owned()];
            Drained::of(domains, &before, &after, 1.0).words()
        };
        assert_eq!(words(status(2, 0), status(2, 0)), "drained in 1.0 s");
        assert_eq!(
            words(status(2, 0), status(3, 2)),
            "drained in 1.0 s; the primary refused 1 message (layover queue list --state rejected); not waited for: \
             2 messages that operators hold (layover queue list --state held)"
        );
    }

    #[test]
    fn all_that_keeps_mail_from_leaving_is_named() {
        let domain = DomainStatus {
            name: "a.example".to_owned(),
            waiting: 1,
            paused: Some(Pause::default()),
            guard: Some(RecoveryGuard {
                begun_ms: 1,
                tripped_ms: None,
                why: None,
            }),
            ..DomainStatus::default()
        };
        let told = |domain: &DomainStatus| {
            let status = StatusResponse {
                domains: vec![domain.clone()],
                ..StatusResponse::default()
            };
            obstacles(&status, &["a.example".to_owned()])
        };
        assert_eq!(told(&domain), "a.example is paused", "a trial goes on");
        let tripped = DomainStatus {
            paused: None,
            guard: Some(RecoveryGuard {
                begun_ms: 1,
                tripped_ms: Some(2),
                why: Some("550 for all".to_owned()),
            }),
            ..domain
        };
        assert_eq!(
            told(&tripped),
            "a.example is held back by the recovery guard: 550 for all (when its primary is mended: layover domain \
             resume a.example)"
        );
    }

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
        assert_eq!(left(&status, &names), 7);
        assert_eq!(
            figures(&status, &names, 7, Some(2.4)),
            "7 messages left, 2 of them deferred, 2 a second"
        );
        assert_eq!(
            obstacles(&status, &names),
            "the primary of a.example is down: no reason is known"
        );
        assert_eq!(obstacles(&status, &["b.example".to_owned()]), "");
    }
}
