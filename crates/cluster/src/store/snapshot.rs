//! Everything a node lacks when the log it would need is gone: another node's database.
//!
//! ```text
//!   Checkpoint ── files ──▶ Incoming ─▶ Received ─▶ install
//!   (hard links)            (beside the present     (between two writes of the log)
//!                            database)
//! ```
//!
//! Neither side holds more than a few parts of it in memory, a transfer that breaks off goes on where
//! it was, and the receiver's own database is the present one until the other is whole.

use std::{io, sync::Arc};

use openraft::Snapshot;

use super::{
    blocking::blocking, incoming::Incoming, log::LogStore, outgoing::Outgoing, received::Received,
    tables::Tables,
};
use crate::raft::{Types, Vote};

type WholeSnapshot = openraft::alias::SnapshotOf<Types, SnapshotData>;

/// A snapshot on its way.
#[derive(Debug)]
pub(crate) enum SnapshotData {
    /// This node's own, to be sent.
    Outgoing(Outgoing),
    /// Another node's, whole, beside the present database.
    Received(Box<Received>),
}

impl SnapshotData {
    /// The database beside the present one, received from this node itself if need be.
    async fn received(self, tables: &Tables) -> io::Result<Received> {
        let outgoing = match self {
            Self::Received(received) => return Ok(*received),
            Self::Outgoing(outgoing) => outgoing,
        };
        let store = Arc::clone(tables.store());
        let place = store.receiving().take_over(Vote::new(0, 0)).await?;
        let receive = move || {
            let checkpoint = outgoing.checkpoint()?;
            let (mut incoming, held) = Incoming::begin(store, place, checkpoint.files().to_vec())?;
            let mut parts = checkpoint.parts(held)?;
            while let Some(part) = parts.blocking_recv() {
                incoming.take(part?)?;
            }
            incoming.finish()
        };
        blocking(receive).await
    }
}

pub(super) fn to_send(outgoing: Outgoing) -> WholeSnapshot {
    Snapshot {
        meta: outgoing.meta().clone(),
        snapshot: SnapshotData::Outgoing(outgoing),
    }
}

/// Puts a snapshot's database in the place of the present one. From one to the other it is a single
/// step, power failure or not.
pub(super) async fn install(
    tables: &Arc<Tables>,
    log: &LogStore,
    snapshot: SnapshotData,
) -> io::Result<()> {
    let received = snapshot.received(tables).await?;
    let former = log.install(received).await?;
    let tables = Arc::clone(tables);
    blocking(move || {
        let reloaded = tables.reload();
        // Removing its files takes a while.
        drop(former);
        reloaded
    })
    .await
}
