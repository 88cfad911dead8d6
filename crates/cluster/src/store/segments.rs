//! Pieces of bodies in files of their own, so that an octet of a body is written once.
//!
//! What RocksDB is given it writes twice: into its write-ahead log, and into a table or a blob file when its buffer is
//! full. So what is large goes round it:
//!
//! ```text
//!   batch ── pieces ──▶ the open segment ── fdatasync ──▶ rows that say where they lie ── fsync ──▶ acknowledged
//! ```
//!
//! A segment is only ever appended to, by the log's writer, and never again once it is closed. It is synced before a
//! row that names it is written: what a row says is on the disk. When no row names it any more, it is removed.

mod location;
mod readable;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, IoSlice, Write as _},
    mem,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

pub(super) use location::Location;
pub(super) use readable::Readable;

use crate::{
    disk,
    limits::{SEGMENT_BYTES, SEGMENT_NEEDED_MIN},
};

/// How the names of segments end.
pub(super) const ENDING: &str = "piece";

/// The segments of one database.
#[derive(Debug, Default)]
pub(super) struct Segments {
    directory: PathBuf,
    /// Who appends holds it, up to the end of his fdatasync.
    open: Mutex<Option<Open>>,
    books: Mutex<Books>,
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
    /// Looks what there is in a database's directory, and which of it the rows name that are shown by `rows`, each
    /// with the index of its entry. Unless it is only to be read, what no row names is removed.
    ///
    /// # Errors
    /// The directory can not be read, or a row is none. A segment that is missing or too short is told to the log:
    /// its pieces are read as damaged.
    pub(super) fn open(
        directory: &Path,
        rows: impl Iterator<Item = io::Result<(u64, Location)>>,
        only_read: bool,
    ) -> io::Result<Self> {
        let mut books = Books {
            unneeded: !only_read,
            ..Books::default()
        };
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Others are RocksDB's, which may remove some at this very moment.
            let Some(number) = number_in(&entry.file_name().to_string_lossy()) else {
                continue;
            };
            let segment = books.segments.entry(number).or_default();
            segment.bytes = entry.metadata()?.len();
        }
        let mut lacking: BTreeMap<u64, usize> = BTreeMap::new();
        for row in rows {
            let (index, location) = row?;
            let segment = books.segments.entry(location.segment).or_default();
            segment.count(index, location);
            if location.end() > segment.bytes {
                *lacking.entry(location.segment).or_default() += 1;
            }
        }
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
        let segments = Self {
            directory: directory.to_owned(),
            open: Mutex::default(),
            books: Mutex::new(books),
        };
        segments.remove_unneeded(segments.books());
        Ok(segments)
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

    /// Appends pieces, each with the index of its entry; returns where they lie. When `sync` is set they are on the
    /// disk then, and all that was appended before.
    ///
    /// # Errors
    /// What the system says. The segment may have a part of them, which no row names.
    pub(super) fn append(&self, pieces: &[(u64, Bytes)], sync: bool) -> io::Result<Vec<Location>> {
        let mut writing = self.writing();
        if let Some(full) = writing.take_if(|open| open.length >= SEGMENT_BYTES) {
            self.close(full)?;
        }
        let open = match &mut *writing {
            Some(open) => open,
            none => none.insert(self.begin()?),
        };
        let mut locations = Vec::with_capacity(pieces.len());
        for (_, piece) in pieces {
            let too_long = |_| io::Error::other("a piece of more than 4 GiB");
            let location = Location {
                segment: open.number,
                offset: open.length,
                length: u32::try_from(piece.len()).map_err(too_long)?,
                sum: crc32fast::hash(piece),
            };
            open.length = location.end();
            locations.push(location);
        }
        open.unsynced = true;
        // Before any row names them: one that nobody needs would be removed.
        let mut books = self.books();
        let segment = books.segments.entry(open.number).or_default();
        segment.bytes = open.length;
        for ((index, _), location) in pieces.iter().zip(&locations) {
            segment.count(*index, *location);
        }
        drop(books);
        write_all(&mut open.file, pieces)?;
        if sync {
            open.file.sync_data()?;
            open.unsynced = false;
        }
        Ok(locations)
    }

    /// Makes all that was appended survive a power failure.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &mut *self.writing() {
            Some(open) if open.unsynced => {
                open.file.sync_data()?;
                open.unsynced = false;
                Ok(())
            }
            _ => Ok(()),
        }
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

    /// Closes the segment that is appended to if nothing of it is needed, which removes it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn close_unneeded(&self) -> io::Result<()> {
        let books = self.books();
        let open = books.open.and_then(|open| books.segments.get(&open));
        let is_unneeded = open.is_some_and(|open| open.needed == 0);
        drop(books);
        if is_unneeded {
            self.close_open()
        } else {
            Ok(())
        }
    }

    fn close(&self, open: Open) -> io::Result<()> {
        if open.unsynced {
            open.file.sync_data()?;
        }
        let mut books = self.books();
        books.open = None;
        books.unneeded = true;
        self.remove_unneeded(books);
        Ok(())
    }

    /// Links everything that rows may name which were written before into another directory. Whoever calls holds a
    /// [`Reader`] from before those rows were copied.
    pub(super) fn link_into(&self, directory: &Path) -> io::Result<()> {
        // What comes after goes into another file, so that none changes that two databases have.
        self.close_open()?;
        let books = self.books();
        let begun_since = books.open;
        let numbers: Vec<u64> = books.segments.keys().copied().collect();
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

    /// Notes that no row names these any more. When that is not on the disk yet, they stay until something is.
    pub(super) fn release(&self, released: Vec<Location>, synced: bool) {
        let mut books = self.books();
        books.unsure.extend(released);
        if !synced {
            return;
        }
        for location in mem::take(&mut books.unsure) {
            if let Some(segment) = books.segments.get_mut(&location.segment) {
                segment.needed = segment.needed.saturating_sub(u64::from(location.length));
                let is_unneeded = segment.needed == 0;
                books.unneeded |= is_unneeded;
            }
        }
        self.remove_unneeded(books);
    }

    /// Removes closed segments that nobody needs, unless somebody reads. A file that can not be removed is one that
    /// the next start finds. To remove one takes a while, in which nobody waits for the books.
    fn remove_unneeded(&self, mut books: MutexGuard<'_, Books>) {
        if books.readers > 0 || !books.unneeded {
            return;
        }
        books.unneeded = false;
        let open = books.open;
        let unneeded =
            |number: &u64, segment: &mut Segment| segment.needed == 0 && Some(*number) != open;
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

fn name_of(number: u64) -> String {
    format!("{number:08}.{ENDING}")
}

fn number_in(name: &str) -> Option<u64> {
    name.strip_suffix(ENDING)?.strip_suffix('.')?.parse().ok()
}

/// Writes pieces with few calls of the system.
fn write_all(file: &mut File, pieces: &[(u64, Bytes)]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces
        .iter()
        .map(|(_, piece)| IoSlice::new(piece))
        .collect();
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
