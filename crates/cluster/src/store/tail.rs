//! The end of the log that is not applied yet, for when there is no quorum to commit it.
//!
//! Any of its entries may have been acknowledged by a quorum that is gone, so whoever must do without
//! one takes them all as committed.

use std::io;

use spool::{Command, Message, View as _};

use super::{
    entries::{self, Damaged, read_entries},
    machine,
    pending::Pending,
    tables::Tables,
};
use crate::{
    limits::APPEND_BYTES_MAX,
    raft::{Entry, LogId, Payload, Proposal},
};

/// The log ids between which the entries stand that are not applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) applied: Option<LogId>,
    /// The last entry of the log, or the last applied one when that is gone from the log.
    pub(crate) last: Option<LogId>,
}

impl Tail {
    pub(crate) fn of(tables: &Tables) -> io::Result<Self> {
        let applied = tables.applied()?;
        let last = entries::last(&tables.now())?;
        Ok(Self {
            applied,
            last: last.max(applied),
        })
    }

    /// Index of the first entry that is not applied, and of the one behind the last.
    fn range(self) -> (u64, u64) {
        let next = |log_id: Option<LogId>| log_id.map_or(0, |log_id| log_id.index + 1);
        (next(self.applied), next(self.last))
    }

    /// How many entries are not applied.
    pub(crate) fn len(self) -> u64 {
        let (start, end) = self.range();
        end - start
    }

    fn each_run(
        self,
        tables: &Tables,
        mut take: impl FnMut(Vec<Entry>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut start, end) = self.range();
        while start < end {
            let run = read_entries(
                &tables.now(),
                start,
                end,
                APPEND_BYTES_MAX,
                Damaged::IsBlank,
            )?;
            let Some(last) = run.last() else {
                return Err(io::Error::other(format!("log entry {start} is missing")));
            };
            start = last.log_id.index + 1;
            take(run)?;
        }
        Ok(())
    }

    /// Applies all of it.
    pub(crate) fn apply(self, tables: &Tables) -> io::Result<()> {
        self.each_run(tables, |run| machine::apply_entries(tables, run).map(drop))
    }

    /// Hands over every message that is in the spool once all of it is applied, in order of arrival,
    /// and writes nothing.
    pub(crate) fn each_message(
        self,
        tables: &Tables,
        take: impl FnMut(Message) -> io::Result<()>,
    ) -> io::Result<()> {
        let handed_over = self.hand_over(tables, take);
        // What may come again is noted in memory at once. Were that left from a look, a message of
        // the log would be taken for a repeat of itself once the log is applied.
        tables.reload()?;
        handed_over
    }

    fn hand_over(
        self,
        tables: &Tables,
        mut take: impl FnMut(Message) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut pending = Pending::new(tables);
        self.each_run(tables, |run| {
            for entry in run {
                // A sweep removes no message, and reads past what is pending.
                if let Payload::Normal(Proposal(command)) = entry.payload
                    && !matches!(command, Command::Sweep { .. })
                {
                    let (_, changes) = spool::apply(&pending, entry.log_id.index, command)?;
                    pending.add(changes)?;
                }
            }
            Ok(())
        })?;
        let mut after = 0;
        loop {
            let page = tables.messages(after, PAGE_MESSAGES)?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            for message in page {
                if let Some(message) = pending.message(message.sequence)? {
                    take(message)?;
                }
            }
        }
        let (start, end) = self.range();
        for sequence in start.max(after + 1)..end {
            if let Some(message) = pending.message(sequence)? {
                take(message)?;
            }
        }
        Ok(())
    }
}

/// Messages read at once.
const PAGE_MESSAGES: usize = 256;
