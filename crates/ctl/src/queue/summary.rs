//! `layover queue summary`.

use anyhow::bail;
use api::admin::v1::{AgeBucket, QueueSummaryRequest, QueueSummaryRow};
use comfy_table::Table;

use crate::{
    output::Output,
    servers::{Client, Servers, in_time},
    words,
};

/// Shows how many messages stand in each domain's queue, by age.
pub(crate) async fn summary(servers: &Servers, output: &mut Output) -> anyhow::Result<()> {
    let mut answers = servers
        .ask(async |mut client: Client| {
            Ok(client
                .queue_summary(QueueSummaryRequest {})
                .await?
                .into_inner())
        })
        .await?;
    let mut last = None;
    loop {
        match in_time(answers.message()).await {
            Ok(Some(answer)) => last = Some(answer),
            Ok(None) => break,
            Err(status) => bail!("counting broke off: {}", status.message()),
        }
    }
    let rows = last.map(|last| last.rows).unwrap_or_default();
    if output.is_json() {
        return Ok(output.document(&rows)?);
    }
    if rows.is_empty() {
        return Ok(output.line("No messages.")?);
    }
    Ok(output.table(table(&rows))?)
}

fn table(rows: &[QueueSummaryRow]) -> Table {
    let mut table = Table::new();
    let buckets = rows.first().map(|row| row.buckets.as_slice());
    let ages = headings(buckets.unwrap_or_default());
    let mut header = vec![
        "DOMAIN".to_owned(),
        "MESSAGES".to_owned(),
        "SIZE".to_owned(),
    ];
    header.extend(ages);
    table.set_header(header);
    for row in rows {
        let total: u64 = row.buckets.iter().map(|bucket| bucket.messages).sum();
        let bytes: u64 = row.buckets.iter().map(|bucket| bucket.bytes).sum();
        let mut cells = vec![
            words::escaped(&row.domain),
            total.to_string(),
            words::size(bytes),
        ];
        cells.extend(row.buckets.iter().map(cell));
        table.add_row(cells);
    }
    table
}

/// `< 5 minutes`, ..., `7 days and more`.
fn headings(buckets: &[AgeBucket]) -> Vec<String> {
    let mut from = 0;
    let mut headings = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        headings.push(match bucket.below_ms {
            Some(below) => format!("< {}", words::span(below)),
            None => format!("{} AND MORE", words::span(from)),
        });
        from = bucket.below_ms.unwrap_or(from);
    }
    headings
}

fn cell(bucket: &AgeBucket) -> String {
    match bucket.messages {
        0 => "-".to_owned(),
        messages => format!("{messages} ({})", words::size(bucket.bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_has_its_column() {
        let bucket = |below_ms, messages| AgeBucket {
            below_ms,
            messages,
            bytes: 1024 * messages,
        };
        let row = QueueSummaryRow {
            domain: "example.com".to_owned(),
            buckets: vec![
                bucket(Some(300_000), 2),
                bucket(Some(3_600_000), 0),
                bucket(None, 1),
            ],
        };
        let text = table(&[row]).to_string();
        for word in [
            "< 5 minutes",
            "< 1 hour",
            "1 hour AND MORE",
            "2 (2 KiB)",
            "3 KiB",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
