//! `layover status`.

use api::admin::v1::{DomainStatus, Pause, StatusRequest, StatusResponse};
use comfy_table::Table;

use crate::{
    cluster::members,
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Shows nodes, domains and what is wrong.
pub(crate) async fn show(servers: &Servers, output: &mut Output) -> anyhow::Result<()> {
    let status = fetch(servers).await?;
    if output.is_json() {
        return Ok(output.document(&status)?);
    }
    output.line(&headline(&status))?;
    output.line("")?;
    if let Some(cluster) = &status.cluster {
        output.table(members(cluster))?;
        output.line("")?;
    }
    output.table(domains(&status))?;
    output.line("")?;
    if status.troubles.is_empty() {
        output.line("All is well.")?;
    }
    for trouble in &status.troubles {
        output.line(&format!("! {}", words::escaped(trouble)))?;
    }
    Ok(())
}

/// Asks for the status.
pub(crate) async fn fetch(servers: &Servers) -> anyhow::Result<StatusResponse> {
    servers
        .ask(async |mut client: Client| Ok(client.status(StatusRequest {}).await?.into_inner()))
        .await
}

fn headline(status: &StatusResponse) -> String {
    let mut line = format!(
        "{}, layover {}",
        words::escaped(&status.hostname),
        status.version
    );
    if let Some(cluster) = &status.cluster {
        line.push_str(&format!(
            ", node {}: {}, {} free",
            cluster.node_id,
            if cluster.accepting {
                "takes mail"
            } else {
                "takes no mail"
            },
            words::size(cluster.free_bytes)
        ));
    }
    line
}

fn domains(status: &StatusResponse) -> Table {
    let mut table = Table::new();
    table.set_header([
        "DOMAIN", "PRIMARY", "WAITING", "DEFERRED", "HELD", "REJECTED", "SIZE", "OLDEST",
    ]);
    for domain in &status.domains {
        table.add_row([
            words::escaped(&domain.name),
            primary_state(domain, status.now_ms),
            domain.waiting.to_string(),
            domain.deferred.to_string(),
            domain.held.to_string(),
            domain.rejected.to_string(),
            words::size(domain.bytes),
            domain.oldest_ms.map_or_else(
                || "-".to_owned(),
                |at| words::span(status.now_ms.saturating_sub(at)),
            ),
        ]);
    }
    table
}

/// `down for 3 minutes: connection refused`.
pub(crate) fn primary(domain: &DomainStatus, now_ms: u64) -> String {
    let mut text = primary_state(domain, now_ms);
    if let Some(reason) = &domain.reason {
        text.push_str(&format!(": {}", words::escaped(reason)));
    }
    text
}

/// `down for 3 minutes`. The reason stands among the troubles.
pub(crate) fn primary_state(domain: &DomainStatus, now_ms: u64) -> String {
    if !domain.in_policy {
        return "not in the policy".to_owned();
    }
    let mut text = domain.primary_state.clone();
    if let Some(since_ms) = domain.since_ms {
        text.push_str(&format!(
            " for {}",
            words::span(now_ms.saturating_sub(since_ms))
        ));
    }
    if let Some(pause) = &domain.paused {
        text.push_str(&paused(pause, now_ms));
    }
    text
}

/// `, paused for 2 hours more`.
fn paused(pause: &Pause, now_ms: u64) -> String {
    match pause.until_ms {
        Some(until) => format!(
            ", paused for {} more",
            words::span(until.saturating_sub(now_ms))
        ),
        None => ", paused".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_is_told_in_words() {
        let domain = DomainStatus {
            in_policy: true,
            primary_state: "down".to_owned(),
            since_ms: Some(1_000),
            reason: Some("connection refused\u{1b}[31m".to_owned()),
            ..DomainStatus::default()
        };
        assert_eq!(
            primary(&domain, 61_000),
            "down for 1 minute: connection refused\\u{1b}[31m"
        );
    }
}
