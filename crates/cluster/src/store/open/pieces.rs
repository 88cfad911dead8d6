//! Pieces of bodies: in segments, with the entries that carry them, or in RocksDB where a version of before put them.

use std::{collections::BTreeMap, io, mem, ops::Range};

use bytes::Bytes;

use super::{Batch, Column, Database, Moment};
use crate::{
    disk::Disk,
    limits::{
        AHEAD_BYTES_MAX, AHEAD_PIECE_MAX, SEGMENT_MOVE_BYTES_MAX, SEGMENT_MOVE_FREE_MIN,
        SEGMENT_MOVE_PIECES_MAX, SEGMENT_MOVE_ROWS_MAX,
    },
    store::{
        keys,
        segments::{Location, Logged, Readable, Segments},
    },
};

/// The first of them, as many as may be read ahead in one go.
fn within_bounds<T>(
    pieces: impl Iterator<Item = (u64, T)>,
    length: impl Fn(&T) -> usize,
) -> impl Iterator<Item = (u64, T)> {
    let mut bytes = 0;
    pieces.take_while(move |(_, piece)| {
        bytes += length(piece);
        bytes <= AHEAD_BYTES_MAX
    })
}

/// Reads a row of [`Column::Segment`].
fn located(key: &[u8], location: &[u8]) -> io::Result<(u64, Location)> {
    let index = keys::entry_index(key).unwrap_or_default();
    Ok((index, Location::from_octets(location)?))
}

/// What a batch writes into a segment: entries and pieces; and which pieces it gives up.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    put: Vec<Logged>,
    released: Vec<Location>,
}

impl Pieces {
    pub(super) fn bytes(&self) -> usize {
        self.put.iter().map(Logged::bytes).sum()
    }

    /// Takes something back of what is put for these entries.
    fn take_back(&mut self, entries: &Range<u64>, what: impl Fn(&mut Logged)) {
        let put = self.put.iter_mut();
        put.filter(|put| entries.contains(&put.index))
            .for_each(what);
        self.put.retain(|put| put.bytes() > 0);
    }
}

impl Database {
    /// The segments of a database that was opened just now.
    pub(super) fn open_segments(&mut self) -> io::Result<()> {
        self.segments = Segments::open(self.db.path(), |look| {
            if !self.has(Column::Segment) {
                return Ok(());
            }
            let (from, to) = (keys::entry(0), keys::entry(u64::MAX).to_vec());
            self.for_each(Column::Segment, &from, to, |key, location| {
                let (index, location) = located(key, location)?;
                look(index, location);
                Ok(())
            })
        })?;
        Ok(())
    }

    /// Where pieces lie that are in segments, with the indices of their entries.
    fn locations(
        &self,
        entries: Range<u64>,
    ) -> impl Iterator<Item = io::Result<(u64, Location)>> + use<'_> {
        let (from, to) = (
            keys::entry(entries.start),
            keys::entry(entries.end).to_vec(),
        );
        let rows = self
            .has(Column::Segment)
            .then(|| self.range(Column::Segment, &from, to));
        rows.into_iter().flatten().map(|row| {
            let (key, location) = row?;
            located(&key, &location)
        })
    }

    /// Whether a column is there. One that is only read may be of the time before there were segments.
    fn has(&self, column: Column) -> bool {
        self.db.cf_handle(column.name()).is_some()
    }

    /// The piece of a body that an entry carried.
    ///
    /// # Errors
    /// It is damaged (`InvalidData`), or can not be read.
    pub(crate) fn piece(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let _reader = self.segments.reader();
        match self.location(index)? {
            Some(location) => self.segments.read(location).map(Some),
            None => self.get(Column::Piece, keys::entry(index)),
        }
    }

    /// Small pieces of these entries in their order, as many as can be read and are within the bounds.
    pub(crate) fn small_pieces(&self, entries: Range<u64>) -> Vec<(u64, Bytes)> {
        if entries.is_empty() {
            return Vec::new();
        }
        let _reader = self.segments.reader();
        // Each of the two is bounded, as nothing is to be read in vain, and then both together.
        let (from, to) = (keys::entry(entries.start), keys::entry(entries.end));
        let in_rocksdb = self.range(Column::Piece, &from, to.to_vec());
        let in_rocksdb = in_rocksdb.filter_map(io::Result::ok).map(|(key, piece)| {
            let index = keys::entry_index(&key).unwrap_or_default();
            (index, Bytes::from(piece))
        });
        let in_segments = self.locations(entries).filter_map(io::Result::ok);
        let in_segments = in_segments.filter(|(_, it)| it.length() <= AHEAD_PIECE_MAX);
        let in_segments = within_bounds(in_segments, Location::length);
        let mut readable: Option<Readable> = None;
        let in_segments = in_segments.filter_map(|(index, location)| {
            if !readable.as_ref().is_some_and(|it| it.has(&location)) {
                readable = self.segments.to_read(location.segment()).ok();
            }
            let piece = readable.as_ref()?.read(location).ok()?;
            Some((index, piece.into()))
        });
        let in_rocksdb = within_bounds(in_rocksdb, Bytes::len);
        let in_rocksdb = in_rocksdb.filter(|(_, piece)| piece.len() <= AHEAD_PIECE_MAX);
        let pieces: BTreeMap<_, _> = in_rocksdb.chain(in_segments).collect();
        within_bounds(pieces.into_iter(), Bytes::len).collect()
    }

    fn location(&self, index: u64) -> io::Result<Option<Location>> {
        if let Some(lacking) = self.lacking.location(index) {
            return Ok(Some(lacking));
        }
        if !self.has(Column::Segment) {
            return Ok(None);
        }
        let octets = self.get(Column::Segment, keys::entry(index))?;
        octets.as_deref().map(Location::from_octets).transpose()
    }

    /// What is appended next goes into another segment.
    #[cfg(test)]
    pub(crate) fn close_segment(&self) -> io::Result<()> {
        self.segments.close_open()
    }

    /// Moves what is still needed out of a segment of which most is not, or a part of it. Nobody else may write or
    /// delete pieces meanwhile.
    ///
    /// # Errors
    /// It can not be written.
    pub(crate) fn move_pieces(&self) -> io::Result<()> {
        // Whatever is fsync'd in RocksDB lets those go that it does not need again.
        if self.segments.close_unneeded()? {
            self.batch().write_synced()?;
        }
        let Some((segment, entries)) = self.segments.wasteful() else {
            return Ok(());
        };
        // To move takes room first, and a write that fails ends the node.
        if Disk::of(self.path())?.free < SEGMENT_MOVE_FREE_MIN {
            return Ok(());
        }
        // What was in one that is missing is asked of another node.
        let Ok(readable) = self.segments.to_read(segment) else {
            self.segments.leave(segment);
            return Ok(());
        };
        let mut batch = self.batch();
        let mut goes_on_at = None;
        let rows = self.locations(*entries.start()..entries.end().saturating_add(1));
        for (walked, row) in rows.enumerate() {
            let (index, location) = row?;
            let pieces = &batch.pieces;
            if walked >= SEGMENT_MOVE_ROWS_MAX
                || pieces.put.len() >= SEGMENT_MOVE_PIECES_MAX
                || pieces.bytes() >= SEGMENT_MOVE_BYTES_MAX
            {
                goes_on_at = Some(index);
                break;
            }
            if !readable.has(&location) {
                continue;
            }
            // Whoever needs one that is damaged asks another node for it.
            let Ok(piece) = readable.read(location) else {
                continue;
            };
            batch.delete_piece(index)?;
            batch.put_piece(index, piece.into());
        }
        if let Some(index) = goes_on_at {
            self.segments.looked_at(segment, index);
        } else if batch.pieces.bytes() == 0 {
            self.segments.leave(segment);
        }
        if batch.pieces.bytes() == 0 {
            return Ok(());
        }
        batch.write_synced()
    }
}

impl Moment<'_> {
    /// The piece of a body that an entry carried.
    ///
    /// # Errors
    /// As [`Database::piece`].
    pub(crate) fn piece(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let key = keys::entry(index);
        let noted = match self.database.has(Column::Segment) {
            true => self.get(Column::Segment, key)?,
            false => None,
        };
        let noted = noted.as_deref().map(Location::from_octets).transpose()?;
        match noted.or_else(|| self.database.lacking.location(index)) {
            Some(location) => self.database.segments.read(location).map(Some),
            None => self.get(Column::Piece, key),
        }
    }
}

impl Batch<'_> {
    /// Puts an entry of the log as it is stored, and the piece that it carries; empty when it carries none.
    pub(crate) fn put_entry(&mut self, index: u64, entry: Vec<u8>, piece: Bytes) {
        self.pieces.put.push(Logged {
            index,
            entry,
            piece,
        });
    }

    /// Puts the piece that an entry carries; the entry has none now.
    pub(crate) fn put_piece(&mut self, index: u64, piece: Bytes) {
        self.put_entry(index, Vec::new(), piece);
    }

    /// Deletes these entries, and not their pieces.
    pub(crate) fn delete_entries(&mut self, entries: Range<u64>) {
        self.pieces.take_back(&entries, |put| put.entry.clear());
        let (from, to) = (keys::entry(entries.start), keys::entry(entries.end));
        self.delete_range(Column::Log, from, to);
    }

    /// Deletes the piece that an entry carried, wherever it is.
    ///
    /// # Errors
    /// Where it is can not be read.
    pub(crate) fn delete_piece(&mut self, index: u64) -> io::Result<()> {
        self.pieces
            .take_back(&(index..index + 1), |put| put.piece.clear());
        match self.database.location(index)? {
            Some(location) => {
                self.delete(Column::Segment, keys::entry(index));
                self.pieces.released.push(location);
            }
            None => self.delete(Column::Piece, keys::entry(index)),
        }
        Ok(())
    }

    /// Deletes the pieces of all these entries.
    ///
    /// # Errors
    /// Where they are can not be read.
    pub(crate) fn delete_pieces(&mut self, entries: Range<u64>) -> io::Result<()> {
        self.pieces.take_back(&entries, |put| put.piece.clear());
        for row in self.database.locations(entries.clone()) {
            let (index, location) = row?;
            self.delete(Column::Segment, keys::entry(index));
            self.pieces.released.push(location);
        }
        let (from, to) = (keys::entry(entries.start), keys::entry(entries.end));
        self.delete_range(Column::Piece, from, to);
        Ok(())
    }

    /// Whether it does nothing but put entries behind the log.
    pub(super) fn has_entries_only(&self) -> bool {
        let put = &self.pieces.put;
        self.writes.is_empty() && !put.is_empty() && put.iter().all(|put| !put.entry.is_empty())
    }

    /// Writes entries and pieces into a segment, ahead of the batch, which gets the rows for them; returns what is to be
    /// released behind it.
    pub(super) fn write_pieces(&mut self, sync: bool) -> io::Result<Vec<Location>> {
        let Pieces { put, released } = mem::take(&mut self.pieces);
        if put.is_empty() {
            if sync {
                self.database.segments.sync()?;
            }
            return Ok(released);
        }
        let locations = self.database.segments.append(&put, sync)?;
        for (put, location) in put.into_iter().zip(locations) {
            self.put_logged(put.index, put.entry, location);
        }
        Ok(released)
    }

    /// Puts the rows for an entry, and for its piece, which are in a segment.
    pub(super) fn put_logged(&mut self, index: u64, entry: Vec<u8>, location: Location) {
        let key = keys::entry(index);
        if location.length() > 0 {
            self.put(Column::Segment, key, location.to_octets());
        }
        if !entry.is_empty() {
            self.put(Column::Log, key, entry);
        }
    }
}
