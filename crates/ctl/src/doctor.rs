//! `layover doctor`.

mod allow_list;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, bail, ensure};
use api::admin::v1::{DoctorRequest, Finding};
use serde::Serialize;
use tokio::time::Instant;

pub(crate) use allow_list::show as allow_list;

use crate::{
    grade::Grade,
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Longer than a node takes to look at everything.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a command with `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    /// The node that has looked.
    node_id: u64,
    problems: usize,
    warnings: usize,
    findings: &'a [Finding],
    /// The zone lines of all findings, each once.
    zone: Vec<&'a str>,
}

/// Has a node look at everything; fails when something is wrong. `shows_all` also shows what is as it should be.
pub(crate) async fn examine(
    servers: &Servers,
    output: &mut Output,
    domain: Option<String>,
    shows_all: bool,
) -> anyhow::Result<()> {
    let request = DoctorRequest { domain };
    let mut told = servers
        .ask(async |mut client: Client| Ok(client.doctor(request.clone()).await?.into_inner()))
        .await?;
    let until = Instant::now() + PATIENCE;
    let mut findings = Vec::new();
    let ended = loop {
        match tokio::time::timeout_at(until, told.message()).await {
            Ok(Ok(Some(finding))) => findings.push(finding),
            Ok(Ok(None)) => break Ok(()),
            Ok(Err(status)) => break Err(anyhow::anyhow!("{}", status.message())),
            Err(_) => break Err(anyhow::anyhow!("no end within {} s", PATIENCE.as_secs())),
        }
    };
    findings.sort_by(|a, b| place(a).cmp(&place(b)));
    show(output, &findings, shows_all)?;
    ended.context("the examination broke off")?;
    ensure!(!findings.is_empty(), "the node has told nothing");
    match count(&findings, "problem") {
        0 => Ok(()),
        1 => bail!("1 problem was found"),
        count => bail!("{count} problems were found"),
    }
}

/// The gravest first; those of one subject stand together.
fn place(finding: &Finding) -> (usize, &str, &str, &str) {
    let order = ["problem", "warning", "skipped", "ok"];
    let verdict = order.iter().position(|word| *word == finding.verdict);
    (
        verdict.unwrap_or(order.len()),
        &finding.subject,
        &finding.check,
        &finding.text,
    )
}

fn count(findings: &[Finding], verdict: &str) -> usize {
    let such = findings.iter().filter(|finding| finding.verdict == verdict);
    such.count()
}

/// Each line once, in the order of the findings.
fn zone(findings: &[Finding]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let lines = findings.iter().flat_map(|finding| &finding.zone);
    lines
        .map(String::as_str)
        .filter(|line| seen.insert(*line))
        .collect()
}

fn show(output: &mut Output, findings: &[Finding], shows_all: bool) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(output.document(&Document {
            node_id: findings.first().map_or(0, |finding| finding.node_id),
            problems: count(findings, "problem"),
            warnings: count(findings, "warning"),
            findings,
            zone: zone(findings),
        })?);
    }
    for line in lines(findings, shows_all) {
        let (verdict, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
        output.graded_line(grade(verdict), verdict, rest)?;
    }
    Ok(())
}

/// How bad a verdict is; none for a line that does not begin with one.
fn grade(verdict: &str) -> Option<Grade> {
    match verdict {
        "problem" => Some(Grade::Wrong),
        "warning" => Some(Grade::Odd),
        "ok" => Some(Grade::Well),
        _ => None,
    }
}

/// What a person reads.
fn lines(findings: &[Finding], shows_all: bool) -> Vec<String> {
    let Some(first) = findings.first() else {
        return Vec::new();
    };
    let mut lines = vec![format!("As node {} sees it:", first.node_id)];
    let shown = findings
        .iter()
        .filter(|finding| shows_all || finding.verdict != "ok");
    lines.extend(shown.map(line));
    let fine = u64::try_from(count(findings, "ok")).unwrap_or(u64::MAX);
    if !shows_all && fine > 0 {
        lines.push(format!(
            "{} as it should be (--all shows them).",
            match fine {
                1 => "1 check found everything".to_owned(),
                _ => format!("{fine} checks found everything"),
            }
        ));
    }
    let zone = zone(findings);
    if !zone.is_empty() {
        lines.push(String::new());
        lines.push("Lines that are missing in your zones, or stand there otherwise:".to_owned());
        lines.extend(zone.into_iter().map(words::escaped));
    }
    lines
}

/// `problem  mx           example.com: node 3 (mx3.example.net) is not among its MX hosts`.
fn line(finding: &Finding) -> String {
    format!(
        "{:<8} {:<12} {}: {}",
        words::escaped(&finding.verdict),
        words::escaped(&finding.check),
        words::escaped(&finding.subject),
        words::escaped(&finding.text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: &str, subject: &str, text: &str, zone: &[&str]) -> Finding {
        Finding {
            check: "mx".to_owned(),
            subject: subject.to_owned(),
            verdict: verdict.to_owned(),
            text: text.to_owned(),
            zone: zone.iter().map(|line| (*line).to_owned()).collect(),
            node_id: 2,
        }
    }

    #[test]
    fn problems_come_first_and_what_is_fine_is_counted() {
        let line = "example.com. IN MX 20 mx3.example.net.";
        let mut findings = [
            finding("ok", "example.org", "all three", &[]),
            finding("skipped", "example.net", "no answer\u{1b}[2J", &[]),
            finding("problem", "example.com", "no mx3", &[line]),
            finding("problem", "example.com", "no order", &[line, "b"]),
            finding("warning", "example.com", "odd", &[]),
        ];
        findings.sort_by(|a, b| place(a).cmp(&place(b)));
        let expected = [
            "As node 2 sees it:",
            "problem  mx           example.com: no mx3",
            "problem  mx           example.com: no order",
            "warning  mx           example.com: odd",
            "skipped  mx           example.net: no answer\\u{1b}[2J",
            "1 check found everything as it should be (--all shows them).",
            "",
            "Lines that are missing in your zones, or stand there otherwise:",
            line,
            "b",
        ];
        assert_eq!(lines(&findings, false), expected);
        let all = lines(&findings, true);
        assert_eq!(all[5], "ok       mx           example.org: all three");
        assert_eq!(lines(&findings[4..], true).len(), 2, "no zone, no heading");
    }
}
