//! Copies of the database that are sent to other nodes.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    directory,
    files::{self, HeldFiles, Listed, Part},
    open,
    tables::Tables,
};
use crate::raft::{LogId, SnapshotMeta};

/// Parts that wait for the network, at most a chunk of octets each.
const PARTS_AHEAD_MAX: usize = 2;

/// A frozen copy of the database. Its files go when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    directory: PathBuf,
    files: Vec<Listed>,
    /// How far the log was applied just before it was made. It may hold a little more, never less.
    meta: SnapshotMeta,
}

impl Checkpoint {
    /// Copies what the tables hold now. Blocks while what is in memory is written to files, and all but
    /// the bodies is read: what this disk has damaged must not get to other disks.
    ///
    /// # Errors
    /// The disk is full, or what was copied is damaged (`InvalidData`).
    pub(crate) fn make(tables: &Tables) -> io::Result<Self> {
        let store = tables.store();
        // The directory belongs to the value from here on, so that a failure leaves nothing.
        let mut checkpoint = Self {
            directory: store.directory().new_snapshot(),
            files: Vec::new(),
            meta: meta(tables)?,
        };
        store.now().checkpoint(&checkpoint.directory)?;
        checkpoint.files = files::list(&checkpoint.directory)?;
        // A database of its own: nothing of it is remembered in memory yet.
        open::open_to_read(&checkpoint.directory, Arc::clone(store.metrics()))?.check()?;
        Ok(checkpoint)
    }

    /// The last log entry that is certainly in it.
    pub(crate) const fn last_log_id(&self) -> Option<LogId> {
        self.meta.last_log_id
    }

    pub(crate) fn files(&self) -> &[Listed] {
        &self.files
    }

    /// Starts reading what the receiver does not hold. A thread of its own does that, no further
    /// ahead than a few parts, until all is read or nobody takes it.
    pub(crate) fn parts(
        self: Arc<Self>,
        held: HeldFiles,
    ) -> io::Result<mpsc::Receiver<io::Result<Part>>> {
        let (parts, receiver) = mpsc::channel(PARTS_AHEAD_MAX);
        std::thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(move || {
                if let Err(error) = files::send(&self.directory, &self.files, &held, &parts) {
                    drop(parts.blocking_send(Err(error)));
                }
            })?;
        Ok(receiver)
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if let Err(error) = directory::remove(&self.directory) {
            tracing::warn!(%error, directory = %self.directory.display(), "not removed");
        }
    }
}

/// How far the log is applied, and who the members are, as the tables say now.
pub(super) fn meta(tables: &Tables) -> io::Result<SnapshotMeta> {
    Ok(SnapshotMeta {
        last_log_id: tables.applied()?,
        last_membership: tables.membership()?,
    })
}

/// The copies that this node has made. The last one is kept for a while, so that a transfer that
/// broke off goes on with the same files.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    tables: Arc<Tables>,
    kept: Mutex<Option<Kept>>,
    damage: OnceLock<String>,
}

#[derive(Debug)]
struct Kept {
    checkpoint: Arc<Checkpoint>,
    used: Instant,
}

impl Kept {
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.checkpoint) > 1
    }
}

impl Checkpoints {
    pub(crate) const fn of(tables: Arc<Tables>) -> Self {
        Self {
            tables,
            kept: Mutex::new(None),
            damage: OnceLock::new(),
        }
    }

    /// What was damaged when a copy was made. This node is of no use then.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a copy is being sent, or was within `lately`: a transfer that broke off goes on soon.
    pub(crate) fn is_sending(&self, lately: Duration) -> bool {
        self.kept()
            .as_ref()
            .is_some_and(|kept| kept.is_in_use() || kept.used.elapsed() < lately)
    }

    /// Removes a copy that was not used for longer than `keep`. To be called every now and then.
    pub(crate) fn forget(&self, keep: Duration) {
        let mut kept = self.kept();
        if let Some(kept) = kept.as_mut().filter(|kept| kept.is_in_use()) {
            kept.used = Instant::now();
        }
        let old = kept.take_if(|kept| kept.used.elapsed() > keep);
        drop(kept);
        drop(old);
    }

    fn use_now(&self) {
        if let Some(kept) = self.kept().as_mut() {
            kept.used = Instant::now();
        }
    }

    /// A copy that is made when it is asked for; costs nothing until then.
    pub(crate) fn new_copy(self: &Arc<Self>) -> io::Result<Outgoing> {
        Ok(Outgoing {
            checkpoints: Arc::clone(self),
            kept: None,
            meta: meta(&self.tables)?,
        })
    }

    /// The kept copy, if the log that ends at `purged` goes on behind it, or else a new one.
    pub(super) fn kept_or_new(self: &Arc<Self>, purged: Option<LogId>) -> io::Result<Outgoing> {
        let kept = self.kept().as_ref().and_then(|kept| {
            let goes_on = kept.checkpoint.meta.last_log_id >= purged;
            goes_on.then(|| Arc::clone(&kept.checkpoint))
        });
        let Some(checkpoint) = kept else {
            return self.new_copy();
        };
        Ok(Outgoing {
            checkpoints: Arc::clone(self),
            meta: checkpoint.meta.clone(),
            kept: Some(Arc::downgrade(&checkpoint)),
        })
    }
}

/// A snapshot of this node's database that may be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    checkpoints: Arc<Checkpoints>,
    /// Not held: consensus asks for it again and again while a member is away that lacks what has
    /// left the log, and a copy that nobody is sent is neither to stay for that nor to hold the log.
    kept: Option<Weak<Checkpoint>>,
    meta: SnapshotMeta,
}

impl Outgoing {
    /// The copy holds at least this.
    pub(super) const fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// The copy, made now if none is kept. Blocks while what is in memory is written to files.
    pub(crate) fn checkpoint(self) -> io::Result<Arc<Checkpoint>> {
        if let Some(kept) = self.kept.and_then(|kept| kept.upgrade()) {
            self.checkpoints.use_now();
            return Ok(kept);
        }
        let made = Checkpoint::make(&self.checkpoints.tables).inspect_err(|error| {
            if error.kind() == io::ErrorKind::InvalidData {
                self.checkpoints.damage.get_or_init(|| error.to_string());
            }
        });
        let checkpoint = Arc::new(made?);
        let former = self.checkpoints.kept().replace(Kept {
            checkpoint: Arc::clone(&checkpoint),
            used: Instant::now(),
        });
        drop(former);
        Ok(checkpoint)
    }
}
