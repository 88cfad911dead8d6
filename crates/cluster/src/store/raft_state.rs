//! Raft's own values: what a node has promised, and how far its log is cut.

use std::io;

use prost::Message as _;

use super::{
    keys,
    open::{Batch, Column, Database},
};
use crate::{
    codec,
    raft::{LogId, Vote},
};

/// Names of the values.
pub(super) const VOTE: &str = "vote";
pub(super) const PURGED: &str = "purged";
/// From where on segments have what may have to be written again.
pub(super) const REDO: &str = "redo";
/// Why entries are missing, until that is noted beside the database.
pub(super) const DAMAGE: &str = "damage";

/// The last vote that was saved.
pub(super) fn vote(database: &Database) -> io::Result<Option<Vote>> {
    let vote = database.get(Column::Raft, keys::raft(VOTE))?;
    let vote = vote.map(|octets| codec::decode(octets.as_slice(), "vote"));
    Ok(vote
        .transpose()?
        .map(|vote| codec::vote_from(Some(vote)))
        .transpose()?)
}

/// The last entry that has left the log, as the disk says.
pub(super) fn purged(database: &Database) -> io::Result<Option<LogId>> {
    read_log_id(database, PURGED)
}

fn read_log_id(store: &Database, name: &str) -> io::Result<Option<LogId>> {
    let octets = store.get(Column::Raft, keys::raft(name))?;
    let log_id = octets
        .map(|octets| codec::decode(octets.as_slice(), "log id"))
        .transpose()?;
    Ok(log_id.map(codec::log_id_from))
}

pub(super) fn put_log_id(batch: &mut Batch<'_>, name: &str, log_id: LogId) {
    batch.put(
        Column::Raft,
        keys::raft(name),
        codec::log_id_to(log_id).encode_to_vec(),
    );
}
