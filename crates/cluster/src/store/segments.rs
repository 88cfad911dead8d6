//! Pieces of bodies in files of their own, so that an octet of a body is written once.
//!
//! What RocksDB is given it writes twice: into its write-ahead log, and into a table or a blob file when its buffer is
//! full. So bodies go round it, and the entries of the log that carry them lie beside them (`record.rs`):
//!
//! ```text
//!   batch ── entries and pieces ──▶ the open segment ── fdatasync ──▶ rows that say where they lie ──▶ acknowledged
//! ```
//!
//! A segment is only ever appended to, by the log's writer, and never again once it is closed. It is synced before a
//! row that names it is written: what a row says is on the disk. When no row names it any more, and nothing of it may have
//! to be written into RocksDB again (`open/redo.rs`), it is removed.

mod location;
mod names;
mod readable;
mod record;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, IoSlice, Write as _},
    iter, mem,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

pub(super) use location::Location;
pub(super) use names::ENDING;
use names::{name_of, numbers};
pub(super) use readable::Readable;
pub(super) use record::{Found, Logged, Record, Start, each_record};

use crate::{
    disk,
    limits::{SEGMENT_BYTES, SEGMENT_CLOSED_MIN, SEGMENT_NEEDED_MIN},
};

/// The segments of one database.
#[derive(Debug, Default)]
pub(super) struct Segments {
    directory: PathBuf,
    /// Who appends holds it, up to the end of his fdatasync.
    open: Mutex<Option<Open>>,
    books: Mutex<Books>,
    /// What its records begin with.
    nonce: u64,
}

/// The segment that is appended to.
#[derive(Debug)]
struct Open {
    number: u64,
    file: File,
    length: u64,
    /// Whether something was written since the last fdatasync.
    unsynced: bool,
}

/// What is known of segments without reading them.
#[derive(Debug, Default)]
struct Books {
    segments: BTreeMap<u64, Segment>,
    /// Number of the next one.
    next: u64,
    /// Number of the one that is appended to.
    open: Option<u64>,
    /// Number of the first that RocksDB may need again after a power failure.
    redone_from: u64,
    /// Octets that it may need again.
    to_redo: u64,
    /// Who reads now, and may have seen rows that are gone.
    readers: usize,
    /// Rows that are deleted, but not for certain: a power failure may bring them back.
    unsure: Vec<Location>,
    /// Whether a closed one may be that no row names.
    unneeded: bool,
}

#[derive(Clone, Debug, Default)]
struct Segment {
    /// Its length.
    bytes: u64,
    /// Octets of it that rows name.
    needed: u64,
    /// Entries whose pieces it may have.
    entries: Option<(u64, u64)>,
    /// Whether there is nothing in it that could be moved.
    stays: bool,
}

impl Segment {
    fn count(&mut self, index: u64, location: Location) {
        self.needed += u64::from(location.length);
        let (first, last) = self.entries.unwrap_or((index, index));
        self.entries = Some((first.min(index), last.max(index)));
    }
}

/// Nothing that rows named when it was made is removed while this is held.
#[derive(Debug)]
pub(super) struct Reader<'s>(&'s Segments);

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut books = self.0.books();
        books.readers -= 1;
        self.0.remove_unneeded(books);
    }
}

impl Segments {
    /// Looks what there is in a database's directory, and which of it the rows name that `each_row` shows, each with the
    /// index of its entry.
    ///
    /// # Errors
    /// The directory can not be read, or what `each_row` returns. A segment that is missing or too short is told to
    /// the log: its pieces are read as damaged.
    pub(super) fn open(
        directory: &Path,
        each_row: impl FnOnce(&mut dyn FnMut(u64, Location)) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut books = Books {
            unneeded: true,
            ..Books::default()
        };
        for number in numbers(directory)? {
            let segment = books.segments.entry(number).or_default();
            segment.bytes = fs::metadata(directory.join(name_of(number)))?.len();
        }
        let mut lacking: BTreeMap<u64, usize> = BTreeMap::new();
        each_row(&mut |index, location| {
            let segment = books.segments.entry(location.segment).or_default();
            segment.count(index, location);
            if location.end() > segment.bytes {
                *lacking.entry(location.segment).or_default() += 1;
            }
        })?;
        for (number, pieces) in lacking {
            tracing::error!(
                file = %directory.join(name_of(number)).display(), pieces,
                "a file of bodies is missing or cut off: what it had is asked of other nodes"
            );
        }
        books.next = books
            .segments
            .last_key_value()
            .map_or(1, |(last, _)| last.saturating_add(1));
        Ok(Self {
            directory: directory.to_owned(),
            open: Mutex::default(),
            books: Mutex::new(books),
            nonce: rand::random(),
        })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held while a row is read and what it names.
    pub(super) fn reader(&self) -> Reader<'_> {
        self.books().readers += 1;
        Reader(self)
    }

    /// Appends a record; returns where its pieces lie, also those that are empty. When `sync` is set it is on the disk
    /// then, and all that was appended before.
    ///
    /// # Errors
    /// What the system says. The segment may have a part of it, which no row names.
    pub(super) fn append(&self, logged: &[Logged], sync: bool) -> io::Result<Vec<Location>> {
        let mut writing = self.writing();
        if let Some(full) = writing.take_if(|open| open.length >= SEGMENT_BYTES) {
            self.close(full)?;
        }
        let open = match &mut *writing {
            Some(open) => open,
            none => none.insert(self.begin()?),
        };
        let start = Start {
            segment: open.number,
            offset: open.length,
            nonce: self.nonce,
        };
        let (head, locations) = record::encode(start, logged)?;
        open.length += head.len() as u64;
        open.length = locations.last().map_or(open.length, Location::end);
        open.unsynced = true;
        // Before any row names them: one that nobody needs would be removed.
        let mut books = self.books();
        books.to_redo += open.length - start.offset;
        let segment = books.segments.entry(open.number).or_default();
        segment.bytes = open.length;
        for (logged, location) in logged.iter().zip(&locations) {
            segment.count(logged.index, *location);
        }
        drop(books);
        let pieces = logged.iter().map(|logged| &*logged.piece);
        let written = write_all(&mut open.file, iter::once(&*head).chain(pieces));
        written.map_err(|error| self.failed("write", open.number, &error))?;
        if sync {
            self.sync_now(open)?;
        }
        Ok(locations)
    }

    /// Whether there is so much that RocksDB may need again that it ought to be synced there.
    pub(super) fn is_much_to_redo(&self) -> bool {
        self.books().to_redo >= SEGMENT_BYTES
    }

    /// Where the next record begins.
    pub(super) fn end(&self) -> Start {
        let writing = self.writing();
        let (segment, offset) = match &*writing {
            Some(open) => (open.number, open.length),
            None => (self.books().next, 0),
        };
        Start {
            segment,
            offset,
            nonce: self.nonce,
        }
    }

    /// Makes all that was appended survive a power failure.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &mut *self.writing() {
            Some(open) if open.unsynced => self.sync_now(open),
            _ => Ok(()),
        }
    }

    fn sync_now(&self, open: &mut Open) -> io::Result<()> {
        let synced = open.file.sync_data();
        synced.map_err(|error| self.failed("fdatasync", open.number, &error))?;
        open.unsynced = false;
        Ok(())
    }

    fn failed(&self, what: &str, number: u64, error: &io::Error) -> io::Error {
        let path = self.path(number);
        io::Error::new(
            error.kind(),
            format!("{what} of {}: {error}", path.display()),
        )
    }

    fn begin(&self) -> io::Result<Open> {
        let mut books = self.books();
        let number = books.next;
        books.next += 1;
        books.open = Some(number);
        drop(books);
        let file = File::create_new(self.path(number))?;
        disk::sync_directory(&self.directory)?;
        Ok(Open {
            number,
            file,
            length: 0,
            unsynced: false,
        })
    }

    /// Closes the segment that is appended to: what comes next goes into another.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn close_open(&self) -> io::Result<()> {
        let open = self.writing().take();
        open.map_or(Ok(()), |open| self.close(open))
    }

    /// Closes the segment that is appended to if nothing of it is needed, and it is worth it. Returns whether there are
    /// closed ones that only wait for RocksDB not to need them again.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn close_unneeded(&self) -> io::Result<bool> {
        let books = self.books();
        let open = books.open.and_then(|open| books.segments.get(&open));
        let close = open.is_some_and(|it| it.needed == 0 && it.bytes >= SEGMENT_CLOSED_MIN);
        drop(books);
        if close {
            self.close_open()?;
        }
        let books = self.books();
        let mut waiting = books.segments.range(books.redone_from..);
        Ok(waiting.any(|(number, it)| it.needed == 0 && Some(*number) != books.open))
    }

    fn close(&self, mut open: Open) -> io::Result<()> {
        if open.unsynced {
            self.sync_now(&mut open)?;
        }
        let mut books = self.books();
        // Another may have been begun already.
        books.open.take_if(|number| *number == open.number);
        books.unneeded = true;
        self.remove_unneeded(books);
        Ok(())
    }

    /// Links everything from a segment on that rows may name which were written before into another directory. Whoever
    /// calls holds a [`Reader`] from before those rows were copied.
    pub(super) fn link_into(&self, directory: &Path, from: u64) -> io::Result<()> {
        // What comes after goes into another file, so that none changes that two databases have.
        self.close_open()?;
        let books = self.books();
        let begun_since = books.open;
        let numbers: Vec<u64> = books.segments.range(from..).map(|it| *it.0).collect();
        drop(books);
        for number in numbers
            .into_iter()
            .filter(|number| Some(*number) != begun_since)
        {
            match fs::hard_link(self.path(number), directory.join(name_of(number))) {
                // It was missing before.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                linked => linked?,
            }
        }
        disk::sync_directory(directory)
    }

    /// Reads a piece.
    ///
    /// # Errors
    /// As [`Readable::read`].
    pub(super) fn read(&self, location: Location) -> io::Result<Vec<u8>> {
        self.to_read(location.segment)?.read(location)
    }

    /// Opens a segment of which several pieces are to be read.
    ///
    /// # Errors
    /// It is missing (`InvalidData`: all that it had is damaged), or can not be opened.
    pub(super) fn to_read(&self, segment: u64) -> io::Result<Readable> {
        Readable::open(segment, self.path(segment))
    }

    /// Notes that no row names these any more. When that is not on the disk yet, they stay until something is; then,
    /// `synced` is the first segment that RocksDB may need again.
    pub(super) fn release(&self, released: Vec<Location>, synced: Option<u64>) {
        let mut books = self.books();
        books.unsure.extend(released);
        let Some(redone_from) = synced else {
            return;
        };
        books.unneeded |= redone_from > books.redone_from;
        books.redone_from = redone_from;
        books.to_redo = 0;
        for location in mem::take(&mut books.unsure) {
            if let Some(segment) = books.segments.get_mut(&location.segment) {
                segment.needed = segment.needed.saturating_sub(u64::from(location.length));
                let is_unneeded = segment.needed == 0;
                books.unneeded |= is_unneeded;
            }
        }
        self.remove_unneeded(books);
    }

    /// Removes closed segments that nobody needs, nor RocksDB again, unless somebody reads. A file that can not be removed
    /// is one that the next start finds. To remove one takes a while, in which nobody waits for the books.
    fn remove_unneeded(&self, mut books: MutexGuard<'_, Books>) {
        if books.readers > 0 || !books.unneeded {
            return;
        }
        books.unneeded = false;
        let (open, redone_from) = (books.open, books.redone_from);
        let unneeded = |number: &u64, segment: &mut Segment| {
            segment.needed == 0 && Some(*number) != open && *number < redone_from
        };
        let removed: Vec<_> = books.segments.extract_if(.., unneeded).collect();
        drop(books);
        for (number, _) in removed {
            let path = self.path(number);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, file = %path.display(), "not removed");
                }
                _ => {}
            }
        }
    }

    /// A closed segment of which little is needed, and the entries whose pieces that may be.
    pub(super) fn wasteful(&self) -> Option<(u64, RangeInclusive<u64>)> {
        let books = self.books();
        let part = |segment: &Segment| segment.needed.saturating_mul(100) / segment.bytes.max(1);
        let closed = books.segments.iter().filter(|(number, segment)| {
            Some(**number) != books.open && segment.needed > 0 && !segment.stays
        });
        let (number, segment) = closed.min_by_key(|(_, segment)| part(segment))?;
        let (first, last) = segment.entries?;
        (part(segment) < SEGMENT_NEEDED_MIN).then_some((*number, first..=last))
    }

    /// Notes that what a segment has of entries before this one is looked at.
    pub(super) fn looked_at(&self, number: u64, before: u64) {
        if let Some(segment) = self.books().segments.get_mut(&number)
            && let Some((first, _)) = &mut segment.entries
        {
            *first = before.max(*first);
        }
    }

    /// Leaves a segment as it is: nothing of what is needed can be moved.
    pub(super) fn leave(&self, number: u64) {
        if let Some(segment) = self.books().segments.get_mut(&number) {
            segment.stays = true;
        }
    }

    /// Octets of all of them.
    pub(super) fn bytes(&self) -> u64 {
        self.books()
            .segments
            .values()
            .map(|segment| segment.bytes)
            .sum()
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(name_of(number))
    }
}

/// Writes all these with few calls of the system.
fn write_all<'a>(file: &mut File, parts: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
