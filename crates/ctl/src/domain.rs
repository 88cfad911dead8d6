//! `layover domain list` and `probe`.

mod outages;
mod pausing;

use anyhow::bail;
use api::admin::v1::{
    DomainEntry, DomainListRequest, DomainPauseRequest, DomainProbeRequest, DomainProbeStep,
    DomainResumeRequest, OutageListRequest,
};
use comfy_table::Table;
use tonic::Status;

use crate::{
    arguments::DomainCommand,
    output::Output,
    servers::{Client, Servers, in_time},
    status, words,
};

/// Does what the command says.
pub(crate) async fn run(
    servers: &Servers,
    output: &mut Output,
    command: DomainCommand,
) -> anyhow::Result<()> {
    match command {
        DomainCommand::List => list(servers, output).await,
        DomainCommand::Probe { domain } => probe(servers, output, domain).await,
        DomainCommand::Outages { domain } => {
            let request = OutageListRequest { domain, limit: 0 };
            outages::list(servers, output, request).await
        }
        DomainCommand::Pause {
            domain,
            span,
            reason,
        } => {
            let for_ms = span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
            let request = DomainPauseRequest {
                domain,
                for_ms,
                reason,
            };
            pausing::pause(servers, output, request).await
        }
        DomainCommand::Resume { domain, reason } => {
            let request = DomainResumeRequest { domain, reason };
            pausing::resume(servers, output, request).await
        }
    }
}

async fn list(servers: &Servers, output: &mut Output) -> anyhow::Result<()> {
    let listed = servers
        .ask(async |mut client: Client| {
            Ok(client.domain_list(DomainListRequest {}).await?.into_inner())
        })
        .await?;
    if output.is_json() {
        return Ok(output.document(&listed)?);
    }
    let mut table = Table::new();
    table.set_header([
        "DOMAIN",
        "PRIMARY",
        "WAITING",
        "DEFERRED",
        "AT MOST",
        "RECIPIENTS",
        "ROUTE",
    ]);
    for entry in &listed.domains {
        table.add_row(row(entry, listed.now_ms));
    }
    Ok(output.table(table)?)
}

fn row(entry: &DomainEntry, now_ms: u64) -> [String; 7] {
    let domain = entry.status.clone().unwrap_or_default();
    let at_most = match entry.messages_per_second {
        0 => "-".to_owned(),
        rate => format!("{rate} a second"),
    };
    let route = words::escaped(&entry.route);
    [
        words::escaped(&domain.name),
        status::primary_state(&domain, now_ms),
        domain.waiting.to_string(),
        domain.deferred.to_string(),
        at_most,
        entry.recipients.clone(),
        if entry.by_mx {
            format!("by MX: {route}")
        } else {
            route
        },
    ]
}

async fn probe(servers: &Servers, output: &mut Output, domain: String) -> anyhow::Result<()> {
    let request = DomainProbeRequest {
        domain: domain.clone(),
    };
    let mut steps = servers
        .ask(async |mut client: Client| {
            Ok(client.domain_probe(request.clone()).await?.into_inner())
        })
        .await?;
    let mut is_first = true;
    let mut is_ready = None;
    let end = loop {
        let step = match in_time(steps.message()).await {
            Ok(Some(step)) => step,
            Ok(None) => break Ok(()),
            Err(status) => break Err(broken_off(&status)),
        };
        is_ready = step.ready.or(is_ready);
        if output.is_json() {
            output.array_element(is_first, &step)?;
        } else if step.ready.is_none() {
            output.line(&line(&step))?;
        }
        is_first = false;
    };
    // What breaks off is one document, too.
    if output.is_json() && (end.is_ok() || !is_first) {
        output.array_end(is_first)?;
        output.flush()?;
    }
    end?;
    match is_ready {
        Some(true) if output.is_json() => Ok(output.flush()?),
        Some(true) => Ok(output.line(&format!(
            "The primary of {} is ready.",
            words::escaped(&domain)
        ))?),
        Some(false) => bail!("the primary of {domain} is not ready"),
        None => bail!("the probe broke off"),
    }
}

/// `     12 ms  mail.example.com:25: connected to 192.0.2.10:25`.
fn line(step: &DomainProbeStep) -> String {
    let mark = if step.sound && !step.warning {
        ' '
    } else {
        '!'
    };
    format!(
        "{:>7} ms {mark} {}",
        step.took_ms,
        words::escaped(&step.words)
    )
}

fn broken_off(status: &Status) -> anyhow::Error {
    anyhow::anyhow!("the probe broke off: {}", status.message())
}

#[cfg(test)]
mod tests {
    use api::admin::v1::DomainStatus;

    use super::*;

    #[test]
    fn a_domain_that_goes_by_mx_records_says_so() {
        let entry = DomainEntry {
            status: Some(DomainStatus {
                name: "example.com".to_owned(),
                in_policy: true,
                primary_state: "up".to_owned(),
                since_ms: Some(1_000),
                waiting: 3,
                ..DomainStatus::default()
            }),
            route: "mail.example.com (10) -> 192.0.2.10".to_owned(),
            by_mx: true,
            recipients: "any".to_owned(),
            messages_per_second: 5,
        };
        assert_eq!(
            row(&entry, 61_000),
            [
                "example.com",
                "up for 1 minute",
                "3",
                "0",
                "5 a second",
                "any",
                "by MX: mail.example.com (10) -> 192.0.2.10",
            ]
        );
    }

    #[test]
    fn what_a_primary_says_does_not_reach_the_terminal_as_it_is() {
        let step = DomainProbeStep {
            words: "mail:25: greets: 220 \u{1b}[2J".to_owned(),
            took_ms: 12,
            sound: false,
            ready: None,
            warning: false,
        };
        assert_eq!(line(&step), "     12 ms ! mail:25: greets: 220 \\u{1b}[2J");
    }
}
