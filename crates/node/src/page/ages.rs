//! How old the mail is that waits, domain by domain.
//!
//! To know that, every message is looked at. So it is counted only while somebody wants to see it, and with pauses
//! that are longer than the counting.

use std::{iter, time::Duration};

use api::admin::v1::{QueueSummaryRequest, QueueSummaryRow, admin_server::Admin as _};
use futures::StreamExt as _;
use maud::{Markup, html};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use tracing::warn;

use crate::{
    admin::AdminService,
    page::{
        table::{Column, table},
        words::{ago, span},
    },
};

/// How long it rests between two counts, at least.
const REST_MIN: Duration = Duration::from_secs(1);

/// How much longer than a count a rest is.
const REST_FACTOR: u32 = 9;

/// A count that is older is shown only where a newer one does not come in time.
const OLD: Duration = Duration::from_secs(2);

/// How long a newer count is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// The last count.
#[derive(Debug, Default)]
pub(super) struct Ages {
    wanted: Notify,
    last: watch::Sender<Option<Count>>,
}

/// All queues by age, as they were at a moment.
#[derive(Clone, Debug)]
pub(super) struct Count {
    at: Instant,
    rows: Vec<QueueSummaryRow>,
}

impl Ages {
    /// Counts while somebody asks, until the token is cancelled.
    pub(super) async fn run(&self, service: &AdminService, stop: CancellationToken) {
        let counting = async {
            loop {
                self.wanted.notified().await;
                let at = Instant::now();
                match count(service).await {
                    Ok(rows) => drop(self.last.send_replace(Some(Count { at, rows }))),
                    Err(status) => warn!(
                        error = status.message(),
                        "counting the queues by age failed"
                    ),
                }
                sleep(REST_MIN.max(at.elapsed() * REST_FACTOR)).await;
            }
        };
        stop.run_until_cancelled(counting).await;
    }

    /// The last count, which is followed by another one; `None` while there is none yet.
    pub(super) async fn last(&self) -> Option<Count> {
        self.wanted.notify_one();
        let mut last = self.last.subscribe();
        let is_new =
            |count: &Option<Count>| count.as_ref().is_some_and(|one| one.at.elapsed() < OLD);
        match timeout(PATIENCE, last.wait_for(is_new)).await {
            Ok(Ok(count)) => count.clone(),
            // An old one has to do.
            _ => self.last.borrow().clone(),
        }
    }
}

async fn count(service: &AdminService) -> Result<Vec<QueueSummaryRow>, Status> {
    let asked = service.queue_summary(Request::new(QueueSummaryRequest {}));
    let mut told = asked.await?.into_inner();
    let mut rows = Vec::new();
    while let Some(next) = told.next().await {
        rows = next?.rows;
    }
    Ok(rows)
}

/// The count as a table; nothing where no mail is.
pub(super) fn section(count: Option<&Count>) -> Markup {
    let Some(count) = count else {
        return html! { section { h2 { "By age" } p { "It is being counted." } } };
    };
    let Some(first) = count.rows.first() else {
        return html! {};
    };
    let ends: Vec<Option<u64>> = first.buckets.iter().map(|bucket| bucket.below_ms).collect();
    let headings = ends.iter().enumerate().map(|(place, end)| {
        let before = place.checked_sub(1).and_then(|place| ends.get(place));
        match (end, before) {
            (Some(end), _) => format!("under {}", span(*end)),
            (None, Some(Some(before))) => format!("over {}", span(*before)),
            (None, _) => "any age".to_owned(),
        }
    });
    let headings: Vec<String> = headings.collect();
    let figures = headings.iter().map(|heading| Column::Figures(heading));
    let columns: Vec<Column<'_>> = iter::once(Column::Words("Domain")).chain(figures).collect();
    let rows = html! {
        @for row in &count.rows {
            tr {
                th scope="row" { (row.domain) }
                @for bucket in &row.buckets { td .number { (bucket.messages) } }
            }
        }
    };
    let elapsed = u64::try_from(count.at.elapsed().as_millis()).unwrap_or(u64::MAX);
    html! {
        section aria-labelledby="ages" {
            h2 #ages { "By age" }
            (table(&columns, &rows))
            p .aside { "Messages, also held and refused ones, as counted " (ago(elapsed, 0)) " ago." }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::admin::v1::AgeBucket;

    use super::*;

    #[test]
    fn each_domain_has_its_ages() {
        let bucket = |below_ms, messages| AgeBucket {
            below_ms,
            messages,
            bytes: 0,
        };
        let row = QueueSummaryRow {
            domain: "a.example".to_owned(),
            buckets: vec![
                bucket(Some(300_000), 4),
                bucket(Some(86_400_000), 0),
                bucket(None, 9),
            ],
        };
        let count = Count {
            at: Instant::now(),
            rows: vec![row],
        };
        let shown = section(Some(&count)).into_string();
        for words in [
            "under 5 min</th>",
            "under 1 d</th>",
            "over 1 d</th>",
            "a.example</th><td class=\"number\">4</td><td class=\"number\">0</td><td class=\"number\">9</td>",
        ] {
            assert!(shown.contains(words), "{words} in {shown}");
        }
    }

    #[test]
    fn nothing_is_shown_of_no_mail() {
        let count = Count {
            at: Instant::now(),
            rows: Vec::new(),
        };
        assert_eq!(section(Some(&count)).into_string(), "");
        assert!(section(None).into_string().contains("It is being counted."));
    }
}
