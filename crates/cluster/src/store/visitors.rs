//! The table of those who have come to a sentry.

use std::io;

use spool::{Patience, Visitor, Visitors};

use super::{
    keys::{self, Table},
    open::{Column, Database},
};
use crate::codec;

/// What is remembered of one.
pub(super) fn patience(database: &Database, visitor: Visitor) -> io::Result<Option<Patience>> {
    let octets = database.get(Column::Spool, database.keys().visitor(visitor))?;
    octets.map(|octets| decode(&octets)).transpose()
}

/// All of them.
pub(super) fn read(database: &Database) -> io::Result<Visitors> {
    let mut visitors = Visitors::default();
    let prefix = database.keys().table(Table::Visitor);
    let end = keys::end_of(prefix.clone());
    for row in database.range(Column::Spool, &prefix, end) {
        let (key, octets) = row?;
        if let Some(visitor) = keys::last_visitor(&key) {
            visitors.change(visitor, Some(decode(&octets)?));
        }
    }
    Ok(visitors)
}

fn decode(octets: &[u8]) -> io::Result<Patience> {
    let stored = codec::decode(octets, "visitor to a sentry")?;
    Ok(codec::patience_from(&stored))
}
