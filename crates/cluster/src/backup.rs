//! What an operator does with this node's copy of the spool as a whole.

use std::{io, sync::Arc, time::Duration};

use api::copy::v1::{BackupHeader, Part};
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    Cluster, RequestError, codec,
    limits::{REQUEST_TIMEOUT, SNAPSHOT_LOG_ENTRIES_MIN},
    raft::{self, LogId, RaftMetrics},
    store::{self, Checkpoint},
};

/// How a backup's files are to be understood: those of a RocksDB with our columns and keys.
pub const BACKUP_VERSION: u32 = 1;

/// A copy of this node's spool on its way.
#[derive(Debug)]
pub struct Backup {
    /// What it is a copy of, and which files it has.
    pub header: BackupHeader,
    parts: mpsc::Receiver<io::Result<store::Part>>,
}

impl Backup {
    /// The next part; `None` after the last. An error ends it.
    pub async fn next(&mut self) -> Option<io::Result<Part>> {
        let part = self.parts.recv().await?;
        Some(part.map(codec::part_to))
    }
}

/// What a snapshot has made of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// It holds everything up to this index.
    pub index: u64,
    /// Entries up to this index have left the log.
    pub purged_index: u64,
    /// Octets of the log that is left.
    pub log_bytes: u64,
}

impl Cluster {
    /// Copies the spool as it is now on this node. The copy's files go when it is dropped.
    ///
    /// # Errors
    /// This node was added a moment before, or its cluster is not founded; the disk is full, or a
    /// file is damaged.
    pub async fn backup(&self) -> Result<Backup, RequestError> {
        let node_id = self.0.config.node_id;
        let name = self.0.tables.figures().cluster;
        let name = name.ok_or(RequestError::NoSpool(node_id))?;
        let tables = Arc::clone(&self.0.tables);
        let copy = move || Checkpoint::make(&tables).map(Arc::new);
        let checkpoint = tokio::task::spawn_blocking(copy).await;
        let checkpoint = checkpoint.map_err(io::Error::other)??;
        let last = checkpoint.last_log_id();
        let destinations = self.destinations();
        let totals = destinations
            .iter()
            .map(|(_, destination)| destination.totals);
        let header = BackupHeader {
            version: BACKUP_VERSION,
            files: checkpoint
                .files()
                .iter()
                .cloned()
                .map(codec::listed_to)
                .collect(),
            cluster: format!("{name:032x}"),
            node_id,
            taken_ms: self.0.clock.now().0,
            last_log_term: last.map_or(0, |last| last.leader_id.term),
            last_log_index: last.map_or(0, |last| last.index),
            messages: totals.map(|totals| totals.messages()).sum(),
        };
        let parts = checkpoint.parts(store::HeldFiles::new())?;
        Ok(Backup { header, parts })
    }

    /// Lets everything go out of this node's log that is applied, but for what a member lacks that
    /// lags a little: one that lags more gets a snapshot.
    ///
    /// # Errors
    /// Consensus did not do it in time.
    pub async fn snapshot(&self) -> Result<Snapshot, RequestError> {
        let raft = &self.0.raft;
        let applied = index(raft::metrics(raft).last_applied);
        let trigger = raft.trigger();
        let asked = trigger.snapshot().await;
        asked.map_err(|error| RequestError::Storage(io::Error::other(error)))?;
        // Another snapshot may have been under way already, or the log be held for a member that is
        // being sent one: what there is counts.
        let covered = self
            .wait_for(
                |metrics| index(metrics.snapshot) >= applied,
                REQUEST_TIMEOUT / 2,
            )
            .await;
        let upto = index(covered.snapshot).saturating_sub(SNAPSHOT_LOG_ENTRIES_MIN);
        if upto > index(covered.purged) {
            let asked = trigger.purge_log(upto).await;
            asked.map_err(|error| RequestError::Storage(io::Error::other(error)))?;
        }
        let purged = self
            .wait_for(|metrics| index(metrics.purged) >= upto, REQUEST_TIMEOUT / 2)
            .await;
        Ok(Snapshot {
            index: index(purged.snapshot),
            purged_index: index(purged.purged),
            log_bytes: self.0.log_size.bytes(),
        })
    }

    /// What consensus says of itself once that is so, or when the time is over.
    async fn wait_for(
        &self,
        is_so: impl Fn(&RaftMetrics) -> bool,
        within: Duration,
    ) -> RaftMetrics {
        let mut metrics = self.0.raft.metrics();
        let so =
            async { while !is_so(&metrics.borrow_watched()) && metrics.changed().await.is_ok() {} };
        drop(timeout(within, so).await);
        raft::metrics(&self.0.raft)
    }
}

fn index(log_id: Option<LogId>) -> u64 {
    log_id.map_or(0, |log_id| log_id.index)
}
