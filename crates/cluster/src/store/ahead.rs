//! Pieces of bodies that will be wanted next, read along with the one that is asked for.
//!
//! To read takes a thread that may wait for the disk, and to go there and back costs more than to read a small
//! message. Mail leaves in the order in which it came, and so do the entries that carried it: one way for many.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::limits::{AHEAD_ENTRIES_MAX, AHEAD_KEPT_BYTES_MAX};

/// So many stretches of the log may be read at once.
const READING_MAX: usize = 8;

/// What was read ahead, and is not asked for yet.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    kept: Mutex<Kept>,
    /// Whoever reads a stretch of the log holds the one that belongs to it: who wants another piece of it waits.
    reading: [tokio::sync::Mutex<()>; READING_MAX],
}

#[derive(Debug)]
struct Kept {
    pieces: BTreeMap<u64, Bytes>,
    bytes: usize,
    /// How many entries are looked at behind the one that is asked for. It falls where what lies there is of no use.
    entries: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            pieces: BTreeMap::new(),
            bytes: 0,
            entries: AHEAD_ENTRIES_MAX,
        }
    }
}

/// A piece that was asked for, if there is one, and those behind it.
pub(crate) type Stretch = (Option<Bytes>, Vec<(u64, Bytes)>);

impl ReadAhead {
    /// The piece that the entry with this index carried. When it is not there yet, `read` is to read it, and those
    /// of as many entries behind it as it is told.
    ///
    /// # Errors
    /// That of `read`, of which nothing is kept then.
    pub(crate) async fn piece<R>(
        &self,
        index: u64,
        read: impl FnOnce(u64) -> R,
    ) -> io::Result<Option<Bytes>>
    where
        R: Future<Output = io::Result<Stretch>>,
    {
        if let Some(piece) = self.kept().take(index) {
            return Ok(Some(piece));
        }
        let stretch = (index / AHEAD_ENTRIES_MAX) as usize % READING_MAX;
        let _reading = match self.reading.get(stretch) {
            Some(reading) => Some(reading.lock().await),
            None => None,
        };
        if let Some(piece) = self.kept().take(index) {
            return Ok(Some(piece));
        }
        // Up to the end of the stretch: what is behind it may be read by another at this moment.
        let left = AHEAD_ENTRIES_MAX - 1 - index % AHEAD_ENTRIES_MAX;
        let entries = self.kept().entries.min(left);
        let (piece, behind) = read(entries).await?;
        self.kept().add(behind);
        Ok(piece)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn take(&mut self, index: u64) -> Option<Bytes> {
        let piece = self.pieces.remove(&index)?;
        self.bytes -= piece.len();
        self.entries = (self.entries * 2).min(AHEAD_ENTRIES_MAX);
        Some(piece)
    }

    fn add(&mut self, pieces: Vec<(u64, Bytes)>) {
        for (index, piece) in pieces {
            self.bytes += piece.len();
            if let Some(before) = self.pieces.insert(index, piece) {
                self.bytes -= before.len();
            }
        }
        let mut is_too_much = false;
        while self.bytes > AHEAD_KEPT_BYTES_MAX
            && let Some((_, piece)) = self.pieces.pop_first()
        {
            self.bytes -= piece.len();
            is_too_much = true;
        }
        if is_too_much {
            self.entries = (self.entries / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const PIECE: usize = AHEAD_KEPT_BYTES_MAX / 100;

    fn piece_of(index: u64) -> Bytes {
        let mut octets = index.to_be_bytes().to_vec();
        octets.resize(PIECE, 0);
        octets.into()
    }

    /// Reads as a store does that has all pieces; counts how often.
    async fn ask(ahead: &ReadAhead, index: u64, asked: &Cell<u32>) -> Bytes {
        let read = async |entries| {
            asked.set(asked.get() + 1);
            let behind = index + 1..=index + entries;
            let behind = behind.map(|index| (index, piece_of(index))).collect();
            Ok((Some(piece_of(index)), behind))
        };
        ahead.piece(index, read).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn what_follows_in_order_is_read_a_stretch_at_a_time() {
        let (ahead, asked) = (ReadAhead::default(), Cell::new(0));
        for index in 0..10 * AHEAD_ENTRIES_MAX {
            assert_eq!(ask(&ahead, index, &asked).await, piece_of(index));
        }
        assert_eq!(asked.get(), 10);
        assert_eq!(ahead.kept().bytes, 0);
    }

    #[tokio::test]
    async fn what_is_of_no_use_is_bounded_and_not_read_for_long() {
        let (ahead, asked) = (ReadAhead::default(), Cell::new(0));
        for number in 0..100 {
            let index = number * AHEAD_ENTRIES_MAX;
            assert_eq!(ask(&ahead, index, &asked).await, piece_of(index));
            assert!(ahead.kept().bytes <= AHEAD_KEPT_BYTES_MAX);
        }
        assert_eq!(ahead.kept().entries, 1);
        // Once what comes next is asked for again, so is what follows.
        for index in 50_000..50_000 + 3 * AHEAD_ENTRIES_MAX {
            ask(&ahead, index, &asked).await;
        }
        let before = asked.get();
        for index in 60_032..60_032 + AHEAD_ENTRIES_MAX {
            ask(&ahead, index, &asked).await;
        }
        assert!(asked.get() - before < 5, "{}", asked.get() - before);
    }

    #[tokio::test]
    async fn of_many_who_want_the_same_stretch_one_reads() {
        let (ahead, asked) = (ReadAhead::default(), Cell::new(0));
        let all = (0..AHEAD_ENTRIES_MAX).map(|index| ask(&ahead, index, &asked));
        let pieces = futures::future::join_all(all).await;
        assert_eq!(asked.get(), 1);
        let expected: Vec<_> = (0..AHEAD_ENTRIES_MAX).map(piece_of).collect();
        assert_eq!(pieces, expected);
    }

    #[tokio::test]
    async fn one_that_can_not_be_read_is_asked_for_again() {
        let ahead = ReadAhead::default();
        let fails = async |_| Err(io::Error::other("damaged"));
        assert!(ahead.piece(7, fails).await.is_err());
        let missing = async |_| Ok((None, Vec::new()));
        assert_eq!(ahead.piece(7, missing).await.unwrap(), None);
        assert_eq!(ask(&ahead, 7, &Cell::new(0)).await, piece_of(7));
    }
}
