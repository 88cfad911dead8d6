//! Entries of the log are fsync'd once, in the segment that has their pieces, and RocksDB has them without waiting for
//! the disk. After a power failure it may lack them, and they are written into it again.
//!
//! ```text
//!   entries only        segment: fdatasync      RocksDB: written
//!   anything else       segment: fdatasync      RocksDB: fsync'd, with all before it, and from where to read the segments
//! ```
//!
//! What is not fsync'd is only ever put behind what is there: whatever changes or takes away something of the log is
//! fsync'd and notes the place behind itself. So to write entries again changes nothing where they are there, and
//! never brings back what was cut off or purged. (The redo pass of ARIES, Mohan et al. 1992.)
//!
//! A copy of the database has the segments up to a later moment than its tables are of. That is why what is noted
//! counts only where a file beside the database says so, too, which copies lack.

use std::{io, mem, path::Path};

use super::{Batch, Column, Database, lacking::Lacking};
use crate::{
    disk,
    limits::LOG_BATCH_BYTES_MAX,
    store::{
        directory, entries, keys,
        raft_state::{self, DAMAGE, REDO},
        segments::{self, Found, Record, Start},
    },
};

/// The file in the directory of a database, and what it says to whoever looks. That it is there is what counts.
const FILE: &str = "REDO";
const TOLD: &str = "Files *.piece here may have entries that the database lacks after a power failure: it gets them at \
                    the next start. Without this file it does not.\n";

/// What is found that RocksDB has lost.
const LOST: &str = "the database has lost what was synced in it";

impl Database {
    /// Opens the segments, and writes into RocksDB what it lacks of them.
    ///
    /// # Errors
    /// Something can not be read or written.
    pub(super) fn make_whole(&mut self) -> io::Result<()> {
        self.lacking = self.find_lacking()?;
        self.redo()?;
        self.open_segments()?;
        self.save_damaged()?;
        self.begin_to_log()
    }

    /// Looks for what segments have and RocksDB does not. The segments need not be open yet.
    ///
    /// # Errors
    /// Something can not be read.
    pub(super) fn find_lacking(&self) -> io::Result<Lacking> {
        let noted = self.get(Column::Raft, keys::raft(DAMAGE))?;
        let mut lacking = Lacking {
            damage: noted.map(|noted| String::from_utf8_lossy(&noted).into_owned()),
            unsure: u64::MAX,
            ..Lacking::default()
        };
        let Some(from) = self.redo_from()? else {
            return Ok(lacking);
        };
        let purged = raft_state::purged(self)?;
        let last = entries::last(self)?.or(purged);
        let mut search = Search {
            database: self,
            purged: purged.map_or(0, |purged| purged.index),
            next: last.map(|last| last.index + 1),
            lacking: &mut lacking,
        };
        // Of the last one it is not known whether it is on the disk.
        let (mut before, mut torn): (Option<Behind>, Option<String>) = (None, None);
        segments::each_record(self.path(), from, |found| match found {
            Found::Torn(place) => {
                torn.get_or_insert(place);
                Ok(())
            }
            Found::Record(record) => {
                let torn = torn.take();
                let before = before.replace(Behind { torn, record });
                before.map_or(Ok(()), |record| search.look_at(record))
            }
        })?;
        if let Some(last) = before.filter(|last| last.record.is_whole(self.path())) {
            let mut entries = last.record.logged.iter();
            let first = entries.find(|(_, entry, _)| !entry.is_empty());
            search.lacking.unsure = first.map_or(u64::MAX, |(index, ..)| *index);
            search.look_at(last)?;
        }
        Ok(lacking)
    }

    /// Writes into RocksDB what it lacks and is on the disk for certain. The segments are opened behind this.
    fn redo(&self) -> io::Result<()> {
        let mut batch = self.batch();
        for (index, (entry, location)) in self.lacking.entries.range(..self.lacking.unsure) {
            batch.put_logged(*index, entry.clone(), *location);
            if batch.bytes() > LOG_BATCH_BYTES_MAX {
                mem::replace(&mut batch, self.batch()).write()?;
            }
        }
        batch.write()
    }

    /// Keeps what is in the segments from being removed where something is damaged that somebody may still be able to
    /// read: bodies lie there as they came. It can do without.
    fn save_damaged(&mut self) -> io::Result<()> {
        let is_new = self.get(Column::Raft, keys::raft(DAMAGE))?.is_none();
        let (Some(from), Some(damage)) = (self.redo_from()?, &self.lacking.damage) else {
            return Ok(());
        };
        if !is_new {
            return Ok(());
        }
        let directory = self.path().with_extension(format!("damaged-{from}"));
        let kept = match self.keep_segments(from, &directory) {
            Ok(()) => format!("is kept in {} until you remove that", directory.display()),
            Err(error) => format!("could not be kept in {}: {error}", directory.display()),
        };
        let damage = format!("{damage} (what its files of bodies had {kept})");
        self.lacking.damage = Some(damage);
        Ok(())
    }

    fn keep_segments(&self, from: Start, directory: &Path) -> io::Result<()> {
        // A start may have broken off behind this.
        directory::remove(directory)?;
        disk::create_private(directory)?;
        self.segments.link_into(directory, from.segment)
    }

    /// Writes anew what may not be on the disk, and notes that RocksDB has all that there is: from here on the records of
    /// this opening count.
    fn begin_to_log(&mut self) -> io::Result<()> {
        let mut batch = self.batch();
        for (index, (entry, location)) in self.lacking.entries.range(self.lacking.unsure..) {
            let piece = self.segments.read(*location)?;
            batch.put_entry(*index, entry.clone(), piece.into());
        }
        // With it, or nothing is found any more that tells of it.
        if let Some(damage) = self.damage() {
            batch.put(Column::Raft, keys::raft(DAMAGE), damage);
        }
        batch.write_synced()?;
        // Entries alone would not be fsync'd in RocksDB.
        self.batch().write_synced()?;
        let file = self.path().join(FILE);
        if !file.try_exists()? {
            disk::create_synced(&file, TOLD)?;
        }
        let entries = mem::take(&mut self.lacking.entries).len();
        if entries > 0 {
            tracing::info!(
                entries,
                "written into the database again, which lacked them after a crash"
            );
        }
        Ok(())
    }

    /// Why more is missing in it than a power failure takes, if that was found when it was opened, and nobody has
    /// [heard of it](Database::forget_damage) yet.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.lacking.damage.as_deref()
    }

    /// To be called once it is noted elsewhere why something is missing. Nobody else may write meanwhile.
    ///
    /// # Errors
    /// It can not be written.
    pub(crate) fn forget_damage(&self) -> io::Result<()> {
        if self.damage().is_none() {
            return Ok(());
        }
        let mut batch = self.batch();
        batch.delete(Column::Raft, keys::raft(DAMAGE));
        batch.write_synced()
    }

    /// From where on records may have to be written again.
    fn redo_from(&self) -> io::Result<Option<Start>> {
        let noted = self.get(Column::Raft, keys::raft(REDO))?;
        let noted = noted.as_deref().map(Start::from_octets).transpose()?;
        let is_ours = self.path().join(FILE).try_exists()?;
        Ok(noted.filter(|_| is_ours))
    }
}

/// A record, and what was not whole in front of it.
struct Behind {
    torn: Option<String>,
    record: Record,
}

/// A walk through the records, beside RocksDB's entries.
struct Search<'d> {
    database: &'d Database,
    purged: u64,
    /// Which entry comes next behind all that there are; `None` if there never was any.
    next: Option<u64>,
    lacking: &'d mut Lacking,
}

impl Search<'_> {
    /// Every entry must be there already or come behind the last one. One of which neither holds shows that what is torn in
    /// front of it was written whole once; or, if nothing is, that RocksDB has lost what was fsync'd in it, which no
    /// power failure does.
    fn look_at(&mut self, Behind { torn, record }: Behind) -> io::Result<()> {
        let lacking = &mut self.lacking;
        // What was moved or mended is fsync'd in RocksDB.
        let logged = record.logged.into_iter();
        for (index, entry, location) in logged.filter(|(_, entry, _)| !entry.is_empty()) {
            let is_next = self.next.map_or(index <= 1, |next| next == index);
            match self.database.get(Column::Log, keys::entry(index))? {
                Some(same) if same == entry => {}
                // A version before has purged it, and knows nothing of this.
                None if index <= self.purged => {}
                None if is_next && lacking.damage.is_none() => {
                    self.next = Some(index + 1);
                    lacking.entries.insert(index, (entry, location));
                }
                _ => {
                    let damage = || torn.clone().unwrap_or_else(|| LOST.to_owned());
                    lacking.damage.get_or_insert_with(damage);
                }
            }
        }
        Ok(())
    }
}

impl Batch<'_> {
    /// Notes that RocksDB needs nothing again of what is in the segments by now. Returns the first segment that it may
    /// need from here on.
    pub(super) fn put_redo_from(&mut self) -> u64 {
        let from = self.database.segments.end();
        self.put(Column::Raft, keys::raft(REDO), from.to_octets());
        from.segment
    }
}
