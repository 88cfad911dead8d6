//! What the tables tell of senders who are to be told something.

use std::io;

use spool::{Message, Timestamp, policy::Reports};

use super::{
    keys::{self, Table},
    rows,
    tables::Tables,
};

/// What a look through a domain's queue for late messages has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Late {
    /// The places of those whose senders are to know, with how many recipients each message has.
    pub(crate) messages: Vec<(u64, usize)>,
    /// The last place that was looked at.
    pub(crate) last: u64,
    /// Whether there may be more behind it.
    pub(crate) has_more: bool,
}

impl Tables {
    /// Messages behind a place in the order of arrival whose senders are owed a notice.
    pub(crate) fn owed(&self, after: u64, limit: usize) -> io::Result<Vec<Message>> {
        let now = self.now();
        let from = now.keys().owed(after.saturating_add(1));
        let mut messages = Vec::new();
        for row in rows::scan(&now, &from, &now.keys().table(Table::Owed)).take(limit) {
            if let Some(sequence) = keys::last_u64(&row?.0)
                && let Some(message) = rows::message(&now, sequence)?
            {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    /// What of a domain's mail behind a place has waited so long that its senders are to know: of the next so
    /// many messages at most, up to the first that came too late to be late.
    pub(crate) fn late(
        &self,
        domain: &str,
        after: u64,
        reports: &Reports,
        at: Timestamp,
        limit: usize,
    ) -> io::Result<Late> {
        let now = self.now();
        let from = now.keys().queue(domain, after.saturating_add(1));
        let prefix = now.keys().of_domain(Table::Queue, domain);
        let until = at.before(reports.delay_notice_after);
        let mut late = Late {
            last: after,
            ..Late::default()
        };
        for row in rows::scan(&now, &from, &prefix).take(limit) {
            let Some(sequence) = keys::last_u64(&row?.0) else {
                continue;
            };
            // One that has just left is not late any more.
            let Some(message) = rows::message(&now, sequence)? else {
                continue;
            };
            late.has_more = message.received_at <= until;
            if !late.has_more {
                break;
            }
            late.last = sequence;
            if message.is_to_be_told_late(reports, at) {
                late.messages.push((sequence, message.recipients.len()));
            }
        }
        Ok(late)
    }
}
