//! The entries of the log as they are on the disk.

use std::io;

use bytes::Bytes;

use super::{
    cache,
    extent::Extent,
    keys,
    open::{Column, Database, Moment},
};
use crate::{
    codec,
    raft::{Entry, LogId},
};

/// An entry as it is stored, apart from the piece it carried.
type Stored = api::peer::v1::Entry;

/// What becomes of an entry whose piece is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damaged {
    /// It is read with as many octets that are 0: for whoever looks at the length of the piece only, as `apply` does. What
    /// it makes of the entry is the same as on any other node, and the piece is mended when it is delivered.
    IsBlank,
    /// It ends what is read, and is an error where it comes first.
    Ends,
}

/// Index of the first entry in the log, which goes on behind `purged`, and how much room all of them take.
///
/// # Errors
/// Entries are missing that nothing has removed. With them, what `apply` made of them may be missing.
pub(super) fn measure(
    database: &Database,
    purged: Option<LogId>,
) -> io::Result<(Option<u64>, Extent)> {
    let mut first = None;
    let mut due = purged.map_or(1, |purged| purged.index + 1);
    let mut extent = Extent::default();
    for row in database.range(Column::Log, &keys::entry(0), keys::entry(u64::MAX).to_vec()) {
        let (key, octets) = row?;
        let Some(index) = keys::entry_index(&key) else {
            continue;
        };
        if index > due {
            let text = format!(
                "the log goes on at entry {index}, and entry {due} is missing, as after damage to the disk: replace \
                 this node (docs/operations.md)"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        due = index + 1;
        first = first.or(Some(index));
        let stored: Stored = codec::decode(&*octets, "log entry")?;
        let row = cache::ENTRY_OVERHEAD + octets.len();
        let bytes = row as u64 + u64::from(stored.piece_bytes);
        extent.push(index, bytes);
    }
    Ok((first, extent))
}

/// The last entry that is in the log.
pub(super) fn last(database: &Database) -> io::Result<Option<LogId>> {
    let last = database.last_entry()?;
    last.map(|octets| read_entry_head(&octets)).transpose()
}

/// The last log id of each leader of whom there are entries from `first` to `last`. Reads no pieces.
pub(super) fn last_by_leader(database: &Database, first: u64, last: u64) -> io::Result<Vec<LogId>> {
    let mut ids: Vec<LogId> = Vec::new();
    let end = keys::entry(last.saturating_add(1)).to_vec();
    for row in database.range(Column::Log, &keys::entry(first), end) {
        let log_id = read_entry_head(&row?.1)?;
        match ids.last_mut() {
            Some(before) if before.leader_id == log_id.leader_id => *before = log_id,
            _ => ids.push(log_id),
        }
    }
    Ok(ids)
}

/// Entries from `start` up to `end` until their octets exceed `bytes_max`, at least one if there is
/// one.
pub(super) fn read_entries(
    store: &Database,
    start: u64,
    end: u64,
    bytes_max: usize,
    damaged: Damaged,
) -> io::Result<Vec<Entry>> {
    // An entry that is cut off between the two reads must not look like one that is damaged.
    let now = store.moment();
    let mut entries = Vec::new();
    let mut bytes = 0;
    for (entry, index) in now.entries(start, end).zip(start..end) {
        let (found, octets) = entry?;
        // A reader that skips a hole would make a follower's log wrong without anyone noticing.
        if found != index {
            return Err(io::Error::other(format!("log entry {index} is missing")));
        }
        let stored: Stored = codec::decode(octets.as_slice(), "log entry")?;
        let entry = if stored.carries_piece {
            match read_piece(&now, index) {
                Ok(piece) => with_piece(stored, piece)?,
                // Versions of before did not note how long it is.
                Err(_) if damaged == Damaged::IsBlank && stored.piece_bytes > 0 => {
                    let blank = vec![0; stored.piece_bytes as usize];
                    with_piece(stored, blank.into())?
                }
                // Whoever asks for the next one is told.
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            }
        } else {
            codec::entry_from(stored)?
        };
        bytes += cache::cost(&entry);
        if bytes > bytes_max && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn read_piece(now: &Moment<'_>, index: u64) -> io::Result<Bytes> {
    let piece = now.piece(index)?;
    piece.map(Bytes::from).ok_or_else(|| {
        io::Error::other(format!(
            "the piece of a body of log entry {index} is missing"
        ))
    })
}

/// An entry without the piece it carried; `None` when it is not there, or carried none.
pub(super) fn read_bare(store: &Database, index: u64) -> io::Result<Option<(LogId, Stored)>> {
    let Some(octets) = store.get(Column::Log, keys::entry(index))? else {
        return Ok(None);
    };
    let log_id = read_entry_head(&octets)?;
    let stored: Stored = codec::decode(octets.as_slice(), "log entry")?;
    Ok(stored.carries_piece.then_some((log_id, stored)))
}

/// An entry with the piece it carried.
pub(super) fn with_piece(mut stored: Stored, piece: Bytes) -> io::Result<Entry> {
    if let Some(place) = piece_of(&mut stored) {
        *place = piece;
    }
    Ok(codec::entry_from(stored)?)
}

/// The id of an entry, if it is in the log.
pub(super) fn log_id(store: &Database, index: u64) -> io::Result<Option<LogId>> {
    let octets = store.get(Column::Log, keys::entry(index))?;
    octets.map(|octets| read_entry_head(&octets)).transpose()
}

fn read_entry_head(octets: &[u8]) -> io::Result<LogId> {
    let entry: Stored = codec::decode(octets, "log entry")?;
    Ok(codec::log_id_from(codec::required(entry.log_id, "log id")?))
}

/// Takes the piece of a body out of an entry; empty when it carries none.
pub(super) fn take_piece(entry: &mut api::peer::v1::Entry) -> Bytes {
    piece_of(entry).map(std::mem::take).unwrap_or_default()
}

/// Where an entry's piece of a body is.
const fn piece_of(entry: &mut api::peer::v1::Entry) -> Option<&mut Bytes> {
    use api::{peer::v1::entry::Payload, spool::v1::command::Kind};
    let Some(Payload::Command(command)) = &mut entry.payload else {
        return None;
    };
    match &mut command.kind {
        Some(Kind::Stage(stage)) => Some(&mut stage.piece),
        Some(Kind::Accept(accept)) => Some(&mut accept.tail),
        Some(Kind::Notify(notify)) => match &mut notify.report {
            Some(report) => Some(&mut report.tail),
            None => None,
        },
        _ => None,
    }
}
