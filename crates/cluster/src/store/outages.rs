//! What the tables tell of outages, and of mail that grows old.

use std::io;

use spool::{Ageing, Outage, Timestamp};

use super::{
    keys::{self, Table},
    rows,
    tables::Tables,
};

/// A message that is still to be delivered to a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aged {
    /// Its place in the order of arrival.
    pub(crate) sequence: u64,
    /// From when on its age counts.
    pub(crate) counts_from: Timestamp,
    /// How many recipients it has, in all domains.
    pub(crate) recipients: usize,
    /// Whether a leader has claimed it.
    pub(crate) is_claimed: bool,
}

impl Tables {
    /// The outages of a domain's primary that have ended, in order.
    pub(crate) fn outages(&self, domain: &str) -> io::Result<Vec<Outage>> {
        let now = self.now();
        let prefix = now.keys().of_domain(Table::Outage, domain);
        let mut outages = Vec::new();
        for row in rows::scan(&now, &prefix, &prefix) {
            let (key, octets) = row?;
            if let (Some(since), Some(until)) = (keys::last_u64(&key), keys::last_u64(&octets)) {
                outages.push(Outage {
                    since: Timestamp(since),
                    until: Timestamp(until),
                });
            }
        }
        Ok(outages)
    }

    /// How old a domain's mail counts as at a moment.
    pub(crate) fn ageing(&self, domain: &str, at: Timestamp) -> io::Result<Ageing> {
        let outages = self.outages(domain)?;
        let figures = self.figures();
        let keeping = figures.policy.as_ref().map(|policy| policy.policy.keeping);
        let destination = figures.destinations.get(domain).cloned();
        drop(figures);
        Ok(Ageing::new(
            keeping.unwrap_or_default(),
            &destination.unwrap_or_default(),
            outages,
            at,
        ))
    }

    /// What was received for a domain at a moment or before, and is still to be delivered: that which
    /// arrived behind a place, in order of arrival, up to the first that was received later. It may be among it
    /// what has its time again, and is not too old therefore.
    pub(crate) fn aged(
        &self,
        domain: &str,
        after: u64,
        until: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<Aged>> {
        let now = self.now();
        let from = now.keys().queue(domain, after.saturating_add(1));
        let prefix = now.keys().of_domain(Table::Queue, domain);
        let mut aged = Vec::new();
        for row in rows::scan(&now, &from, &prefix).take(limit) {
            let (key, octets) = row?;
            let place = rows::decode_place(&octets)?;
            let Some(sequence) = keys::last_u64(&key) else {
                continue;
            };
            // One that has just left has no more to tell.
            let Some(message) = rows::message(&now, sequence)? else {
                continue;
            };
            if message.received_at > until {
                break;
            }
            aged.push(Aged {
                sequence,
                counts_from: message.counts_from(),
                recipients: message.recipients.len(),
                is_claimed: place.claimed_by.is_some(),
            });
        }
        Ok(aged)
    }
}
