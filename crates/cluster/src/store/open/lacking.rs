//! Entries that segments have and RocksDB does not: they are read as if it had them.

use std::{collections::BTreeMap, io};

use super::{Column, Database, Moment};
use crate::store::{keys, segments::Location};

/// Entries that segments have and RocksDB does not.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    pub(super) entries: BTreeMap<u64, (Vec<u8>, Location)>,
    /// The first entry of the last record. What was appended last may not be on the disk: the process may have ended
    /// before it was synced, or because it could not be.
    pub(super) unsure: u64,
    /// Why more is missing than that.
    pub(super) damage: Option<String>,
}

impl Lacking {
    /// Where the piece lies that one of them carries.
    pub(super) fn location(&self, index: u64) -> Option<Location> {
        let (_, location) = self.entries.get(&index)?;
        (location.length() > 0).then_some(*location)
    }
}

impl Moment<'_> {
    /// The entries of the log from one up to another (without that), as they are stored.
    pub(crate) fn entries(
        &self,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = io::Result<(u64, Vec<u8>)>> + use<'_> {
        let rows = self.range(Column::Log, &keys::entry(from), keys::entry(to).to_vec());
        let rows = rows.map(|row| {
            let (key, entry) = row?;
            Ok((keys::entry_index(&key).unwrap_or_default(), entry.into()))
        });
        // They come behind all that are there.
        let lacking = self.database.lacking.entries.range(from..to);
        rows.chain(lacking.map(|(index, (entry, _))| Ok((*index, entry.clone()))))
    }
}

impl Database {
    /// The last entry of the log, as it is stored.
    pub(crate) fn last_entry(&self) -> io::Result<Option<Vec<u8>>> {
        if let Some((_, (entry, _))) = self.lacking.entries.last_key_value() {
            return Ok(Some(entry.clone()));
        }
        let last = self.last(Column::Log, &keys::entry(0), keys::entry(u64::MAX).to_vec())?;
        Ok(last.map(|(_, entry)| entry.into()))
    }
}
