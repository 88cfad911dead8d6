//! Receiving a snapshot.

use std::{io, sync::Arc};

use api::peer::v1::{
    SnapshotAnswer, SnapshotChunk, SnapshotHeader, SnapshotProgress, SnapshotResponse,
    snapshot_answer::Kind as Answer, snapshot_chunk::Kind,
};
use futures::{FutureExt as _, Stream, future::BoxFuture, stream};
use openraft::Snapshot;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tonic::{Status, Streaming};

use super::{
    rights::check_own,
    snapshot::{self, VERSION},
};
use crate::{
    codec,
    limits::{SNAPSHOT_PROGRESS_INTERVAL, SNAPSHOT_SILENCE_MAX},
    raft::{Raft, Vote},
    store::{GROUP, Incoming, Listed, Part, Received, SnapshotData, Store},
};

/// Receives a snapshot and gives it to consensus, which installs it unless it is out of date. The
/// answers tell how that goes, and end with it; dropping them breaks it off.
pub(super) fn receive(
    raft: Raft,
    store: Arc<Store>,
    from: u64,
    chunks: Streaming<SnapshotChunk>,
) -> impl Stream<Item = Result<SnapshotAnswer, Status>> + Send + 'static {
    let (say, said) = mpsc::channel(1);
    let work = async move {
        let (vote, received) = gather(store, from, chunks, say).await?;
        tracing::info!(from, last_log_id = ?received.meta().last_log_id, "installing a snapshot");
        let snapshot = Snapshot {
            meta: received.meta().clone(),
            snapshot: SnapshotData::Received(Box::new(received)),
        };
        let response = raft.install_full_snapshot(vote, snapshot).await;
        let response = response.map_err(|error| Status::unavailable(error.to_string()))?;
        tracing::info!(from, "the snapshot is installed");
        let vote = Some(codec::vote_to(&response.vote));
        Ok(Answer::Installed(SnapshotResponse { vote }))
    };
    let answers = Answers {
        work: work.boxed(),
        said,
    };
    stream::unfold(Some(answers), |answers| async {
        let mut answers = answers?;
        let (answer, is_last) = answers.next().await;
        let answer = answer.map(|kind| SnapshotAnswer { kind: Some(kind) });
        Some((answer, (!is_last).then_some(answers)))
    })
}

/// The work, and what it says before it is done.
struct Answers {
    work: BoxFuture<'static, Result<Answer, Status>>,
    said: mpsc::Receiver<Answer>,
}

impl Answers {
    /// The next answer, and whether it is the last.
    async fn next(&mut self) -> (Result<Answer, Status>, bool) {
        tokio::select! {
            Some(answer) = self.said.recv() => (Ok(answer), false),
            done = &mut self.work => (done.inspect_err(|status| {
                tracing::warn!(reason = %status.message(), "a snapshot was not received whole");
            }), true),
            () = sleep(SNAPSHOT_PROGRESS_INTERVAL) => {
                (Ok(Answer::Progress(SnapshotProgress {})), false)
            }
        }
    }
}

/// Gathers the files; returns the sender's vote with them.
async fn gather(
    store: Arc<Store>,
    from: u64,
    mut chunks: Streaming<SnapshotChunk>,
    say: mpsc::Sender<Answer>,
) -> Result<(Vote, Received), Status> {
    let Some(Kind::Header(header)) = next(&mut chunks).await?.kind else {
        return Err(Status::invalid_argument(
            "a snapshot begins with its header",
        ));
    };
    let Announced { vote, files, bytes } = announced(header, from)?;
    tracing::info!(from, files = files.len(), bytes, "receiving a snapshot");
    let place = store.receiving().take_over(vote).await.map_err(broken)?;
    let superseded = place.superseded();
    let (mut incoming, held) = blocking(move || Incoming::begin(store, place, files)).await?;
    drop(say.send(Answer::Held(snapshot::held_to(held))).await);
    loop {
        let chunk = superseded.run_until_cancelled(next(&mut chunks)).await;
        let chunk = chunk.unwrap_or_else(|| Err(broken("a later snapshot is sent instead")));
        let part = chunk.and_then(|chunk| match chunk.kind {
            Some(Kind::Part(part)) => codec::part_from(part).map_err(garbled),
            _ => Err(garbled("a chunk that is no part")),
        });
        let (kept, received) = (incoming.kept(), incoming.received());
        match part {
            Ok(Part::End) => {
                tracing::info!(from, kept, received, "a snapshot has arrived");
                break;
            }
            Ok(part) => {
                let take = move || incoming.take(part).map(|()| incoming);
                incoming = blocking(take).await?;
            }
            Err(status) => {
                tracing::info!(
                    from,
                    kept,
                    received,
                    "a snapshot broke off; it can be resumed"
                );
                return Err(status);
            }
        }
    }
    let received = blocking(move || incoming.finish()).await?;
    // openraft takes the process down on what can not be.
    let term = received
        .meta()
        .last_log_id
        .map_or(0, |last| last.leader_id.term);
    if term > vote.leader_id.term {
        return Err(garbled("the snapshot is of a later term than its sender"));
    }
    Ok((vote, received))
}

/// What a snapshot's header says of it.
pub(super) struct Announced {
    vote: Vote,
    files: Vec<Listed>,
    /// Octets of all files.
    bytes: u64,
}

pub(super) fn announced(header: SnapshotHeader, from: u64) -> Result<Announced, Status> {
    check(&header)?;
    let vote = codec::vote_from(header.vote).map_err(garbled)?;
    check_own(&vote, from)?;
    let files: Vec<_> = header.files.into_iter().map(codec::listed_from).collect();
    let sizes = files.iter().map(|file| file.size);
    let bytes = sizes.fold(0, u64::saturating_add);
    Ok(Announced { vote, files, bytes })
}

fn check(header: &SnapshotHeader) -> Result<(), Status> {
    if header.group != GROUP {
        return Err(garbled(format!("there is no group {} here", header.group)));
    }
    if header.version != VERSION {
        return Err(Status::failed_precondition(format!(
            "the snapshot is of version {}, this node understands {VERSION}; run the same version \
             of layoverd on both",
            header.version
        )));
    }
    Ok(())
}

async fn next(chunks: &mut Streaming<SnapshotChunk>) -> Result<SnapshotChunk, Status> {
    match timeout(SNAPSHOT_SILENCE_MAX, chunks.message()).await {
        Ok(Ok(Some(chunk))) => Ok(chunk),
        Ok(Ok(None)) => Err(Status::aborted("the snapshot broke off")),
        Ok(Err(status)) => Err(status),
        Err(_) => Err(Status::deadline_exceeded(
            "the sender of the snapshot fell silent",
        )),
    }
}

fn broken(error: impl ToString) -> Status {
    Status::aborted(error.to_string())
}

fn garbled(error: impl ToString) -> Status {
    Status::invalid_argument(error.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(io::Error::other).flatten();
    done.map_err(broken)
}
