//! The messages in the spool.

use api::admin::v1::{QueueEntry, QueueListRequest};
use cluster::Cluster;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use spool::Timestamp;
use tonic::Status;

use super::{filter::Filter, refused};

/// Messages read at once. A page of envelopes stays well under a few MiB.
const PAGE_MESSAGES: usize = 256;

/// Messages that are looked through for one page of what a filter selects: a moment's work. Of a filter that
/// selects less, a page may be empty and not the last.
const LOOKED_THROUGH_MAX: usize = 20_000;

/// A part of what a filter selects.
#[derive(Debug)]
pub(crate) struct Listed {
    /// In order of arrival.
    pub(crate) entries: Vec<QueueEntry>,
    /// The place behind which the next part begins; `None` when there is none.
    pub(crate) next: Option<u64>,
}

/// What a filter selects behind a place in the order of arrival, as many as its limit says.
pub(super) async fn page(
    cluster: &Cluster,
    request: QueueListRequest,
    mut after: u64,
    now: Timestamp,
) -> Result<Listed, Status> {
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let filter = Filter::new(request, now).map_err(Status::invalid_argument)?;
    let mut entries = Vec::new();
    let mut looked_through = 0;
    while looked_through < LOOKED_THROUGH_MAX {
        let page = cluster.messages(after, PAGE_MESSAGES).await;
        let page = page.map_err(refused)?;
        if page.is_empty() {
            let next = None;
            return Ok(Listed { entries, next });
        }
        for message in &page {
            if entries.len() >= limit {
                let next = Some(after);
                return Ok(Listed { entries, next });
            }
            after = message.sequence;
            entries.extend(filter.entry(message));
        }
        looked_through += page.len();
    }
    let next = Some(after);
    Ok(Listed { entries, next })
}

/// What a filter selects, page by page, in order of arrival.
pub(super) fn list(
    cluster: &Cluster,
    request: QueueListRequest,
    now: Timestamp,
) -> Result<impl Stream<Item = Result<QueueEntry, Status>> + Send + use<>, Status> {
    let limit = match request.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let filter = Filter::new(request, now).map_err(Status::invalid_argument)?;
    let cluster = cluster.clone();
    let pages = stream::try_unfold(0, move |after| {
        let cluster = cluster.clone();
        async move {
            let page = cluster
                .messages(after, PAGE_MESSAGES)
                .await
                .map_err(refused)?;
            let last = page.last().map(|message| message.sequence);
            Ok::<_, Status>(last.map(|last| (page, last)))
        }
    });
    let entries = pages.map_ok(move |page| {
        let entries: Vec<_> = page
            .iter()
            .filter_map(|m| filter.entry(m))
            .map(Ok)
            .collect();
        stream::iter(entries)
    });
    Ok(entries.try_flatten().take(limit))
}
