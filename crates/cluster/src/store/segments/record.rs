//! What is appended in one go, as it lies in a segment: it can be read again without any row that tells of it.
//!
//! ```text
//!   head      nonce, how many there are, checksum of all but the pieces and of where it lies
//!   of each   index, octets of the entry, octets of the piece, checksum of the piece
//!   entries   one behind the other
//!   pieces    one behind the other
//! ```
//!
//! Records are only read one behind the other, from a place where one is known to begin, so that nothing that senders
//! write in their mail is ever taken for one. The nonce is drawn anew whenever the database is opened: what a file
//! system shows at its end after a power failure may be of a file that was removed.

use std::{fmt, fs::File, io, os::unix::fs::FileExt as _, path::Path};

use bytes::{Buf as _, BufMut as _, Bytes};
use crc32fast::Hasher;

use super::{
    Location,
    names::{name_of, numbers},
    readable::Readable,
};

/// Octets of the head.
const HEAD: usize = 8 + 4 + 4;
/// Octets that are said of each.
const EACH: usize = 8 + 4 + 4 + 4;

/// An entry of the log as it is stored, with the piece of a body that it carries; one of the two may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) index: u64,
    pub(crate) entry: Vec<u8>,
    pub(crate) piece: Bytes,
}

impl Logged {
    pub(crate) const fn bytes(&self) -> usize {
        self.entry.len() + self.piece.len()
    }
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) segment: u64,
    pub(super) offset: u64,
    pub(crate) nonce: u64,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.segment, self.offset)
    }
}

impl Start {
    pub(crate) fn to_octets(self) -> [u8; 24] {
        let mut octets = [0; 24];
        let mut rest = octets.as_mut_slice();
        rest.put_u64(self.segment);
        rest.put_u64(self.offset);
        rest.put_u64(self.nonce);
        octets
    }

    pub(crate) fn from_octets(mut octets: &[u8]) -> io::Result<Self> {
        if octets.len() != 24 {
            let text = "not the place of a record in a segment";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self {
            segment: octets.get_u64(),
            offset: octets.get_u64(),
            nonce: octets.get_u64(),
        })
    }
}

/// The octets of a record up to its pieces, and where each of these lies.
pub(super) fn encode(start: Start, logged: &[Logged]) -> io::Result<(Vec<u8>, Vec<Location>)> {
    let short = |length: usize| {
        u32::try_from(length).map_err(|_| io::Error::other("a record of more than 4 GiB"))
    };
    let entries: usize = logged.iter().map(|logged| logged.entry.len()).sum();
    let bytes = HEAD + logged.len() * EACH + entries;
    let mut rest = Vec::with_capacity(bytes);
    let mut locations = Vec::with_capacity(logged.len());
    let mut offset = start.offset + bytes as u64;
    for logged in logged {
        let location = Location {
            segment: start.segment,
            offset,
            length: short(logged.piece.len())?,
            sum: crc32fast::hash(&logged.piece),
        };
        offset = location.end();
        locations.push(location);
        rest.put_u64(logged.index);
        rest.put_u32(short(logged.entry.len())?);
        rest.put_u32(location.length);
        rest.put_u32(location.sum);
    }
    for logged in logged {
        rest.put_slice(&logged.entry);
    }
    let count = short(logged.len())?;
    let mut octets = Vec::with_capacity(bytes);
    octets.put_u64(start.nonce);
    octets.put_u32(count);
    octets.put_u32(checksum(start, count, &rest));
    octets.append(&mut rest);
    Ok((octets, locations))
}

fn checksum(start: Start, count: u32, rest: &[u8]) -> u32 {
    let mut sum = Hasher::new();
    for number in [start.nonce, start.segment, start.offset, count.into()] {
        sum.update(&number.to_be_bytes());
    }
    sum.update(rest);
    sum.finalize()
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Index, the entry as it is stored, and where its piece lies.
    pub(crate) logged: Vec<(u64, Vec<u8>, Location)>,
    /// Where the next one begins.
    pub(super) end: u64,
}

impl Record {
    /// Whether all pieces are what was written: what says so may have come to the disk, and they not.
    pub(crate) fn is_whole(&self, directory: &Path) -> bool {
        let pieces = self.logged.iter().map(|(_, _, location)| *location);
        let mut pieces = pieces.filter(|location| location.length > 0).peekable();
        let Some(segment) = pieces.peek().map(|location| location.segment) else {
            return true;
        };
        let readable = Readable::open(segment, directory.join(name_of(segment)));
        readable.is_ok_and(|it| pieces.all(|location| it.read(location).is_ok()))
    }
}

/// What lies where a record may begin.
#[derive(Debug)]
pub(crate) enum Found {
    /// Pieces are not looked at.
    Record(Record),
    /// Something that was not written whole, or is damaged, or can not be read; the words say where. What lies behind it
    /// in its file is not known.
    Torn(String),
}

/// Shows what lies in the segments of a directory from a place on, in order.
///
/// # Errors
/// What `look` says; a file can not be opened.
pub(crate) fn each_record(
    directory: &Path,
    from: Start,
    mut look: impl FnMut(Found) -> io::Result<()>,
) -> io::Result<()> {
    for segment in numbers(directory)? {
        if segment < from.segment {
            continue;
        }
        let path = directory.join(name_of(segment));
        let failed = |error: io::Error| {
            let text = format!("{} can not be read: {error}", path.display());
            io::Error::new(error.kind(), text)
        };
        let file = File::open(&path).map_err(failed)?;
        let is_first = segment == from.segment;
        let mut start = Start {
            segment,
            offset: if is_first { from.offset } else { 0 },
            ..from
        };
        // One that can not be read is not there.
        while let Ok(Some(record)) = read(&file, start) {
            start.offset = record.end;
            look(Found::Record(record))?;
        }
        if start.offset < file.metadata().map_err(failed)?.len() {
            let (path, offset) = (path.display(), start.offset);
            look(Found::Torn(format!("{path} is damaged at octet {offset}")))?;
        }
    }
    Ok(())
}

/// The record that begins there; `None` when none does.
///
/// # Errors
/// Not all of it is there, or it can not be read.
fn read(file: &File, start: Start) -> io::Result<Option<Record>> {
    let mut from = Reading {
        file,
        at: start.offset,
        length: file.metadata()?.len(),
    };
    let head = from.next(HEAD)?;
    let mut head = head.as_slice();
    let (nonce, count, sum) = (head.get_u64(), head.get_u32(), head.get_u32());
    if nonce != start.nonce {
        return Ok(None);
    }
    let mut rest = from.next(count as usize * EACH)?;
    let entry_bytes = |each: &[u8]| (&each[8..]).get_u32() as usize;
    let bytes = rest.chunks_exact(EACH).map(entry_bytes).sum();
    rest.append(&mut from.next(bytes)?);
    if checksum(start, count, &rest) != sum {
        return Ok(None);
    }
    let (mut each, mut entries) = rest.split_at(count as usize * EACH);
    let mut logged = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let index = each.get_u64();
        let (entry, behind) = entries.split_at(each.get_u32() as usize);
        entries = behind;
        let location = Location {
            segment: start.segment,
            offset: from.at,
            length: each.get_u32(),
            sum: each.get_u32(),
        };
        from.skip(location.length.into())?;
        logged.push((index, entry.to_vec(), location));
    }
    Ok(Some(Record {
        logged,
        end: from.at,
    }))
}

/// A file that is read from one place on.
#[derive(Debug)]
struct Reading<'f> {
    file: &'f File,
    at: u64,
    length: u64,
}

impl Reading<'_> {
    /// The next octets. Damage may ask for any number of them.
    fn next(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let at = self.at;
        self.skip(bytes as u64)?;
        let mut octets = vec![0; bytes];
        self.file.read_exact_at(&mut octets, at)?;
        Ok(octets)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.length.saturating_sub(self.at) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const START: Start = Start {
        segment: 7,
        offset: 5,
        nonce: 11,
    };

    fn logged() -> Vec<Logged> {
        let logged = [(8, "entry", "piece"), (9, "another", ""), (3, "", "mended")];
        let logged = logged.into_iter().map(|(index, entry, piece)| Logged {
            index,
            entry: entry.into(),
            piece: piece.into(),
        });
        logged.collect()
    }

    /// The octets of a record where it begins, and where its pieces lie.
    fn written() -> (Vec<u8>, Vec<Location>) {
        let (mut octets, locations) = encode(START, &logged()).unwrap();
        let pieces = logged();
        octets.extend(pieces.iter().flat_map(|logged| logged.piece.to_vec()));
        (octets, locations)
    }

    /// What is found in a file with these octets behind others, and whether it is whole.
    fn found(octets: &[u8], start: Start) -> Option<(Record, bool)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name_of(start.segment));
        fs::write(&path, [b"other", octets].concat()).unwrap();
        let record = read(&File::open(&path).unwrap(), start).ok().flatten()?;
        let is_whole = record.is_whole(dir.path());
        Some((record, is_whole))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (octets, locations) = written();
        let (record, is_whole) = found(&octets, START).unwrap();
        assert_eq!(record.end, 5 + octets.len() as u64);
        assert!(is_whole);
        let expected = logged().into_iter().zip(locations);
        let expected = expected.map(|(logged, location)| (logged.index, logged.entry, location));
        assert_eq!(record.logged, expected.collect::<Vec<_>>());
        let (_, _, last) = record.logged.last().unwrap();
        assert!(octets.ends_with(b"mended") && last.end() == record.end);
    }

    #[test]
    fn what_was_torn_or_damaged_is_none_or_not_whole() {
        let (octets, locations) = written();
        let pieces = locations[0].offset as usize - 5;
        for end in 0..octets.len() {
            assert_eq!(found(&octets[..end], START), None, "{end}");
            let lacking = [&octets[..end], &vec![0; octets.len() - end]].concat();
            let found = found(&lacking, START);
            let is_head_there = end >= pieces;
            assert_eq!(
                found.map(|(_, is_whole)| is_whole),
                is_head_there.then_some(false),
                "{end}"
            );
        }
        for place in 0..octets.len() {
            for bit in 0..8 {
                let mut damaged = octets.clone();
                damaged[place] ^= 1 << bit;
                let found = found(&damaged, START);
                let is_in_piece = place >= pieces;
                let is_whole = found.map(|(_, is_whole)| is_whole);
                assert_eq!(
                    is_whole,
                    is_in_piece.then_some(false),
                    "octet {place}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn one_of_another_place_or_time_is_none() {
        let (octets, _) = written();
        let elsewhere = [
            Start {
                segment: 8,
                ..START
            },
            Start { nonce: 12, ..START },
            Start { offset: 6, ..START },
        ];
        for start in elsewhere {
            assert_eq!(found(&octets, start), None, "{start:?}");
        }
        let behind = [b"x", octets.as_slice()].concat();
        assert_eq!(found(&behind, Start { offset: 6, ..START }), None);
    }
}
