//! Snapshots as they travel.

use std::{io, sync::Arc};

use api::peer::v1::{SnapshotChunk, SnapshotHeader, snapshot_chunk::Kind};
use futures::{Stream, StreamExt as _};
use openraft::Snapshot;
use tokio::time::timeout;

use crate::{
    codec,
    limits::SNAPSHOT_SILENCE_MAX,
    raft::{SnapshotMeta, Types, Vote},
    store::{GROUP, Receiving, SnapshotData, Tables},
};

type WholeSnapshot = openraft::alias::SnapshotOf<Types, SnapshotData>;

/// A snapshot's chunks, the header first. A failure to read it ends the stream without the chunk
/// that closes it, which the receiver notices.
pub(super) fn chunks(
    vote: &Vote,
    snapshot: WholeSnapshot,
) -> io::Result<impl Stream<Item = SnapshotChunk> + Send + 'static> {
    let SnapshotData::Outgoing(outgoing) = snapshot.snapshot else {
        return Err(io::Error::other(
            "a snapshot that was just received can not be sent",
        ));
    };
    let header = SnapshotChunk {
        kind: Some(Kind::Header(SnapshotHeader {
            group: GROUP,
            vote: Some(codec::vote_to(vote)),
            last_log_id: snapshot.meta.last_log_id.map(codec::log_id_to),
            last_membership: Some(codec::stored_membership_to(&snapshot.meta.last_membership)),
        })),
    };
    let records = tokio_stream::wrappers::ReceiverStream::new(outgoing.chunks());
    let records = records
        .inspect(|chunk| {
            if let Err(error) = chunk {
                tracing::error!(%error, "reading a snapshot failed");
            }
        })
        .take_while(|chunk| std::future::ready(chunk.is_ok()))
        .filter_map(|chunk| std::future::ready(chunk.ok()));
    Ok(futures::stream::iter([header]).chain(records))
}

/// Receives a whole snapshot, beside the present tables.
pub(super) async fn receive(
    tables: Arc<Tables>,
    mut chunks: tonic::Streaming<SnapshotChunk>,
) -> io::Result<(Vote, WholeSnapshot)> {
    let Some(Kind::Header(header)) = next(&mut chunks).await? else {
        return Err(io::Error::other("a snapshot must begin with its header"));
    };
    let vote = codec::vote_from(header.vote)?;
    let membership = codec::required(header.last_membership, "membership of a snapshot")?;
    let meta = SnapshotMeta {
        last_log_id: header.last_log_id.map(codec::log_id_from),
        last_membership: codec::stored_membership_from(membership)?,
    };
    let mut receiving = Receiving::begin(tables)?;
    loop {
        match next(&mut chunks).await? {
            Some(Kind::Records(records)) => {
                let write = move || receiving.add(records).map(|()| receiving);
                receiving = tokio::task::spawn_blocking(write)
                    .await
                    .map_err(io::Error::other)??;
            }
            Some(Kind::End(end)) => {
                let received = receiving.finish(&end)?;
                let snapshot = SnapshotData::Received(received);
                return Ok((vote, Snapshot { meta, snapshot }));
            }
            Some(Kind::Header(_)) => {
                return Err(io::Error::other("a second header in a snapshot"));
            }
            None => return Err(io::Error::other("the snapshot broke off")),
        }
    }
}

async fn next(chunks: &mut tonic::Streaming<SnapshotChunk>) -> io::Result<Option<Kind>> {
    let chunk = timeout(SNAPSHOT_SILENCE_MAX, chunks.message())
        .await
        .map_err(|_| io::Error::other("the sender of the snapshot fell silent"))?;
    Ok(chunk
        .map_err(io::Error::other)?
        .and_then(|chunk| chunk.kind))
}
