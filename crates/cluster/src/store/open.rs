//! The one room that knows RocksDB: columns, options, and what "durable" means.

mod each;
mod lacking;
mod options;
mod pieces;
mod redo;

use std::{fs, io, path::Path, sync::Arc, time::Instant};

use rocksdb::{
    ColumnFamily, DB, Direction, IteratorMode, Options, ReadOptions, SnapshotWithThreadMode,
    WriteBatch, WriteOptions, checkpoint::Checkpoint,
};

use lacking::Lacking;
use options::{database_options, descriptors};
use pieces::Pieces;

use super::{
    directory::Remains,
    keys::{self, SpoolKeys},
    noted,
    segments::{self, Reader, Segments},
};
use crate::{disk, metrics::Metrics};

/// The columns (RocksDB: column families).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Log entries without the pieces they carried.
    Log,
    /// Pieces of bodies that versions of before have put here, in blob files, so that compaction does not copy them.
    Piece,
    /// Where the others lie in segments.
    Segment,
    /// Raft's own values and this node's bookkeeping.
    Raft,
    /// What `apply` made of the log.
    Spool,
}

impl Column {
    const ALL: [Self; 5] = [
        Self::Log,
        Self::Piece,
        Self::Segment,
        Self::Raft,
        Self::Spool,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Piece => "piece",
            Self::Segment => "segment",
            Self::Raft => "raft",
            Self::Spool => "spool",
        }
    }
}

/// Property of a column: octets of its files, without blob files.
const FILE_BYTES: &str = "rocksdb.live-sst-files-size";
/// Property of a column: octets of its blob files.
const BLOB_BYTES: &str = "rocksdb.total-blob-file-size";
/// Property of a column: octets that it has in memory and not in a file.
const MEMORY_BYTES: &str = "rocksdb.cur-size-all-mem-tables";

/// An open database.
pub(crate) struct Database {
    // In this order: closed first, then removed if it is to be.
    db: DB,
    remains: Remains,
    segments: Segments,
    /// What segments have and it does not. Where it may be written it is put into it as it is opened.
    lacking: Lacking,
    keys: SpoolKeys,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.db.path())
            .finish_non_exhaustive()
    }
}

/// Opens a database.
///
/// # Errors
/// What RocksDB says: no permission, a damaged file, another process that has it open.
pub(crate) fn open(path: &Path, metrics: Arc<Metrics>) -> io::Result<Database> {
    check_there(path)?;
    open_with(&database_options(), path, metrics)
}

/// Opens a database, or makes one where none ever was.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_or_make(path: &Path, metrics: Arc<Metrics>) -> io::Result<Database> {
    // RocksDB itself makes an empty one among the files of one that it does not recognise.
    if has_data(path)? {
        return open(path, metrics);
    }
    let mut options = database_options();
    options.create_if_missing(true);
    open_with(&options, path, metrics)
}

fn open_with(options: &Options, path: &Path, metrics: Arc<Metrics>) -> io::Result<Database> {
    let db = DB::open_cf_descriptors(options, path, descriptors()).map_err(failed)?;
    let mut database = Database::new(db, metrics);
    database.keys = SpoolKeys(database.incarnation()?);
    database.drop_other_incarnations()?;
    database.make_whole()?;
    Ok(database)
}

/// Opens the database to be read only, which leaves its files as they are.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_to_read(path: &Path, metrics: Arc<Metrics>) -> io::Result<Database> {
    check_there(path)?;
    let options = database_options();
    let there = DB::list_cf(&options, path).map_err(failed)?;
    let columns = descriptors().into_iter();
    // Before there were segments, there was no column for them.
    let columns = columns.filter(|column| there.iter().any(|name| name == column.name()));
    let db = DB::open_cf_descriptors_read_only(&options, path, columns, false);
    let mut database = Database::new(db.map_err(failed)?, metrics);
    database.keys = SpoolKeys(database.incarnation()?);
    database.lacking = database.find_lacking()?;
    database.open_segments()?;
    Ok(database)
}

/// Endings of files that hold data: RocksDB makes none of them before `CURRENT` is on the disk, so
/// that a first start that broke off has left none.
const DATA: [&str; 4] = ["sst", "blob", "log", segments::ENDING];

fn check_there(path: &Path) -> io::Result<()> {
    if path.join(noted::CURRENT).try_exists()? {
        return noted::check(path);
    }
    let text = format!(
        "{} is damaged: its file {} is missing, without which nothing in it can be read; put \
         that back from a copy of this very directory, or replace this node",
        path.display(),
        noted::CURRENT
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// Whether a directory has files of a database that was in use.
fn has_data(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let ending = Path::new(&name).extension();
        if ending.is_some_and(|ending| DATA.iter().any(|data| ending == *data)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Everything here is reported as an I/O error, which is what openraft takes and what stops the
/// node.
fn failed(error: rocksdb::Error) -> io::Error {
    let kind = match error.kind() {
        rocksdb::ErrorKind::Corruption => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// A database as it was at one moment, whatever is written meanwhile.
pub(crate) struct Moment<'d> {
    database: &'d Database,
    /// From before the moment, so that no segment goes whose rows it shows.
    _reader: Reader<'d>,
    snapshot: SnapshotWithThreadMode<'d, DB>,
}

impl Moment<'_> {
    pub(crate) fn get(&self, column: Column, key: impl AsRef<[u8]>) -> io::Result<Option<Vec<u8>>> {
        let column = self.database.column(column);
        self.snapshot.get_cf(column, key).map_err(failed)
    }

    /// The keys and values from `from` up to `to` (without `to`), in order.
    pub(crate) fn range(
        &self,
        column: Column,
        from: &[u8],
        to: Vec<u8>,
    ) -> impl Iterator<Item = io::Result<Row>> + use<'_> {
        let column = self.database.column(column);
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self.snapshot.iterator_cf_opt(column, below(to), mode);
        rows.map(|row| row.map_err(failed))
    }
}

/// A key and its value.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

/// Writes that happen together or not at all.
pub(crate) struct Batch<'s> {
    database: &'s Database,
    writes: WriteBatch,
    pieces: Pieces,
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, column: Column, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.writes.put_cf(self.database.column(column), key, value);
    }

    pub(crate) fn delete(&mut self, column: Column, key: impl AsRef<[u8]>) {
        self.writes.delete_cf(self.database.column(column), key);
    }

    /// Deletes the keys from `from` up to `to`, without `to`.
    pub(crate) fn delete_range(
        &mut self,
        column: Column,
        from: impl AsRef<[u8]>,
        to: impl AsRef<[u8]>,
    ) {
        let column = self.database.column(column);
        self.writes
            .delete_range_cf(column, from.as_ref(), to.as_ref());
    }

    /// Octets gathered so far.
    pub(crate) fn bytes(&self) -> usize {
        self.writes.size_in_bytes() + self.pieces.bytes()
    }

    /// Writes without waiting for the disk: survives the end of the process, and a power failure
    /// only once something later was written with [`Batch::write_synced`] that is more than entries of the log.
    pub(crate) fn write(mut self) -> io::Result<()> {
        let released = self.write_pieces(false)?;
        self.database.db.write(self.writes).map_err(failed)?;
        self.database.segments.release(released, None);
        Ok(())
    }

    /// Writes and fsyncs: returns once this survives a power failure, and everything before it, unless it is nothing
    /// but entries of the log: then all entries before it.
    ///
    /// Only the log's writer may, or whoever has the database alone: what another one appends meanwhile would be taken for
    /// synced in RocksDB.
    pub(crate) fn write_synced(mut self) -> io::Result<()> {
        let began = Instant::now();
        // Now and then RocksDB gets what it has once and for all, so that there is never much to be read again.
        let is_redone = self.has_entries_only() && !self.database.segments.is_much_to_redo();
        let released = self.write_pieces(true)?;
        let redone_from = (!is_redone).then(|| self.put_redo_from());
        let mut options = WriteOptions::default();
        options.set_sync(redone_from.is_some());
        self.database
            .db
            .write_opt(self.writes, &options)
            .map_err(failed)?;
        self.database
            .metrics
            .storage_fsync_seconds
            .observe(began.elapsed().as_secs_f64());
        self.database.segments.release(released, redone_from);
        Ok(())
    }
}

impl Database {
    fn new(db: DB, metrics: Arc<Metrics>) -> Self {
        let remains = Remains::of(db.path());
        Self {
            db,
            remains,
            segments: Segments::default(),
            lacking: Lacking::default(),
            keys: SpoolKeys(0),
            metrics,
        }
    }

    /// Under which number the tables stand. Layover raised it with each snapshot before snapshots
    /// were databases of their own; it stays what it is for the life of a database.
    fn incarnation(&self) -> io::Result<u32> {
        let octets = self.get(Column::Raft, keys::raft(keys::INCARNATION))?;
        let number = octets.and_then(|octets| octets.try_into().ok());
        Ok(number.map_or(0, u32::from_be_bytes))
    }

    /// Removes what a snapshot left that broke off in those days.
    fn drop_other_incarnations(&self) -> io::Result<()> {
        let present = self.keys.incarnation();
        let mut batch = self.batch();
        batch.delete_range(Column::Spool, SpoolKeys(0).incarnation(), &present);
        batch.delete_range(
            Column::Spool,
            keys::end_of(present),
            SpoolKeys(u32::MAX).incarnation(),
        );
        batch.write()
    }

    /// Writes the keys of this database's tables.
    pub(crate) const fn keys(&self) -> SpoolKeys {
        self.keys
    }

    /// Where its files lie.
    pub(crate) fn path(&self) -> &Path {
        self.db.path()
    }

    /// What becomes of its files once it is closed.
    pub(crate) const fn remains(&self) -> &Remains {
        &self.remains
    }

    /// Makes a copy of everything that is written now in a new directory, by hard links where the
    /// file system is the same. What is still in memory is written to files first, so that the
    /// write-ahead log in the copy is short.
    pub(crate) fn checkpoint(&self, directory: &Path) -> io::Result<()> {
        let _reader = self.segments.reader();
        let checkpoint = Checkpoint::new(&self.db).map_err(failed)?;
        checkpoint.create_checkpoint(directory).map_err(failed)?;
        self.segments.link_into(directory, 0)
    }

    fn column(&self, column: Column) -> &ColumnFamily {
        self.db
            .cf_handle(column.name())
            .expect("every column is made when the database is opened")
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            database: self,
            writes: WriteBatch::default(),
            pieces: Pieces::default(),
        }
    }

    pub(crate) fn get(&self, column: Column, key: impl AsRef<[u8]>) -> io::Result<Option<Vec<u8>>> {
        self.db.get_cf(self.column(column), key).map_err(failed)
    }

    /// The keys and values from `from` up to `to` (without `to`), in order.
    pub(crate) fn range(
        &self,
        column: Column,
        from: &[u8],
        to: Vec<u8>,
    ) -> impl Iterator<Item = io::Result<Row>> + use<'_> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self
            .db
            .iterator_cf_opt(self.column(column), below(to), mode);
        rows.map(|row| row.map_err(failed))
    }

    /// The same, the last first.
    pub(crate) fn range_back(
        &self,
        column: Column,
        from: &[u8],
        to: Vec<u8>,
    ) -> impl Iterator<Item = io::Result<Row>> + use<'_> {
        let mut options = below(to);
        options.set_iterate_lower_bound(from);
        let rows = self
            .db
            .iterator_cf_opt(self.column(column), options, IteratorMode::End);
        rows.map(|row| row.map_err(failed))
    }

    /// Lets several reads see the same.
    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment {
            database: self,
            _reader: self.segments.reader(),
            snapshot: self.db.snapshot(),
        }
    }

    /// Shows the keys and values from `from` up to `to` (without `to`), in order, as they are at one
    /// moment. What is read once, from end to end, is kept out of the cache.
    pub(crate) fn for_each(
        &self,
        column: Column,
        from: &[u8],
        to: Vec<u8>,
        mut look: impl FnMut(&[u8], &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut options = below(to);
        options.fill_cache(false);
        let mut rows = self.db.raw_iterator_cf_opt(self.column(column), options);
        rows.seek(from);
        while let Some((key, value)) = rows.item() {
            look(key, value)?;
            rows.next();
        }
        // It ends at a failure, too.
        rows.status().map_err(failed)
    }

    /// Reads everything but pieces from end to end, so that damage is noticed now; a body has a digest,
    /// and is looked at when it is delivered.
    ///
    /// # Errors
    /// What is damaged, as `InvalidData`.
    pub(crate) fn check(&self) -> io::Result<()> {
        for column in [Column::Log, Column::Raft, Column::Spool, Column::Segment] {
            let mut options = ReadOptions::default();
            options.fill_cache(false);
            // What was deleted is read once more when its file is compacted.
            #[expect(deprecated, reason = "for those who delete no ranges")]
            options.set_ignore_range_deletions(true);
            let mut rows = self.db.raw_iterator_cf_opt(self.column(column), options);
            rows.seek_to_first();
            while rows.valid() {
                rows.next();
            }
            rows.status().map_err(failed)?;
        }
        Ok(())
    }

    /// The last key and value from `from` up to `to` (without `to`).
    pub(crate) fn last(&self, column: Column, from: &[u8], to: Vec<u8>) -> io::Result<Option<Row>> {
        self.range_back(column, from, to).next().transpose()
    }

    fn property(&self, column: Column, name: &str) -> u64 {
        let value = self.db.property_int_value_cf(self.column(column), name);
        value.ok().flatten().unwrap_or(0)
    }

    /// Octets that [`Database::give_room_back`] writes at most before it gives any back.
    pub(crate) fn octets_to_give_back(&self) -> u64 {
        let in_memory = Column::ALL.map(|column| self.property(column, MEMORY_BYTES));
        in_memory.iter().sum::<u64>() + self.property(Column::Piece, FILE_BYTES)
    }

    /// Gives the room of deleted pieces, and of the write-ahead log, back to the disk.
    pub(crate) fn give_room_back(&self) -> io::Result<()> {
        self.segments.close_open()?;
        for column in Column::ALL {
            self.db.flush_cf(self.column(column)).map_err(failed)?;
        }
        let pieces = self.column(Column::Piece);
        let rewrite_pieces = |on: &str| {
            let options = [("enable_blob_garbage_collection", on)];
            self.db.set_options_cf(pieces, &options).map_err(failed)
        };
        // Only files without any piece that is needed are to go. To write the pieces of the others
        // anew takes room, which is what there is too little of.
        rewrite_pieces("false")?;
        self.db
            .compact_range_cf(pieces, None::<&[u8]>, None::<&[u8]>);
        rewrite_pieces("true")
    }

    /// Octets on the disk by column, and of the write-ahead log, which has what of them is still in memory.
    pub(crate) fn bytes_by_kind(&self) -> Vec<(&'static str, u64)> {
        let bytes = |column: Column| {
            let segments = match column {
                Column::Piece => self.segments.bytes(),
                _ => 0,
            };
            self.property(column, FILE_BYTES) + self.property(column, BLOB_BYTES) + segments
        };
        let columns = Column::ALL.map(|column| (column.name(), bytes(column)));
        let ahead = ("wal", disk::bytes_ending(self.path(), "log"));
        columns.into_iter().chain([ahead]).collect()
    }

    pub(crate) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

fn below(to: Vec<u8>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(to);
    options
}
