//! What the rows of the spool's tables say.

use std::io;

use spool::{
    HistoryTotals, Learned, Message, Place, Retained, Timestamp,
    view::{Known, Staged},
};

use super::{
    keys::{self, Table},
    open::{Column, Database, Row},
};
use crate::{
    codec,
    raft::{LogId, StoredMembership},
};

/// Rows from `from` on whose keys begin with `prefix`.
pub(super) fn scan<'d>(
    database: &'d Database,
    from: &[u8],
    prefix: &[u8],
) -> impl Iterator<Item = io::Result<Row>> + use<'d> {
    database.range(Column::Spool, from, keys::end_of(prefix.to_vec()))
}

pub(super) fn message(database: &Database, sequence: u64) -> io::Result<Option<Message>> {
    let octets = database.get(Column::Spool, database.keys().message(sequence))?;
    octets.map(decode_message).transpose()
}

pub(super) fn place(database: &Database, domain: &str, sequence: u64) -> io::Result<Option<Place>> {
    let octets = database.get(Column::Spool, database.keys().queue(domain, sequence))?;
    octets.map(|octets| decode_place(&octets)).transpose()
}

pub(super) fn queued(
    database: &Database,
    domain: &str,
    sequence: u64,
) -> io::Result<Option<(Message, Place)>> {
    let place = place(database, domain, sequence)?;
    Ok(message(database, sequence)?.zip(place))
}

/// How far a database's tables are applied.
pub(super) fn applied(database: &Database) -> io::Result<Option<LogId>> {
    let octets = database.get(Column::Spool, database.keys().table(Table::Applied))?;
    let log_id = octets
        .map(|octets| codec::decode(octets.as_slice(), "log id"))
        .transpose()?;
    Ok(log_id.map(codec::log_id_from))
}

/// Who a database's tables say that the members are.
pub(super) fn membership(database: &Database) -> io::Result<StoredMembership> {
    match database.get(Column::Spool, database.keys().table(Table::Membership))? {
        None => Ok(StoredMembership::default()),
        Some(octets) => {
            let stored = codec::decode(octets.as_slice(), "membership")?;
            Ok(codec::stored_membership_from(stored)?)
        }
    }
}

/// How many rows a table has.
pub(super) fn count(database: &Database, table: Table) -> io::Result<u64> {
    let prefix = database.keys().table(table);
    scan(database, &prefix, &prefix).try_fold(0, |count, row| row.map(|_| count + 1))
}

/// A place in a queue as it is stored: the moment, behind the term of a claim.
pub(super) fn encode_place(place: Place) -> Vec<u8> {
    let claimed_by = place.claimed_by.map(u64::to_be_bytes);
    let mut octets = claimed_by.map_or_else(Vec::new, |term| term.to_vec());
    octets.extend_from_slice(&place.due.0.to_be_bytes());
    octets
}

pub(super) fn decode_place(octets: &[u8]) -> io::Result<Place> {
    let (term, due) = octets
        .split_last_chunk()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a place in a queue"))?;
    Ok(Place {
        due: Timestamp(u64::from_be_bytes(*due)),
        claimed_by: term.try_into().ok().map(u64::from_be_bytes),
    })
}

pub(super) fn decode_message(octets: Vec<u8>) -> io::Result<Message> {
    let message = codec::decode(bytes::Bytes::from(octets), "message")?;
    Ok(codec::message_from(message)?)
}

pub(super) fn decode_known(octets: &[u8]) -> io::Result<Known> {
    Ok(codec::known_from(codec::decode(
        octets,
        "what is known of an id",
    )?)?)
}

pub(super) fn decode_learned(octets: &[u8]) -> io::Result<Learned> {
    let learned = codec::decode(octets, "what is known of a recipient")?;
    Ok(codec::learned_from(learned)?)
}

pub(super) fn decode_staged(octets: &[u8]) -> io::Result<Staged> {
    Ok(codec::staged_from(codec::decode(octets, "stage")?))
}

/// What is remembered of a message; nothing where the row is empty.
pub(super) fn decode_departure(octets: Option<Vec<u8>>) -> io::Result<Option<Message>> {
    let octets = octets.filter(|octets| !octets.is_empty());
    octets.map(decode_message).transpose()
}

pub(super) fn decode_retained(octets: &[u8]) -> io::Result<Retained> {
    let octets = bytes::Bytes::copy_from_slice(octets);
    let retained = codec::decode(octets, "kept message")?;
    Ok(codec::retained_from(retained))
}

/// How much a database remembers.
pub(super) fn read_totals(database: &Database) -> io::Result<HistoryTotals> {
    let octets = database.get(Column::Spool, database.keys().table(Table::History))?;
    let totals = octets.map(|octets| codec::decode(octets.as_slice(), "figures of the history"));
    let totals = totals.transpose()?.unwrap_or_default();
    Ok(codec::history_totals_from(totals))
}
