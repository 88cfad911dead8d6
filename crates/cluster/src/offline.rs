//! What can be done with a data directory while no node runs on it.
//!
//! All of this is for the day on which there is no quorum any more: nothing here asks anybody, and an
//! entry in the log counts as committed, because it may have been acknowledged.

mod restore;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use prometheus_client::registry::Registry;
use sha2::{Digest as _, Sha256};
use spool::{Message, Timestamp};

use crate::{
    Metrics, claim,
    raft::Member,
    store::{self, DataDir, Store, Tables, Tail},
};

pub use restore::restore;

/// A data directory that no node runs on, and none can while this is open.
#[derive(Debug)]
pub struct Offline {
    data_dir: PathBuf,
    tables: Tables,
    written_at: Option<SystemTime>,
}

/// What a data directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The cluster's name.
    pub cluster: Option<u128>,
    /// Messages in the spool, those included that are only in the log.
    pub messages: u64,
    /// Octets of their bodies.
    pub bytes: u64,
    /// When the newest of them was received.
    pub newest: Option<Timestamp>,
    /// Term and index of the last entry in its log.
    pub last_log: (u64, u64),
    /// Index of the last entry that is applied.
    pub applied_index: u64,
    /// Entries behind it: whether they were acknowledged is not known here.
    pub unapplied: u64,
    /// When it was last written.
    pub written_at: Option<SystemTime>,
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::register(&mut Registry::default()))
}

impl Offline {
    /// Opens a data directory.
    ///
    /// # Errors
    /// There is none, a running node has it open, or it is damaged.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        Self::with(data_dir, |data_dir| Store::open(data_dir, metrics()))
    }

    /// Opens a data directory and leaves all that is in it as it is.
    ///
    /// # Errors
    /// As [`Offline::open`].
    pub fn open_to_read(data_dir: &Path) -> io::Result<Self> {
        Self::with(data_dir, |data_dir| {
            Store::open_to_read(data_dir, metrics())
        })
    }

    fn with(data_dir: &Path, open: impl FnOnce(&Path) -> io::Result<Store>) -> io::Result<Self> {
        if !claim::is_claimed(data_dir) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "it is no data directory of a node; name one that has a file NODE",
            ));
        }
        let written_at = last_written(&DataDir::open_to_read(data_dir)?.present())?;
        let tables = Tables::open(Arc::new(open(data_dir)?))?;
        Ok(Self {
            data_dir: data_dir.to_owned(),
            tables,
            written_at,
        })
    }

    /// Counts what is there.
    ///
    /// # Errors
    /// A file is damaged.
    pub fn holding(&self) -> io::Result<Holding> {
        let tail = Tail::of(&self.tables)?;
        let (mut messages, mut bytes, mut newest) = (0, 0, None);
        tail.each_message(&self.tables, |message| {
            messages += 1;
            bytes += message.body.size;
            newest = newest.max(Some(message.received_at));
            Ok(())
        })?;
        Ok(Holding {
            cluster: self.tables.figures().cluster,
            messages,
            bytes,
            newest,
            last_log: tail
                .last
                .map_or((0, 0), |last| (last.leader_id.term, last.index)),
            applied_index: tail.applied.map_or(0, |applied| applied.index),
            unapplied: tail.len(),
            written_at: self.written_at,
        })
    }

    /// Why something is missing that this node had acknowledged, if that is known.
    ///
    /// # Errors
    /// A file can not be read.
    pub fn lacking(&self) -> io::Result<Option<String>> {
        store::lacking(self.tables.store())
    }

    /// Hands over every message, in order of arrival, until one is not taken.
    ///
    /// # Errors
    /// A file is damaged, or what `take` says.
    pub fn each_message(&self, take: impl FnMut(Message) -> io::Result<()>) -> io::Result<()> {
        Tail::of(&self.tables)?.each_message(&self.tables, take)
    }

    /// Writes a message as it would leave: its Received field, then its body. Tells whether the body
    /// is, octet for octet, what was accepted.
    ///
    /// # Errors
    /// A piece of the body is missing or damaged, or it can not be written.
    pub fn write_message(&self, message: &Message, to: &mut impl Write) -> io::Result<bool> {
        to.write_all(&message.trace)?;
        let mut sum = Sha256::new();
        for index in &message.body.pieces {
            let piece = self.tables.piece(*index)?.ok_or_else(|| {
                io::Error::other(format!("the piece of log entry {index} is missing"))
            })?;
            sum.update(&piece);
            to.write_all(&piece)?;
        }
        Ok(*sum.finalize() == message.body.digest.0)
    }

    /// Makes this the beginning of a new cluster of one node, reached at `advertise`; returns the
    /// cluster's name. What is in the log counts as committed. Breaking it off at any point leaves a
    /// directory on which it can be done again.
    ///
    /// # Errors
    /// Nothing was ever spooled here, or it can not be written.
    pub fn found_anew(self, node_id: u64, advertise: &str) -> io::Result<u128> {
        let member = Member {
            address: advertise.to_owned(),
        };
        let name = store::found_anew(&self.tables, node_id, member)?;
        claim::claim_alone(&self.data_dir, node_id)?;
        Ok(name)
    }
}

/// When the newest file of a database was written.
fn last_written(database: &Path) -> io::Result<Option<SystemTime>> {
    let mut newest = None;
    for entry in database.read_dir()? {
        newest = newest.max(entry?.metadata()?.modified().ok());
    }
    Ok(newest)
}
