//! `layover replay`: delivers again what the primary has lost.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::admin::v1::{ReplayProgress, ReplayRequest};

use crate::{
    output::Output,
    servers::{Client, Servers, in_time},
    since::Since,
    words,
};

/// How often it is told how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Has it delivered again, and tells how much.
pub(crate) async fn replay(
    servers: &Servers,
    output: &mut Output,
    since: Since,
    domain: Option<String>,
) -> anyhow::Result<()> {
    let request = ReplayRequest {
        since_ms: since.unix_ms(),
        domain,
    };
    let mut steps = servers
        .ask(async |mut client: Client| Ok(client.replay(request.clone()).await?.into_inner()))
        .await?;
    let mut last = ReplayProgress::default();
    let mut shown = Instant::now();
    loop {
        let step = in_time(steps.message())
            .await
            .map_err(|status| anyhow::anyhow!("{}: {}", summary(&last), status.message()));
        let Some(step) = step.context("the replay broke off; it may be started again")? else {
            break;
        };
        if shown.elapsed() >= PROGRESS_INTERVAL {
            shown = Instant::now();
            output.progress(&progress(&step))?;
        }
        last = step;
    }
    output.end_progress()?;
    if output.is_json() {
        return Ok(output.document(&last)?);
    }
    let since = words::moment(request.since_ms);
    Ok(output.line(&format!("since {since}: {}", summary(&last)))?)
}

fn progress(step: &ReplayProgress) -> String {
    format!("{}, {} left", summary(step), step.left)
}

/// `3 messages are delivered again; of 2 messages the body is gone`.
fn summary(told: &ReplayProgress) -> String {
    let are = if told.replayed == 1 { "is" } else { "are" };
    let mut summary = format!(
        "{} {are} delivered again",
        words::count(told.replayed, "message")
    );
    if told.gone > 0 {
        let gone = words::count(told.gone, "message");
        summary.push_str(&format!("; of {gone} the body is gone"));
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_replayed_is_told() {
        let told = |replayed, gone| {
            summary(&ReplayProgress {
                replayed,
                gone,
                left: 0,
            })
        };
        assert_eq!(told(1, 0), "1 message is delivered again");
        assert_eq!(told(0, 0), "0 messages are delivered again");
        assert_eq!(
            told(3, 2),
            "3 messages are delivered again; of 2 messages the body is gone"
        );
    }
}
