//! `layover domain outages`.

use api::admin::v1::{Outage, OutageListRequest};
use comfy_table::Table;

use crate::{
    output::Output,
    servers::{Client, Servers},
    words,
};

/// Lists them, the latest first.
pub(super) async fn list(
    servers: &Servers,
    output: &mut Output,
    request: OutageListRequest,
) -> anyhow::Result<()> {
    let listed = servers
        .ask(async |mut client: Client| Ok(client.outage_list(request.clone()).await?.into_inner()))
        .await?;
    if output.is_json() {
        return Ok(output.document(&listed)?);
    }
    if listed.outages.is_empty() {
        return Ok(output.line("No outage is known.")?);
    }
    let mut table = Table::new();
    table.set_header([
        "DOMAIN",
        "FROM",
        "TO",
        "LASTED",
        "WAITED",
        "DELIVERED WITHIN",
    ]);
    for outage in &listed.outages {
        table.add_row(row(outage, listed.now_ms));
    }
    output.table(table)?;
    Ok(output.line(&format!(
        "What waited, and for how long it left, is told as far as the node has seen it: since {}.",
        words::moment(listed.seen_since_ms)
    ))?)
}

fn row(outage: &Outage, now_ms: u64) -> [String; 6] {
    let end = outage.until_ms.unwrap_or(now_ms);
    let unknown = || "?".to_owned();
    [
        words::escaped(&outage.domain),
        words::moment(outage.since_ms),
        outage
            .until_ms
            .map_or_else(|| "it lasts".to_owned(), words::moment),
        words::span(end.saturating_sub(outage.since_ms)),
        outage
            .messages
            .map_or_else(unknown, |count| count.to_string()),
        match (outage.until_ms, outage.drain_ms) {
            (None, _) => String::new(),
            (_, Some(drain)) => words::span(drain),
            (_, None) if outage.is_draining => "still leaving".to_owned(),
            (_, None) => unknown(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_what_is_known() {
        let lasting = Outage {
            domain: "example.com".to_owned(),
            since_ms: 1_700_000_000_000,
            messages: Some(7),
            ..Outage::default()
        };
        let begun = "2023-11-14T22:13:20Z";
        let cells = row(&lasting, 1_700_000_060_000);
        assert_eq!(
            cells,
            ["example.com", begun, "it lasts", "1 minute", "7", ""]
        );
        let ended = Outage {
            until_ms: Some(1_700_000_120_000),
            messages: None,
            ..lasting
        };
        let end = "2023-11-14T22:15:20Z";
        let cells = row(&ended, 1_700_000_200_000);
        assert_eq!(cells, ["example.com", begun, end, "2 minutes", "?", "?"]);
        let drained = Outage {
            messages: Some(7),
            drain_ms: Some(3_000),
            ..ended
        };
        assert_eq!(row(&drained, 0)[4..], ["7", "3 seconds"]);
    }
}
