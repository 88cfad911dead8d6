//! How far this node has acknowledged, kept apart from the database.
//!
//! RocksDB opens a damaged write-ahead log without a word and without what stood behind the damage.
//! A node that lost entries or a vote in this way must not vote as if nothing had happened: with its
//! help an entry that a sender was told is safe could be voted away. The mark makes it notice.
//!
//! It is written after each fsync of the log and never runs ahead of it, so that it accuses nobody
//! wrongly. While it grows it is fsync'd only now and then: after a power failure it may know a little
//! less, but the log then ends where the last fsync ended, and is whole up to there.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{
    codec,
    raft::{LogId, Vote},
};

/// The file in the data directory.
pub(crate) const FILE: &str = "ACKNOWLEDGED";

/// The mark lies within one sector, so that it is written whole or not at all.
const LENGTH: usize = 128;

/// Octets of the checksum in front of the mark.
const CHECKSUM: usize = 8;

/// How often it is fsync'd while the log grows.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What a node has promised: its vote, and the last entry that it said it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) vote: Option<Vote>,
    pub(crate) last: Option<LogId>,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    now: Acknowledged,
    synced: Option<Instant>,
}

impl Mark {
    /// What the mark says; nothing if there is none.
    pub(super) fn read(data_dir: &Path) -> io::Result<Acknowledged> {
        match fs::read(data_dir.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Acknowledged::default()),
            octets => {
                let mark = octets?.try_into().ok();
                Ok(mark.and_then(|octets| decode(&octets)).unwrap_or_default())
            }
        }
    }

    /// Opens the mark, or makes one. One that makes no sense knows nothing.
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(data_dir.join(FILE))?;
        let mut octets = [0; LENGTH];
        let now = match file.read_exact_at(&mut octets, 0) {
            Ok(()) => decode(&octets).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Acknowledged::default(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            file,
            now,
            synced: None,
        })
    }

    pub(super) const fn now(&self) -> Acknowledged {
        self.now
    }

    /// Notes what is on the disk now.
    pub(super) fn write(&mut self, now: Acknowledged) -> io::Result<()> {
        if now == self.now {
            return Ok(());
        }
        // Were it to fall back to more than the log has, it would accuse an honest log.
        let falls = now.last < self.now.last;
        self.file.write_all_at(&encode(now), 0)?;
        self.now = now;
        if falls || self.synced.is_none_or(|at| at.elapsed() >= SYNC_EVERY) {
            self.file.sync_data()?;
            self.synced = Some(Instant::now());
        }
        Ok(())
    }
}

fn encode(acknowledged: Acknowledged) -> [u8; LENGTH] {
    let message = api::peer::v1::Acknowledged {
        vote: acknowledged.vote.as_ref().map(codec::vote_to),
        last: acknowledged.last.map(codec::log_id_to),
    };
    let message = message.encode_length_delimited_to_vec();
    let mut octets = [0; LENGTH];
    let (checksum, rest) = octets.split_at_mut(CHECKSUM);
    rest.iter_mut()
        .zip(&message)
        .for_each(|(to, from)| *to = *from);
    checksum.copy_from_slice(&Sha256::digest(&*rest)[..CHECKSUM]);
    octets
}

fn decode(octets: &[u8; LENGTH]) -> Option<Acknowledged> {
    let (checksum, rest) = octets.split_at(CHECKSUM);
    if Sha256::digest(rest)[..CHECKSUM] != *checksum {
        return None;
    }
    let message = api::peer::v1::Acknowledged::decode_length_delimited(rest).ok()?;
    let vote = message.vote.map(|vote| codec::vote_from(Some(vote)));
    Some(Acknowledged {
        vote: vote.transpose().ok()?,
        last: message.last.map(codec::log_id_from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(index: u64) -> Acknowledged {
        Acknowledged {
            vote: Some(Vote::new(7, 2)),
            last: Some(LogId::new(7.into(), index)),
        }
    }

    #[test]
    fn what_was_marked_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(dir.path()).unwrap();
        assert_eq!(mark.now(), Acknowledged::default());
        for index in [5, 9, 3] {
            mark.write(acknowledged(index)).unwrap();
        }
        assert_eq!(Mark::open(dir.path()).unwrap().now(), acknowledged(3));
    }

    #[test]
    fn the_largest_numbers_fit() {
        let largest = Acknowledged {
            vote: Some(Vote::new_committed(u64::MAX, u64::MAX)),
            last: Some(LogId::new(u64::MAX.into(), u64::MAX)),
        };
        assert_eq!(decode(&encode(largest)), Some(largest));
    }

    #[test]
    fn a_damaged_mark_knows_nothing() {
        let octets = encode(acknowledged(5));
        for place in 0..40 {
            let mut damaged = octets;
            damaged[place] ^= 1;
            assert_eq!(decode(&damaged), None, "octet {place}");
        }
    }
}
