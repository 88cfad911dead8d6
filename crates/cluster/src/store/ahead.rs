//! Pieces of bodies that will be wanted next, read along with the one that is asked for.
//!
//! To read takes a thread that may wait for the disk, and to go there and back costs more than to read a small
//! message. Mail leaves in the order in which it came, and so do the entries that carried it: one way for many.

use std::{collections::BTreeMap, io, ops::Range};

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::limits::AHEAD_ENTRIES_MAX;

/// So many stretches of the log may be read, and are kept, at once.
const PLACES: usize = 8;

/// What was read ahead, and is not asked for yet.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    /// A stretch of the log has its place, and shares it with each eighth behind it. Whoever reads holds the place:
    /// who wants another piece of the stretch waits, also where pieces are large and nothing is gained by it.
    places: [Mutex<Place>; PLACES],
}

#[derive(Debug)]
struct Place {
    /// The entries that were looked at last.
    read: Range<u64>,
    /// What of theirs is not asked for yet.
    left: BTreeMap<u64, Bytes>,
    /// How many entries are looked at behind the one that is asked for. It falls where what lies there is of no use.
    entries: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            read: 0..0,
            left: BTreeMap::new(),
            entries: AHEAD_ENTRIES_MAX,
        }
    }
}

/// A piece that was asked for, if there is one, and those behind it in their order.
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
        let stretch = (index / AHEAD_ENTRIES_MAX) as usize;
        let mut place = self.places[stretch % PLACES].lock().await;
        if let Some(piece) = place.take(index) {
            return Ok(Some(piece));
        }
        let (piece, behind) = read(place.entries_behind(index)).await?;
        place.keep(index, behind);
        Ok(piece)
    }
}

impl Place {
    fn take(&mut self, index: u64) -> Option<Bytes> {
        let piece = self.left.remove(&index)?;
        self.entries = (self.entries * 2).min(AHEAD_ENTRIES_MAX);
        Some(piece)
    }

    fn entries_behind(&self, index: u64) -> u64 {
        // A second one who asks, or a second time: what is behind it was read, and taken, or is still there.
        if self.read.contains(&index) {
            return 0;
        }
        // Not beyond the stretch: the next has its own place.
        let to_the_end = AHEAD_ENTRIES_MAX - 1 - index % AHEAD_ENTRIES_MAX;
        self.entries.min(to_the_end)
    }

    fn keep(&mut self, index: u64, behind: Vec<(u64, Bytes)>) {
        let Some((last, _)) = behind.last() else {
            return;
        };
        if !self.left.is_empty() {
            self.entries = (self.entries / 2).max(1);
        }
        self.read = index..last.saturating_add(1);
        self.left = behind.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn piece_of(index: u64) -> Bytes {
        index.to_be_bytes().to_vec().into()
    }

    /// Reads as a store does that has all pieces; counts what is read.
    async fn ask(ahead: &ReadAhead, index: u64, pieces_read: &Cell<u64>) -> Bytes {
        let read = async |entries| {
            pieces_read.set(pieces_read.get() + 1 + entries);
            let behind = index + 1..=index + entries;
            let behind = behind.map(|index| (index, piece_of(index))).collect();
            Ok((Some(piece_of(index)), behind))
        };
        ahead.piece(index, read).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn what_follows_in_order_is_read_a_stretch_at_a_time() {
        let ahead = ReadAhead::default();
        let mut times = 0;
        for index in 0..10 * AHEAD_ENTRIES_MAX {
            let read = Cell::new(0);
            assert_eq!(ask(&ahead, index, &read).await, piece_of(index));
            times += u64::from(read.get() > 0);
        }
        assert_eq!(times, 10);
        for place in ahead.places {
            assert!(place.into_inner().left.is_empty());
        }
    }

    #[tokio::test]
    async fn what_is_of_no_use_is_not_read_for_long() {
        let (ahead, read) = (ReadAhead::default(), Cell::new(0));
        let places = PLACES as u64;
        for number in 0..10 * places {
            let index = number * AHEAD_ENTRIES_MAX;
            assert_eq!(ask(&ahead, index, &read).await, piece_of(index));
        }
        let before = read.take();
        assert!(before < places * (4 * AHEAD_ENTRIES_MAX), "{before}");
        for number in 10 * places..20 * places {
            ask(&ahead, number * AHEAD_ENTRIES_MAX, &read).await;
        }
        assert_eq!(read.take(), 2 * 10 * places);
        // Once what comes next is asked for again, so is what follows.
        for index in 50_048..50_048 + places * AHEAD_ENTRIES_MAX {
            ask(&ahead, index, &read).await;
        }
        for place in &ahead.places {
            assert_eq!(place.lock().await.entries, AHEAD_ENTRIES_MAX);
        }
    }

    #[tokio::test]
    async fn of_many_who_want_the_same_stretch_one_reads() {
        let (ahead, read) = (ReadAhead::default(), Cell::new(0));
        let all = (0..AHEAD_ENTRIES_MAX).map(|index| ask(&ahead, index, &read));
        let pieces = futures::future::join_all(all).await;
        assert_eq!(read.get(), AHEAD_ENTRIES_MAX);
        let expected: Vec<_> = (0..AHEAD_ENTRIES_MAX).map(piece_of).collect();
        assert_eq!(pieces, expected);
    }

    #[tokio::test]
    async fn a_second_one_who_wants_the_same_pieces_reads_only_those() {
        let (ahead, read) = (ReadAhead::default(), Cell::new(0));
        for index in 0..AHEAD_ENTRIES_MAX {
            assert_eq!(ask(&ahead, index, &read).await, piece_of(index));
            assert_eq!(ask(&ahead, index, &read).await, piece_of(index));
        }
        assert_eq!(read.get(), 2 * AHEAD_ENTRIES_MAX);
    }

    #[tokio::test]
    async fn an_old_backlog_is_read_ahead_whatever_was_left_of_younger_mail() {
        let (ahead, read) = (ReadAhead::default(), Cell::new(0));
        let young = 1_000_000 * AHEAD_ENTRIES_MAX;
        for stretch in 0..PLACES as u64 {
            ask(&ahead, young + stretch * AHEAD_ENTRIES_MAX, &read).await;
        }
        read.take();
        for index in 0..100 * AHEAD_ENTRIES_MAX {
            ask(&ahead, index, &read).await;
        }
        assert_eq!(read.get(), 100 * AHEAD_ENTRIES_MAX);
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
