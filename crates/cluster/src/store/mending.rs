//! A damaged body, made whole with what another node has of it.
//!
//! ```text
//!   all pieces of theirs ─▶ right digest? ─▶ those that differ here ─▶ log writer ─▶ right digest
//!                                                                                     on this disk?
//! ```
//!
//! Theirs are looked at as a whole before any is taken, so that nothing that is right here gives way
//! to something that is not. They come twice for that, which costs no memory: one piece is held at a
//! time, and of the others their digests.

use std::{future::Future, io, sync::Arc};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use spool::{Body, Digest, Message};
use tokio::sync::{mpsc, oneshot};

use super::{blocking::blocking, job::Job, tables::Tables};

/// Why a body is not whole after another node was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MendError {
    /// The other node's address can not be used.
    #[error("{0}")]
    Address(io::Error),
    /// The other node does not have it, or does not answer.
    #[error("it gave no piece {index}: {reason}")]
    NotGiven {
        /// The log entry that carried the piece.
        index: u64,
        /// In the other node's words.
        reason: String,
    },
    /// What the other node has is not what was accepted.
    #[error("its copy is damaged, too")]
    NotWhole,
    /// This node's disk does not take it.
    #[error("what it gave was not written here: {0}")]
    NotWritten(io::Error),
    /// This node's disk does not give it back as it was written, or the message has left.
    #[error("what it gave is not on this node's disk")]
    NotKept,
}

/// Mends bodies of this node. Does not keep the log's writer waiting.
#[derive(Debug)]
pub(crate) struct Mending {
    tables: Arc<Tables>,
    jobs: mpsc::WeakSender<Job>,
}

impl Mending {
    pub(super) const fn new(tables: Arc<Tables>, jobs: mpsc::WeakSender<Job>) -> Self {
        Self { tables, jobs }
    }

    /// Whether this node has a body as it was accepted.
    pub(crate) async fn is_whole(&self, body: &Body) -> bool {
        let mut sum = Sha256::new();
        for index in &body.pieces {
            let Some(piece) = self.read(*index).await else {
                return false;
            };
            sum.update(&piece);
        }
        *sum.finalize() == body.digest.0
    }

    /// Makes a message's body whole with the pieces that `fetch` gets from another node. Returns
    /// once they are fsync'd and the body was read back right.
    pub(crate) async fn mend<F>(
        &self,
        message: &Message,
        fetch: impl Fn(u64) -> F,
    ) -> Result<(), MendError>
    where
        F: Future<Output = Result<Bytes, String>>,
    {
        let Message { sequence, body, .. } = message;
        let sums = sums_of_theirs(body, &fetch).await?;
        for (&index, sum) in body.pieces.iter().zip(sums) {
            let ours = self.read(index).await.map(|piece| sum_of(&piece));
            if ours == Some(sum) {
                continue;
            }
            let piece = get(index, &fetch).await?;
            if sum_of(&piece) != sum {
                return Err(MendError::NotWhole);
            }
            let written = self.write(*sequence, index, piece).await;
            written.map_err(MendError::NotWritten)?;
        }
        if self.is_whole(body).await {
            Ok(())
        } else {
            Err(MendError::NotKept)
        }
    }

    /// A piece of this node's own; `None` also when it can not be read.
    async fn read(&self, index: u64) -> Option<Vec<u8>> {
        let tables = Arc::clone(&self.tables);
        blocking(move || tables.piece(index)).await.ok().flatten()
    }

    /// Through the log's writer: between two of its writes no purge comes in between.
    async fn write(&self, sequence: u64, index: u64, piece: Bytes) -> io::Result<()> {
        let gone = || io::Error::other("the log's writer has stopped");
        let (done, written) = oneshot::channel();
        let job = Job::Mend {
            sequence,
            index,
            piece,
            done,
        };
        let jobs = self.jobs.upgrade().ok_or_else(gone)?;
        jobs.send(job).await.map_err(|_| gone())?;
        drop(jobs);
        written.await.map_err(|_| gone())?
    }
}

/// The digest of each piece that another node has, if together they are the body.
async fn sums_of_theirs<F>(body: &Body, fetch: &impl Fn(u64) -> F) -> Result<Vec<Digest>, MendError>
where
    F: Future<Output = Result<Bytes, String>>,
{
    let mut whole = Sha256::new();
    let mut sums = Vec::with_capacity(body.pieces.len());
    for index in &body.pieces {
        let piece = get(*index, fetch).await?;
        whole.update(&piece);
        sums.push(sum_of(&piece));
    }
    if *whole.finalize() == body.digest.0 {
        Ok(sums)
    } else {
        Err(MendError::NotWhole)
    }
}

async fn get<F>(index: u64, fetch: &impl Fn(u64) -> F) -> Result<Bytes, MendError>
where
    F: Future<Output = Result<Bytes, String>>,
{
    fetch(index)
        .await
        .map_err(|reason| MendError::NotGiven { index, reason })
}

fn sum_of(octets: &[u8]) -> Digest {
    Digest(Sha256::digest(octets).into())
}
