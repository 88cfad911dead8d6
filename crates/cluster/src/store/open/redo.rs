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

use std::{collections::BTreeMap, fs, io, mem};

use super::{Batch, Column, Database, Moment};
use crate::{
    disk,
    limits::LOG_BATCH_BYTES_MAX,
    store::{
        entries, keys,
        raft_state::{self, REDO},
        segments::{self, Location, Record, Start},
    },
};

/// The file in the directory of a database: the nonce of those records that may have to be written again.
const FILE: &str = "REDO";

/// What is found that RocksDB has lost.
const LOST: &str = "the database has lost what was synced in it";

/// Entries that segments have and RocksDB does not.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    entries: BTreeMap<u64, (Vec<u8>, Location)>,
    /// The first entry of the last record. What was appended last may not be on the disk: the process may have ended
    /// before it was synced, or because it could not be.
    unsure: u64,
    /// Why more is missing than that.
    damage: Option<String>,
}

impl Lacking {
    /// Where the piece lies that one of them carries.
    pub(super) fn location(&self, index: u64) -> Option<Location> {
        let (_, location) = self.entries.get(&index)?;
        (location.length() > 0).then_some(*location)
    }
}

impl Moment<'_> {
    /// The entries of the log from one up to another (without that), as they are stored.
    pub(crate) fn entries(
        &self,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = io::Result<(u64, Vec<u8>)>> + use<'_> {
        let rows = self.range(Column::Log, &keys::entry(from), keys::entry(to).to_vec());
        let rows = rows.map(|row| {
            let (key, entry) = row?;
            Ok((keys::entry_index(&key).unwrap_or_default(), entry.into()))
        });
        // They come behind all that are there.
        let lacking = self.database.lacking.entries.range(from..to);
        rows.chain(lacking.map(|(index, (entry, _))| Ok((*index, entry.clone()))))
    }
}

impl Database {
    /// The last entry of the log, as it is stored.
    pub(crate) fn last_entry(&self) -> io::Result<Option<Vec<u8>>> {
        if let Some((_, (entry, _))) = self.lacking.entries.last_key_value() {
            return Ok(Some(entry.clone()));
        }
        let last = self.last(Column::Log, &keys::entry(0), keys::entry(u64::MAX).to_vec())?;
        Ok(last.map(|(_, entry)| entry.into()))
    }

    /// Opens the segments, and writes into RocksDB what it lacks of them.
    ///
    /// # Errors
    /// Something can not be read or written.
    pub(super) fn make_whole(&mut self) -> io::Result<()> {
        self.lacking = self.find_lacking()?;
        self.redo()?;
        self.open_segments()?;
        self.begin_to_log()
    }

    /// Looks for what segments have and RocksDB does not. The segments need not be open yet.
    ///
    /// Every entry must be there already or come behind the last one. One of which neither holds shows that RocksDB has
    /// lost what was fsync'd in it, which no power failure does.
    ///
    /// # Errors
    /// Something can not be read.
    pub(super) fn find_lacking(&self) -> io::Result<Lacking> {
        let mut lacking = Lacking::default();
        let Some(from) = self.redo_from()? else {
            return Ok(lacking);
        };
        let last = entries::last(self)?.or(raft_state::purged(self)?);
        let mut next = last.map(|last| last.index + 1);
        lacking.unsure = u64::MAX;
        let mut before: Option<Record> = None;
        // One with a piece that is not what was written is torn if it is the last, and else damaged, to be mended.
        let torn = segments::each_record(self.path(), from, |record| {
            before.replace(record).map_or(Ok(()), |record| {
                self.look_for(record, &mut next, &mut lacking)
            })
        })?;
        if let Some(last) = before.filter(|record| record.is_whole) {
            let mut entries = last.logged.iter().filter(|(_, entry, _)| !entry.is_empty());
            lacking.unsure = entries.next().map_or(u64::MAX, |(index, ..)| *index);
            self.look_for(last, &mut next, &mut lacking)?;
        }
        lacking.damage = lacking.damage.or(torn);
        Ok(lacking)
    }

    fn look_for(
        &self,
        record: Record,
        next: &mut Option<u64>,
        lacking: &mut Lacking,
    ) -> io::Result<()> {
        // What was moved or mended is fsync'd in RocksDB.
        let logged = record.logged.into_iter();
        for (index, entry, location) in logged.filter(|(_, entry, _)| !entry.is_empty()) {
            match self.get(Column::Log, keys::entry(index))? {
                Some(same) if same == entry => {}
                None if next.is_none_or(|next| next == index) && lacking.damage.is_none() => {
                    *next = Some(index + 1);
                    lacking.entries.insert(index, (entry, location));
                }
                _ => lacking.damage = Some(LOST.to_owned()),
            }
        }
        Ok(())
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

    /// Writes anew what may not be on the disk, and notes that RocksDB has all that there is: from here on the records of
    /// this opening count.
    fn begin_to_log(&mut self) -> io::Result<()> {
        let mut batch = self.batch();
        for (index, (entry, location)) in self.lacking.entries.range(self.lacking.unsure..) {
            let piece = self.segments.read(*location)?;
            batch.put_entry(*index, entry.clone(), piece.into());
        }
        batch.write_synced()?;
        // Entries alone would not be fsync'd in RocksDB.
        self.batch().write_synced()?;
        let nonce = format!("{:016x}\n", self.segments.end().nonce);
        disk::replace_synced(&self.path().join(FILE), &nonce)?;
        let entries = mem::take(&mut self.lacking.entries).len();
        if entries > 0 {
            tracing::info!(
                entries,
                "written into the database again, which lacked them after a crash"
            );
        }
        Ok(())
    }

    /// Why more is missing in it than a power failure takes, if that was found when it was opened.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.lacking.damage.as_deref()
    }

    /// From where on records may have to be written again.
    fn redo_from(&self) -> io::Result<Option<Start>> {
        let noted = self.get(Column::Raft, keys::raft(REDO))?;
        let noted = noted.as_deref().map(Start::from_octets).transpose()?;
        let path = self.path().join(FILE);
        let beside = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            beside => beside?,
        };
        let nonce = u64::from_str_radix(beside.trim_end(), 16).map_err(|_| {
            let text = format!(
                "{} is damaged: it ought to have one number of 16 digits; put it back from a copy of this very \
                 directory, or replace this node",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        Ok(noted.filter(|noted| noted.nonce == nonce))
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
