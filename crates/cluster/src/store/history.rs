//! What the tables remember of messages that have left.

use std::io;

use spool::{HistoryTotals, Message, MessageId, Timestamp, view::Known};

use super::{
    keys::{self, Table},
    open::{Column, Database},
    tables::{self, Tables},
};
use crate::codec;

/// What is known of a message's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// It is in the spool.
    Queued(Box<Message>),
    /// It has left.
    Departed {
        /// When.
        at: Timestamp,
        /// As it was then, without its body; `None` when no history was kept then.
        message: Option<Box<Message>>,
    },
    /// It was a message again that had come before, and was never spooled.
    Repeat {
        /// The message that it was.
        first: MessageId,
        /// When it came.
        at: Timestamp,
    },
}

impl Tables {
    /// What is known of an id; `None` when nothing is, or not any more.
    pub(crate) fn trace(&self, id: MessageId) -> io::Result<Option<Trace>> {
        let now = self.now();
        let moment = now.moment();
        let message = |key: Vec<u8>| {
            let octets = moment.get(Column::Spool, key)?;
            let octets = octets.filter(|octets| !octets.is_empty());
            octets.map(tables::decode_message).transpose()
        };
        let known = moment.get(Column::Spool, now.keys().known(id))?;
        let known = known
            .map(|octets| tables::decode_known(&octets))
            .transpose()?;
        Ok(match known {
            None => None,
            Some(Known::Queued(sequence)) => message(now.keys().message(sequence))?
                .map(|message| Trace::Queued(Box::new(message))),
            Some(Known::Departed(at)) => {
                let message = message(now.keys().departed(at, id))?.map(Box::new);
                Some(Trace::Departed { at, message })
            }
            Some(Known::Repeat { first, at }) => Some(Trace::Repeat { first, at }),
        })
    }

    pub(super) fn departed_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<(Timestamp, MessageId)>> {
        let now = self.now();
        let prefix = now.keys().table(Table::Departed);
        let end = now.keys().departed(at, MessageId(0));
        let mut departed = Vec::new();
        for row in now.range(Column::Spool, &prefix, end).take(limit) {
            let (key, _) = row?;
            let moment = key.get(prefix.len()..).and_then(|rest| rest.first_chunk());
            if let (Some(moment), Some(id)) = (moment, keys::last_id(&key)) {
                departed.push((Timestamp(u64::from_be_bytes(*moment)), id));
            }
        }
        Ok(departed)
    }
}

/// How much a database remembers.
pub(super) fn read_totals(database: &Database) -> io::Result<HistoryTotals> {
    let octets = database.get(Column::Spool, database.keys().table(Table::History))?;
    let totals = octets.map(|octets| codec::decode(octets.as_slice(), "figures of the history"));
    let totals = totals.transpose()?.unwrap_or_default();
    Ok(codec::history_totals_from(totals))
}
