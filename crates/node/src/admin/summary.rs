//! The queues in figures, by age.

use std::{collections::BTreeMap, mem};

use api::admin::v1::{AgeBucket, QueueSummaryResponse, QueueSummaryRow};
use cluster::Cluster;
use futures::{Stream, stream};
use spool::{Message, Timestamp};
use tonic::Status;

use super::refused;

/// Messages read at once.
const PAGE_MESSAGES: usize = 1000;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Where one bucket ends and the next begins.
const AGES_MS: [u64; 5] = [5 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS];

/// Messages and their octets in each bucket.
type Buckets = [(u64, u64); AGES_MS.len() + 1];

struct Count {
    cluster: Cluster,
    now: Timestamp,
    after: u64,
    counted: u64,
    domains: BTreeMap<String, Buckets>,
    is_finished: bool,
}

/// Counts, and tells after each page how far it is.
pub(super) fn summary(
    cluster: &Cluster,
    now: Timestamp,
) -> impl Stream<Item = Result<QueueSummaryResponse, Status>> + Send + use<> {
    let count = Count {
        cluster: cluster.clone(),
        now,
        after: 0,
        counted: 0,
        domains: BTreeMap::new(),
        is_finished: false,
    };
    stream::try_unfold(count, Count::step)
}

impl Count {
    async fn step(mut self) -> Result<Option<(QueueSummaryResponse, Self)>, Status> {
        if self.is_finished {
            return Ok(None);
        }
        let page = self.cluster.messages(self.after, PAGE_MESSAGES).await;
        let page = page.map_err(refused)?;
        for message in &page {
            add(&mut self.domains, message, self.now);
        }
        self.counted += page.len() as u64;
        let mut told = QueueSummaryResponse {
            counted: self.counted,
            rows: Vec::new(),
        };
        match page.last() {
            Some(last) => self.after = last.sequence,
            None => {
                self.is_finished = true;
                let domains = mem::take(&mut self.domains).into_iter();
                told.rows = domains.map(row).collect();
            }
        }
        Ok(Some((told, self)))
    }
}

fn add(domains: &mut BTreeMap<String, Buckets>, message: &Message, now: Timestamp) {
    let age = now.0.saturating_sub(message.received_at.0);
    let place = AGES_MS.partition_point(|end| *end <= age);
    for domain in message.domains() {
        if message.standing(domain).is_none() {
            continue;
        }
        if !domains.contains_key(domain) {
            domains.insert(domain.to_owned(), Buckets::default());
        }
        let bucket = domains.get_mut(domain).and_then(|own| own.get_mut(place));
        if let Some((messages, bytes)) = bucket {
            *messages += 1;
            *bytes += message.body.size;
        }
    }
}

fn row((domain, buckets): (String, Buckets)) -> QueueSummaryRow {
    let ends = AGES_MS.into_iter().map(Some).chain([None]);
    let buckets = ends.zip(buckets);
    QueueSummaryRow {
        domain,
        buckets: buckets
            .map(|(below_ms, (messages, bytes))| AgeBucket {
                below_ms,
                messages,
                bytes,
            })
            .collect(),
    }
}
