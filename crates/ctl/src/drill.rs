//! `layover drill`.

use std::time::Duration;

use anyhow::{bail, ensure};
use api::admin::v1::{DrillRequest, DrillStep};
use tokio::time::timeout;

use crate::{
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Longer than a node waits for any one step.
const PATIENCE: Duration = Duration::from_secs(120);

/// Has a node hold a drill, and shows each step as it is done; fails unless all messages have arrived.
pub(crate) async fn drill(
    servers: &Servers,
    output: &mut Output,
    domain: Option<String>,
) -> anyhow::Result<()> {
    let request = DrillRequest { domain };
    let mut told = servers
        .ask(async |mut client: Client| Ok(client.drill(request.clone()).await?.into_inner()))
        .await?;
    let mut last_steps = Vec::new();
    let mut is_first = true;
    let mut shown = String::new();
    let ended = loop {
        let step = match timeout(PATIENCE, told.message()).await {
            Ok(Ok(Some(step))) => step,
            Ok(Ok(None)) => break Ok(()),
            Ok(Err(status)) => break Err(anyhow::anyhow!("{}", status.message())),
            Err(_) => break Err(anyhow::anyhow!("no step within {} s", PATIENCE.as_secs())),
        };
        if output.is_json() {
            output.array_element(is_first, &step)?;
        } else {
            if step.domain != shown {
                output.line(&format!("{}:", words::escaped(&step.domain)))?;
                shown.clone_from(&step.domain);
            }
            for line in lines(&step) {
                output.line(&line)?;
            }
        }
        is_first = false;
        if step.outcome.is_some() {
            last_steps.push(step);
        }
    };
    if output.is_json() {
        output.array_end(is_first)?;
        output.flush()?;
    }
    if let Err(error) = ended {
        bail!("the drill broke off: {error}");
    }
    let told = verdict(&last_steps)?;
    if !output.is_json() {
        output.line(&told)?;
    }
    Ok(())
}

/// `     12 ms   mx1.example.net:25: connected to 192.0.2.1:25`, and below it what to do.
fn lines(step: &DrillStep) -> Vec<String> {
    let mark = if step.sound { ' ' } else { '!' };
    let words = words::escaped(&step.words);
    let mut lines = vec![format!("{:>7} ms {mark} {words}", step.took_ms)];
    if let Some(advice) = &step.advice {
        lines.push(format!("           -> {}", words::escaped(advice)));
    }
    lines
}

/// What all of it has come to, by the last step of each host.
fn verdict(last_steps: &[DrillStep]) -> anyhow::Result<String> {
    ensure!(!last_steps.is_empty(), "the node has told nothing");
    let with = |outcome: &str| {
        let such = |step: &&DrillStep| step.outcome.as_deref() == Some(outcome);
        last_steps.iter().filter(such).count()
    };
    let (all, failed) = (last_steps.len(), with("failed"));
    if failed > 0 {
        bail!("the drill failed: {failed} of {all} ways to the primary did not work");
    }
    match with("delivered") {
        delivered if delivered == all => Ok(format!(
            "The drill is complete: {all} of {all} messages have arrived."
        )),
        delivered => bail!(
            "the drill is not complete: {delivered} of {all} messages have arrived, the others wait"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(outcome: Option<&str>) -> DrillStep {
        DrillStep {
            domain: "example.com".to_owned(),
            host: "mx1.example.net".to_owned(),
            words: "mx1.example.net: says \u{1b}[2J".to_owned(),
            took_ms: 12,
            sound: outcome != Some("failed"),
            id: None,
            outcome: outcome.map(str::to_owned),
            advice: (outcome == Some("failed")).then(|| "look there".to_owned()),
        }
    }

    #[test]
    fn a_step_is_a_line_with_what_to_do_below_it() {
        assert_eq!(
            lines(&step(None)),
            ["     12 ms   mx1.example.net: says \\u{1b}[2J"]
        );
        assert_eq!(
            lines(&step(Some("failed"))),
            [
                "     12 ms ! mx1.example.net: says \\u{1b}[2J",
                "           -> look there"
            ]
        );
    }

    #[test]
    fn only_what_has_arrived_everywhere_is_complete() {
        let told = |outcomes: &[&str]| {
            let steps: Vec<DrillStep> = outcomes.iter().map(|it| step(Some(it))).collect();
            verdict(&steps).map_err(|error| error.to_string())
        };
        let complete = told(&["delivered", "delivered"]).unwrap();
        assert!(complete.contains("2 of 2"), "{complete}");
        let waiting = told(&["delivered", "waiting"]).unwrap_err();
        assert!(waiting.contains("not complete: 1 of 2"), "{waiting}");
        let failed = told(&["failed", "waiting", "delivered"]).unwrap_err();
        assert!(failed.contains("failed: 1 of 3"), "{failed}");
        assert!(told(&[]).is_err());
    }
}
