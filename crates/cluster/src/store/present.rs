//! The database that is in use now.

use std::{
    io,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    directory::{self, DataDir},
    open::{self, Database},
    receiving::Receiving,
};
use crate::metrics::Metrics;

/// A node's data directory with the database that is in use now. An installed snapshot puts another
/// one in its place, so whoever reads asks for [`Store::now`] each time and keeps it while reading.
#[derive(Debug)]
pub(crate) struct Store {
    directory: DataDir,
    now: RwLock<Arc<Database>>,
    metrics: Arc<Metrics>,
    receiving: Receiving,
    /// Held while all rows are read to be compared with other nodes': that is work for a disk.
    digesting: Arc<Mutex<()>>,
}

impl Store {
    /// Opens the present database of a data directory, or makes the first.
    ///
    /// # Errors
    /// Another process has it open, or it is damaged.
    pub(crate) fn open(data_dir: &Path, metrics: Arc<Metrics>) -> io::Result<Self> {
        let directory = DataDir::open(data_dir)?;
        let path = directory.present();
        let now = if directory.is_at_first() {
            open::open_or_make(&path, Arc::clone(&metrics))?
        } else {
            open::open(&path, Arc::clone(&metrics))?
        };
        Ok(Self::with(directory, now, metrics))
    }

    /// Opens the present database and writes nothing.
    ///
    /// # Errors
    /// As [`Store::open`]; there is none.
    pub(crate) fn open_to_read(data_dir: &Path, metrics: Arc<Metrics>) -> io::Result<Self> {
        let directory = DataDir::open_to_read(data_dir)?;
        let now = open::open_to_read(&directory.present(), Arc::clone(&metrics))?;
        Ok(Self::with(directory, now, metrics))
    }

    /// Opens one database of a data directory, wherever in it that lies.
    pub(crate) fn open_at(
        directory: DataDir,
        database: &Path,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let now = open::open(database, Arc::clone(&metrics))?;
        Ok(Self::with(directory, now, metrics))
    }

    fn with(directory: DataDir, now: Database, metrics: Arc<Metrics>) -> Self {
        Self {
            directory,
            now: RwLock::new(Arc::new(now)),
            metrics,
            receiving: Receiving::default(),
            digesting: Arc::default(),
        }
    }

    /// The database that is in use now. One that was replaced stays open until nobody holds it.
    pub(crate) fn now(&self) -> Arc<Database> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) const fn directory(&self) -> &DataDir {
        &self.directory
    }

    pub(crate) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Who may receive a snapshot.
    pub(crate) const fn receiving(&self) -> &Receiving {
        &self.receiving
    }

    /// The right to read all rows, once nobody else has it.
    pub(super) async fn digest_alone(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.digesting).lock_owned().await
    }

    /// Removes what a transfer has left that broke off longer than `keep` ago.
    pub(crate) fn forget_incoming(&self, keep: Duration) -> io::Result<()> {
        let incoming = self.directory.incoming();
        let Some(_alone) = self.receiving.if_free() else {
            return Ok(());
        };
        match incoming.metadata().and_then(|metadata| metadata.modified()) {
            Ok(at) if at.elapsed().is_ok_and(|age| age > keep) => directory::remove(&incoming),
            _ => Ok(()),
        }
    }

    /// Puts another database, whose writes are fsync'd, in the place of the present one, for good.
    /// Returns the former, whose files go when nobody holds it any more.
    pub(crate) fn switch_to(&self, database: Arc<Database>) -> io::Result<Arc<Database>> {
        // A crash or a failure in here leaves one of the two named, and both whole.
        database.remains().give_up(false);
        self.directory.point_to(database.path())?;
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *now, database);
        drop(now);
        former.remains().give_up(true);
        Ok(former)
    }
}
