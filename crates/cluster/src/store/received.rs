//! Another node's database, made this node's own.
//!
//! A node has votes and a log of its own, and must keep them: what it has voted and what it has
//! acknowledged was its word. From the snapshot it takes the tables and the bodies.

use std::{io, path::Path, sync::Arc};

use super::{
    keys,
    open::{self, Batch, Column, Database},
    raft_state::{self, PURGED, REDO},
    rows,
};
use crate::{
    limits::LOG_BATCH_BYTES_MAX,
    metrics::Metrics,
    raft::{LogId, SnapshotMeta},
};

/// A whole snapshot: a sound database beside the present one, without a log. Its files go when it
/// is dropped before it is installed.
#[derive(Debug)]
pub(crate) struct Received {
    /// There until it is taken with the value.
    database: Option<Arc<Database>>,
    last: LogId,
    meta: SnapshotMeta,
}

impl Received {
    pub(super) fn open(path: &Path, metrics: Arc<Metrics>) -> io::Result<Self> {
        let database = open::open(path, metrics)?;
        database.remains().give_up(true);
        let meta = SnapshotMeta {
            last_log_id: rows::applied(&database)?,
            last_membership: rows::membership(&database)?,
        };
        let last = meta.last_log_id.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot has no last log id",
            )
        })?;
        let mut batch = database.batch();
        drop_log(&database, &mut batch, last)?;
        batch.write()?;
        Ok(Self {
            database: Some(Arc::new(database)),
            last,
            meta,
        })
    }

    /// How far the log was applied in it, and who the members were then.
    pub(crate) const fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    pub(super) const fn last(&self) -> LogId {
        self.last
    }

    pub(super) fn into_database(mut self) -> Arc<Database> {
        let database = self.database.take();
        database.expect("whoever takes it has taken the value, too")
    }
}

impl Drop for Received {
    /// Consensus drops a snapshot that is out of date on a thread of the runtime, and closing a
    /// database and removing its files takes too long for those.
    fn drop(&mut self) {
        let Some(database) = self.database.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(database))),
            Err(_) => drop(database),
        }
    }
}

/// Removes the log, the votes, and the pieces that only the log still needs; the log ends at `last`
/// then.
pub(super) fn drop_log(database: &Database, batch: &mut Batch<'_>, last: LogId) -> io::Result<()> {
    batch.delete_entries(0..u64::MAX);
    batch.delete_pieces(last.index + 1..u64::MAX)?;
    let all = keys::all_raft();
    for row in database.range(Column::Raft, &all, keys::end_of(all.clone())) {
        let (key, _) = row?;
        if let Some(index) = keys::dropped_index(&key) {
            batch.delete_piece(index)?;
        }
        if *key != *keys::raft(keys::INCARNATION) {
            batch.delete(Column::Raft, key);
        }
    }
    raft_state::put_log_id(batch, PURGED, last);
    Ok(())
}

/// Copies this node's votes, and its log behind `last`, into the database that is to take the place
/// of its own, and fsyncs it. Nobody may write to the log meanwhile.
pub(super) fn carry_over(from: &Database, to: &Database, last: LogId) -> io::Result<()> {
    let mut batch = to.batch();
    let all = keys::all_raft();
    for row in from.range(Column::Raft, &all, keys::end_of(all.clone())) {
        let (key, value) = row?;
        if !describes_database(&key) {
            batch.put(Column::Raft, key, value);
        }
    }
    let rest = keys::entry(last.index + 1);
    for row in from.range(Column::Log, &rest, keys::entry(u64::MAX).to_vec()) {
        let (key, entry) = row?;
        if let Some(index) = keys::entry_index(&key)
            && let Some(piece) = from.piece(index)?
        {
            batch.put_piece(index, piece.into());
        }
        batch.put(Column::Log, &key, entry);
        if batch.bytes() > LOG_BATCH_BYTES_MAX {
            batch.write()?;
            batch = to.batch();
        }
    }
    batch.write_synced()
}

/// Whether a value of Raft's column tells of the tables and the log in the same database; all others
/// are the node's own.
fn describes_database(key: &[u8]) -> bool {
    let named = |name: &str| key == keys::raft(name).as_slice();
    let is_named = [keys::INCARNATION, PURGED, REDO].into_iter().any(named);
    is_named || keys::dropped_index(key).is_some()
}
