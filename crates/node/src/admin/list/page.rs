//! The queue a page at a time, in one of several orders.

use std::{cmp::Reverse, collections::BTreeMap};

use api::admin::v1::{QueueEntry, QueueListRequest};
use cluster::Cluster;
use spool::{Message, Timestamp};
use tokio::sync::Mutex;
use tonic::Status;

use super::PAGE_MESSAGES;
use crate::admin::{filter::Filter, refused};

/// Messages that are looked through for one page in the order of arrival: a moment's work. Of a filter that
/// selects less, a page may be empty and not the last.
const LOOKED_THROUGH_MAX: usize = 20_000;

/// In which order messages are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// As they came.
    #[default]
    Oldest,
    /// The last that came first.
    Newest,
    /// The largest first, of equal ones those that came first. All of the queue is looked through for a page.
    Largest,
}

/// Which message stood last on a page, so that the next one begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Its place in the order of arrival.
    pub(crate) sequence: u64,
    /// Its size, by which the largest are found.
    pub(crate) size: u64,
}

/// A part of what a filter selects.
#[derive(Debug)]
pub(crate) struct Listed {
    /// In the order that was asked for.
    pub(crate) entries: Vec<QueueEntry>,
    /// Behind which message the next part begins; `None` when there is none.
    pub(crate) next: Option<Mark>,
}

/// Who looks through all of the queue: one at a time, as that takes a processor for seconds where it is long.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<()>);

/// What a filter selects behind a message, in an order, as many as its limit says.
pub(crate) async fn page(
    cluster: &Cluster,
    turn: &Turn,
    request: QueueListRequest,
    order: Order,
    after: Option<Mark>,
    now: Timestamp,
) -> Result<Listed, Status> {
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let filter = Filter::of(cluster, request, now)?;
    match order {
        Order::Oldest | Order::Newest => by_arrival(cluster, &filter, order, after, limit).await,
        Order::Largest => {
            let _turn = turn.0.lock().await;
            largest(cluster, &filter, after, limit).await
        }
    }
}

fn mark(message: &Message) -> Mark {
    Mark {
        sequence: message.sequence,
        size: message.body.size,
    }
}

async fn by_arrival(
    cluster: &Cluster,
    filter: &Filter,
    order: Order,
    mut after: Option<Mark>,
    limit: usize,
) -> Result<Listed, Status> {
    let mut entries = Vec::new();
    let mut looked_through = 0;
    while looked_through < LOOKED_THROUGH_MAX {
        let from = after.map(|mark| mark.sequence);
        let part = match order {
            Order::Newest => {
                let before = from.unwrap_or(u64::MAX);
                cluster.messages_before(before, PAGE_MESSAGES).await
            }
            Order::Oldest | Order::Largest => {
                let behind = from.unwrap_or_default();
                cluster.messages(behind, PAGE_MESSAGES).await
            }
        };
        let part = part.map_err(refused)?;
        if part.is_empty() {
            let next = None;
            return Ok(Listed { entries, next });
        }
        for message in &part {
            if entries.len() >= limit {
                let next = after;
                return Ok(Listed { entries, next });
            }
            after = Some(mark(message));
            entries.extend(filter.entry(message));
        }
        looked_through += part.len();
    }
    let next = after;
    Ok(Listed { entries, next })
}

/// No more of them are kept meanwhile than a page has.
async fn largest(
    cluster: &Cluster,
    filter: &Filter,
    after: Option<Mark>,
    limit: usize,
) -> Result<Listed, Status> {
    let key = |mark: Mark| (Reverse(mark.size), mark.sequence);
    let after = after.map(key);
    let mut best = BTreeMap::new();
    let mut seen = 0;
    loop {
        let part = cluster.messages(seen, PAGE_MESSAGES).await;
        let part = part.map_err(refused)?;
        let Some(last) = part.last() else { break };
        seen = last.sequence;
        for message in &part {
            let key = key(mark(message));
            // One more than a page has: whether there is another page is to be told.
            let is_full = best.len() > limit;
            let is_among = after.is_none_or(|after| key > after)
                && (!is_full || best.last_key_value().is_some_and(|(last, _)| key < *last));
            if is_among && let Some(entry) = filter.entry(message) {
                best.insert(key, entry);
                if is_full {
                    best.pop_last();
                }
            }
        }
    }
    let mut next = None;
    if best.len() > limit {
        best.pop_last();
        let last = best.last_key_value();
        next = last.map(|((size, sequence), _)| Mark {
            sequence: *sequence,
            size: size.0,
        });
    }
    let entries = best.into_values().collect();
    Ok(Listed { entries, next })
}
