//! The messages in the spool: all in order of arrival, or a page of them in another order.

mod page;

use api::admin::v1::{QueueEntry, QueueListRequest};
use cluster::Cluster;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use spool::Timestamp;
use tonic::Status;

use super::{filter::Filter, refused};

pub(crate) use page::{Listed, Mark, Order, Turn, page};

/// Messages read at once. A page of envelopes stays well under a few MiB.
const PAGE_MESSAGES: usize = 256;

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
    let filter = Filter::of(cluster, request, now)?;
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
