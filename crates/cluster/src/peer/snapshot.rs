//! Snapshots as they travel: the sender's side, and how their parts are written.

use std::{io, sync::Arc};

use api::peer::v1::{
    self as pb, SnapshotAnswer, SnapshotChunk, SnapshotHeader, snapshot_answer::Kind as Answer,
    snapshot_chunk::Kind,
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use tokio::{
    sync::{mpsc, oneshot},
    time::{error::Elapsed, timeout},
};
use tonic::Status;

use super::connect::PeerClient;
use crate::{
    codec,
    limits::{PEER_REPLY_TIMEOUT, SNAPSHOT_SILENCE_MAX},
    raft::Vote,
    store::{Checkpoint, GROUP, Held, HeldFiles, Outgoing, Part},
};

/// How the files are to be understood: those of a RocksDB with our columns and keys.
pub(super) const VERSION: u32 = 1;

/// Sends a snapshot, what the receiver does not hold of it; returns the receiver's vote.
pub(super) async fn send(
    mut client: PeerClient,
    vote: &Vote,
    outgoing: Outgoing,
) -> Result<Vote, Status> {
    // A copy keeps its files on the disk, and the log from being cut: none is made, or goes on being
    // kept, for a node that is away.
    greet(&mut client).await?;
    let checkpoint = tokio::task::spawn_blocking(|| outgoing.checkpoint())
        .await
        .map_err(broken)?
        .map_err(broken)?;
    let header = SnapshotChunk {
        kind: Some(Kind::Header(SnapshotHeader {
            group: GROUP,
            vote: Some(codec::vote_to(vote)),
            version: VERSION,
            files: checkpoint
                .files()
                .iter()
                .cloned()
                .map(codec::listed_to)
                .collect(),
        })),
    };
    let (held, told) = oneshot::channel();
    let chunks = stream::iter([header]).chain(rest(checkpoint, told));
    let mut held = Some(held);
    let opened = timeout(SNAPSHOT_SILENCE_MAX, client.install_snapshot(chunks)).await;
    let mut answers = opened.map_err(silent)??.into_inner();
    loop {
        let answer = timeout(SNAPSHOT_SILENCE_MAX, answers.message()).await;
        let answer: Option<SnapshotAnswer> = answer.map_err(silent)??;
        match answer.and_then(|answer| answer.kind) {
            Some(Answer::Held(files)) => {
                if let Some(held) = held.take() {
                    drop(held.send(held_from(files)));
                }
            }
            Some(Answer::Progress(_)) => {}
            Some(Answer::Installed(response)) => {
                return codec::vote_from(response.vote).map_err(broken);
            }
            None => return Err(broken("the receiver of the snapshot said nothing")),
        }
    }
}

/// Whether the receiver is there.
async fn greet(client: &mut PeerClient) -> Result<(), Status> {
    match timeout(
        PEER_REPLY_TIMEOUT,
        client.hello(pb::HelloRequest::default()),
    )
    .await
    {
        Ok(answer) => answer.map(drop),
        Err(_) => Err(Status::deadline_exceeded(format!(
            "no answer within {PEER_REPLY_TIMEOUT:?}"
        ))),
    }
}

/// What follows the header, once it is known what the receiver holds. A failure to read ends the
/// stream without what closes it, which the receiver notices.
fn rest(
    checkpoint: Arc<Checkpoint>,
    told: oneshot::Receiver<HeldFiles>,
) -> impl Stream<Item = SnapshotChunk> + Send + 'static {
    let parts = async move {
        let parts = checkpoint.parts(told.await.ok()?);
        let parts = parts.inspect_err(|error| tracing::error!(%error, "sending a snapshot failed"));
        Some(stream::unfold(parts.ok()?, next_chunk))
    };
    stream::once(parts).filter_map(std::future::ready).flatten()
}

type Parts = mpsc::Receiver<io::Result<Part>>;

async fn next_chunk(mut parts: Parts) -> Option<(SnapshotChunk, Parts)> {
    match parts.recv().await? {
        Ok(part) => {
            let kind = Some(Kind::Part(codec::part_to(part)));
            Some((SnapshotChunk { kind }, parts))
        }
        Err(error) => {
            tracing::error!(%error, "reading a snapshot failed");
            None
        }
    }
}

fn silent(_elapsed: Elapsed) -> Status {
    Status::deadline_exceeded(format!(
        "the other end of the snapshot said nothing for {SNAPSHOT_SILENCE_MAX:?}"
    ))
}

fn broken(error: impl ToString) -> Status {
    Status::aborted(error.to_string())
}

pub(super) fn held_to(held: HeldFiles) -> pb::SnapshotHeld {
    let files = held.into_iter().map(|(name, held)| pb::HeldFile {
        name,
        size: held.size,
        digest: Bytes::copy_from_slice(&held.digest),
    });
    pb::SnapshotHeld {
        files: files.collect(),
    }
}

/// A file whose digest makes no sense is none that is held.
pub(super) fn held_from(held: pb::SnapshotHeld) -> HeldFiles {
    let files = held.files.into_iter().filter_map(|file| {
        let digest = file.digest.as_ref().try_into().ok()?;
        let size = file.size;
        Some((file.name, Held { size, digest }))
    });
    files.collect()
}
