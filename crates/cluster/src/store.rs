//! What a node keeps on its disk: a RocksDB for the log, the bodies and the spool.
//!
//! ```text
//!   column  key                          value
//!   ──────  ───────────────────────────  ─────────────────────────────────────────────
//!   log     group, index                 the entry without its piece of a body
//!   segment group, index                 where the piece of a body lies that this entry carried
//!   piece   group, index                 the piece itself, where a version of before has put it
//!   raft    group, name                  vote, purged, dropped pieces, from where on to redo
//!   spool   group, incarnation, table    what `apply` made of the log, with the last applied id
//! ```
//!
//! Entries of the log are fsync'd in the segment that has their pieces (`open/redo.rs`). There is one write-ahead log
//! below all five columns, so what is fsync'd there carries every earlier write with it.

mod ahead;
mod anew;
mod audit;
mod blocking;
mod cache;
mod digest;
mod directory;
mod entries;
mod extent;
mod files;
mod history;
mod incoming;
mod job;
mod keys;
mod log;
mod lost;
mod machine;
mod mark;
mod mending;
mod noted;
mod notices;
mod open;
mod outages;
mod outgoing;
mod pending;
mod present;
mod raft_state;
mod received;
mod receiving;
mod room;
mod rows;
mod segments;
mod snapshot;
mod tables;
mod tail;
mod tidying;
mod visitors;
mod writer;

pub(crate) use ahead::ReadAhead;
pub(crate) use anew::found_anew;
pub use digest::SpoolDigest;
pub(crate) use digest::digest;
pub(crate) use directory::{DataDir, remove};
pub(crate) use files::{Held, HeldFiles, Listed, Part};
pub use history::Trace;
pub(crate) use incoming::Incoming;
pub(crate) use keys::GROUP;
pub(crate) use log::{LogSize, LogStore, lacking};
pub(crate) use lost::Lost;
pub(crate) use machine::Machine;
pub(crate) use mark::FILE as MARK_FILE;
pub(crate) use mending::{MendError, Mending};
pub(crate) use outages::Aged;
pub(crate) use outgoing::{Checkpoint, Checkpoints, Outgoing};
pub(crate) use present::Store;
pub(crate) use received::Received;
pub(crate) use snapshot::SnapshotData;
pub(crate) use tables::Tables;
pub(crate) use tail::Tail;
pub(crate) use tidying::Tidying;
pub(crate) use writer::LogWriter;

#[cfg(test)]
mod tests;
