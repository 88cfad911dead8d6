//! What the tables remember of messages that have left.

use std::io;

use spool::{Message, MessageId, Retained, Timestamp, view::Known};

use super::{
    keys::{self, Table},
    open::Column,
    rows,
    tables::Tables,
};

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
        let message = |key: Vec<u8>| rows::decode_departure(moment.get(Column::Spool, key)?);
        let known = moment.get(Column::Spool, now.keys().known(id))?;
        let known = known
            .map(|octets| rows::decode_known(&octets))
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

    pub(super) fn departure(&self, at: Timestamp, id: MessageId) -> io::Result<Option<Message>> {
        let now = self.now();
        rows::decode_departure(now.get(Column::Spool, now.keys().departed(at, id))?)
    }

    pub(super) fn retained(&self, at: Timestamp, id: MessageId) -> io::Result<Option<Retained>> {
        let now = self.now();
        let octets = now.get(Column::Spool, now.keys().retained(at, id))?;
        octets
            .map(|octets| rows::decode_retained(&octets))
            .transpose()
    }

    pub(super) fn departed_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<(Timestamp, MessageId)>> {
        let now = self.now();
        let prefix = now.keys().table(Table::Departed);
        let end = now.keys().departed(at, MessageId(0));
        let rows = now.range(Column::Spool, &prefix, end).take(limit);
        let departed = rows.map(|row| Ok(moment_and_id(&row?.0)));
        departed.filter_map(io::Result::transpose).collect()
    }

    /// What is kept of messages that left before a moment, the earliest first.
    pub(crate) fn retained_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<(Timestamp, MessageId, Retained)>> {
        let now = self.now();
        let prefix = now.keys().table(Table::Retained);
        let end = now.keys().retained(at, MessageId(0));
        let mut retained = Vec::new();
        for row in now.range(Column::Spool, &prefix, end).take(limit) {
            let (key, octets) = row?;
            if let Some((at, id)) = moment_and_id(&key) {
                retained.push((at, id, rows::decode_retained(&octets)?));
            }
        }
        Ok(retained)
    }

    /// Messages that left at a moment or later, behind one of them, in order; each with what is remembered
    /// of it, and whether it is kept.
    pub(crate) fn departures(
        &self,
        after: (Timestamp, MessageId),
        limit: usize,
    ) -> io::Result<Vec<Departure>> {
        let now = self.now();
        let prefix = now.keys().table(Table::Departed);
        let mut from = now.keys().departed(after.0, after.1);
        from.push(0);
        let mut departures = Vec::new();
        for row in rows::scan(&now, &from, &prefix).take(limit) {
            let (key, octets) = row?;
            let Some((at, id)) = moment_and_id(&key) else {
                continue;
            };
            departures.push(Departure {
                at,
                id,
                message: rows::decode_departure(Some(octets.into_vec()))?,
                is_kept: now
                    .get(Column::Spool, now.keys().retained(at, id))?
                    .is_some(),
            });
        }
        Ok(departures)
    }
}

/// A message that has left.
#[derive(Debug)]
pub(crate) struct Departure {
    /// When.
    pub(crate) at: Timestamp,
    /// Its id.
    pub(crate) id: MessageId,
    /// What is remembered of it; `None` when nothing is.
    pub(crate) message: Option<Message>,
    /// Whether it can be delivered again.
    pub(crate) is_kept: bool,
}

/// The moment and the id that end a key.
fn moment_and_id(key: &[u8]) -> Option<(Timestamp, MessageId)> {
    let (front, id) = key.split_last_chunk()?;
    let moment = keys::last_u64(front)?;
    Some((Timestamp(moment), MessageId(u128::from_be_bytes(*id))))
}
