//! The table of what operators have done.

use std::io;

use spool::{Audited, MessageId, Timestamp};

use super::{
    keys::{self, Table},
    open::Column,
    tables::Tables,
};
use crate::codec;

impl Tables {
    /// What is noted of an action.
    pub(super) fn audited(&self, action: u128) -> io::Result<Option<Audited>> {
        let now = self.now();
        let octets = now.get(Column::Spool, now.keys().audited(action))?;
        octets.map(|octets| decode(&octets)).transpose()
    }

    /// What was done from an action's id on, in order of time.
    pub(crate) fn actions(&self, from: u128, limit: usize) -> io::Result<Vec<Audited>> {
        let now = self.now();
        let end = keys::end_of(now.keys().table(Table::Audited));
        let rows = now.range(Column::Spool, &now.keys().audited(from), end);
        rows.take(limit).map(|row| decode(&row?.1)).collect()
    }

    pub(super) fn actions_beyond(
        &self,
        at: Timestamp,
        keep: usize,
        limit: usize,
    ) -> io::Result<Vec<u128>> {
        let now = self.now();
        let prefix = now.keys().table(Table::Audited);
        let mut ids: Vec<u128> = Vec::new();
        for row in now.range(Column::Spool, &prefix, keys::end_of(prefix.clone())) {
            ids.extend(keys::last_id(&row?.0).map(|id| id.0));
        }
        let until = MessageId::new(at.0, 0).0;
        let old = ids.partition_point(|id| *id < until);
        let excess = old.max(ids.len().saturating_sub(keep));
        ids.truncate(excess.min(limit));
        Ok(ids)
    }
}

pub(super) fn decode(octets: &[u8]) -> io::Result<Audited> {
    let stored = codec::decode(octets, "row of the audit log")?;
    Ok(codec::audited_from(stored)?)
}
