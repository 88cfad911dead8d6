//! What a node keeps on its disk: one RocksDB for the log, the bodies and the spool.
//!
//! ```text
//!   column  key                          value
//!   ──────  ───────────────────────────  ─────────────────────────────────────────────
//!   log     group, index                 the entry without its piece of a body
//!   piece   group, index                 the piece of a body that this entry carried
//!   raft    group, name                  vote, committed, purged, incarnation, dropped pieces
//!   spool   group, incarnation, table    what `apply` made of the log, with the last applied id
//! ```
//!
//! There is one write-ahead log below all four, so what is fsync'd for the log carries every
//! earlier write with it.

mod cache;
mod keys;
mod log;
mod machine;
mod mark;
mod open;
mod pending;
mod snapshot;
mod tables;
mod writer;

pub(crate) use keys::GROUP;
pub(crate) use log::LogStore;
pub(crate) use machine::Machine;
pub(crate) use open::{Store, open};
pub(crate) use snapshot::{Receiving, SnapshotData};
pub(crate) use tables::Tables;
pub(crate) use writer::LogWriter;

#[cfg(test)]
mod tests;
