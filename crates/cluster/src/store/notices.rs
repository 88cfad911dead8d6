//! What the tables tell of senders who are to be told something.

use std::io;

use spool::Message;

use super::{
    keys::{self, Table},
    open::Database,
    tables::{self, Tables},
};

impl Tables {
    /// Messages behind a place in the order of arrival whose senders are owed a notice.
    pub(crate) fn owed(&self, after: u64, limit: usize) -> io::Result<Vec<Message>> {
        let now = self.now();
        let from = now.keys().owed(after.saturating_add(1));
        let mut messages = Vec::new();
        for row in tables::scan(&now, &from, &now.keys().table(Table::Owed)).take(limit) {
            if let Some(sequence) = keys::last_u64(&row?.0)
                && let Some(message) = tables::message(&now, sequence)?
            {
                messages.push(message);
            }
        }
        Ok(messages)
    }
}

/// How many messages there are whose senders are owed a notice.
pub(super) fn count(database: &Database) -> io::Result<u64> {
    let prefix = database.keys().table(Table::Owed);
    tables::scan(database, &prefix, &prefix).try_fold(0, |count, row| row.map(|_| count + 1))
}
