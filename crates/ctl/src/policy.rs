//! `layover policy show`, `apply` and `diff`.

mod difference;
mod files;

use std::{fmt, path::Path};

use api::admin::v1::{
    PolicyApplyRequest, PolicyApplyResponse, PolicyShowRequest, PolicyShowResponse,
};
use serde::Serialize;

use crate::{
    arguments::PolicyCommand,
    output::Output,
    servers::{Client, Servers},
    words,
};
use files::Files;

/// What is wrong with a policy: one line for each mistake, as `FILE:LINE:COLUMN: what and how it would be
/// right`.
#[derive(Debug)]
pub(crate) struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|line| words::escaped(line)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

/// What `policy diff --json` prints.
#[derive(Debug, Serialize)]
struct Diff {
    /// The version in force.
    version: u64,
    equal: bool,
    diff: String,
}

pub(crate) async fn run(
    servers: &Servers,
    output: &mut Output,
    command: PolicyCommand,
) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Show => show(servers, output).await,
        PolicyCommand::Apply { file } => apply(servers, output, &file).await,
        PolicyCommand::Diff { file } => diff(servers, output, &file).await,
    }
}

async fn fetch(servers: &Servers) -> anyhow::Result<PolicyShowResponse> {
    servers
        .ask(async |mut client: Client| {
            Ok(client.policy_show(PolicyShowRequest {}).await?.into_inner())
        })
        .await
}

/// The text as it is, so that it can be written to a file; which one it is where a person watches.
async fn show(servers: &Servers, output: &mut Output) -> anyhow::Result<()> {
    let policy = fetch(servers).await?;
    if output.is_json() {
        return Ok(output.document(&policy)?);
    }
    if output.is_terminal() {
        output.line(&format!("# {}", title(&policy)))?;
    }
    output.text(&policy.text)?;
    Ok(output.flush()?)
}

/// `policy 3, in force since 2026-01-31T12:00:00Z, applied by root`.
fn title(policy: &PolicyShowResponse) -> String {
    let mut title = format!("policy {}", policy.version);
    if let Some(since_ms) = policy.since_ms {
        title.push_str(&format!(", in force since {}", words::moment(since_ms)));
    }
    if let Some(by) = &policy.by {
        title.push_str(&format!(", applied by {}", words::escaped(by)));
    }
    title
}

async fn diff(servers: &Servers, output: &mut Output, file: &Path) -> anyhow::Result<()> {
    let files = Files::read(file)?;
    let in_force = fetch(servers).await?;
    let diff = difference::between(&in_force, &files);
    if output.is_json() {
        return Ok(output.document(&Diff {
            version: in_force.version,
            equal: diff.is_empty(),
            diff,
        })?);
    }
    if diff.is_empty() {
        return Ok(output.line(&format!("no difference: {}", title(&in_force)))?);
    }
    for line in words::escaped_lines(&diff) {
        output.line(&line)?;
    }
    Ok(())
}

async fn apply(servers: &Servers, output: &mut Output, file: &Path) -> anyhow::Result<()> {
    let files = Files::read(file)?;
    let request = PolicyApplyRequest {
        text: files.text.clone(),
        lists: files.lists.clone(),
        replaces: None,
        by: String::new(),
    };
    let applied = servers
        .ask(async |mut client: Client| {
            Ok(client.policy_apply(request.clone()).await?.into_inner())
        })
        .await?;
    if !applied.mistakes.is_empty() {
        let mistakes = applied.mistakes.iter();
        let lines = mistakes.map(|mistake| files.located(mistake));
        return Err(Mistakes(lines.collect()).into());
    }
    if output.is_json() {
        return Ok(output.document(&applied)?);
    }
    for line in summary(&applied) {
        output.line(&line)?;
    }
    Ok(())
}

fn summary(applied: &PolicyApplyResponse) -> Vec<String> {
    let version = applied.version;
    let mut lines = Vec::new();
    if applied.changed {
        lines.push(format!("policy {version} is in force"));
        let parts = [
            ("new", &applied.added),
            ("changed", &applied.altered),
            ("gone", &applied.removed),
        ];
        for (what, domains) in parts {
            if !domains.is_empty() {
                lines.push(format!("{what}: {}", words::escaped(&domains.join(", "))));
            }
        }
        if lines.len() == 1 {
            lines.push("no domain has changed".to_owned());
        }
    } else {
        lines.push(format!(
            "no difference: policy {version} is in force already"
        ));
    }
    let warnings = applied.warnings.iter();
    lines.extend(warnings.map(|warning| format!("! {}", words::escaped(warning))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_told_by_domain() {
        let mut applied = PolicyApplyResponse {
            version: 3,
            changed: true,
            added: vec!["a.example".to_owned(), "b.example".to_owned()],
            removed: vec!["c.example".to_owned()],
            warnings: vec!["2 messages wait.".to_owned()],
            ..PolicyApplyResponse::default()
        };
        assert_eq!(
            summary(&applied),
            [
                "policy 3 is in force",
                "new: a.example, b.example",
                "gone: c.example",
                "! 2 messages wait."
            ]
        );
        applied = PolicyApplyResponse {
            version: 3,
            changed: true,
            ..PolicyApplyResponse::default()
        };
        assert_eq!(summary(&applied)[1], "no domain has changed");
        applied.changed = false;
        let same = ["no difference: policy 3 is in force already"];
        assert_eq!(summary(&applied), same);
    }
}
