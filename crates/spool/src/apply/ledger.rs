//! The figures that a command touches: of domains, and of what has left.

use crate::{Change, Destination, Footprint, HistoryTotals, Message, Standing, Totals, View};

/// Collects what a command does to the figures, so that each is written once.
pub(super) struct Ledger<'v, V> {
    view: &'v V,
    /// By name, in its order. One of them is looked for several times for each message.
    destinations: Vec<(String, Destination)>,
    history: Option<HistoryTotals>,
}

impl<'v, V: View> Ledger<'v, V> {
    pub(super) const fn new(view: &'v V) -> Self {
        Self {
            view,
            destinations: Vec::new(),
            history: None,
        }
    }

    /// Counts what has left, or is forgotten.
    pub(super) fn history(&mut self) -> &mut HistoryTotals {
        self.history.get_or_insert_with(|| self.view.history())
    }

    /// Takes a message out of its domains' figures as it was and puts it in as it is.
    pub(super) fn recount(&mut self, before: Option<&Footprint>, after: Option<&Message>) {
        if let Some(Footprint {
            standings, size, ..
        }) = before
        {
            for (domain, standing) in standings {
                self.totals(domain, |totals| {
                    count(totals, *standing, *size, u64::saturating_sub);
                });
            }
        }
        if let Some(message) = after {
            for domain in message.domains() {
                let (standing, size) = (message.standing(domain), message.body.size);
                self.totals(domain, |totals| {
                    count(totals, standing, size, u64::saturating_add);
                });
            }
        }
    }

    /// Notes that what stands in the queues of a message's domains was changed by something else than a report.
    pub(super) fn revise<'d>(&mut self, domains: impl IntoIterator<Item = &'d str>) {
        for domain in domains {
            if let Ok(at) = self.find(domain) {
                let revision = &mut self.destinations[at].1.revision;
                *revision = revision.saturating_add(1);
            }
        }
    }

    pub(super) fn write_to(self, changes: &mut Vec<Change>) {
        let written = self.destinations.into_iter();
        changes.extend(written.map(|(domain, after)| Change::Destination { domain, after }));
        changes.extend(self.history.map(Change::History));
    }

    fn totals(&mut self, domain: &str, change: impl FnOnce(&mut Totals)) {
        change(&mut self.destination(domain).totals);
    }

    /// All figures of a domain.
    pub(super) fn destination(&mut self, domain: &str) -> &mut Destination {
        let at = self.find(domain).unwrap_or_else(|at| {
            let destination = self.view.destination(domain);
            self.destinations
                .insert(at, (domain.to_owned(), destination));
            at
        });
        &mut self.destinations[at].1
    }

    /// Its place among those that were touched, or where it belongs.
    fn find(&self, domain: &str) -> Result<usize, usize> {
        let names = |(name, _): &(String, Destination)| name.as_str().cmp(domain);
        self.destinations.binary_search_by(names)
    }
}

fn count(totals: &mut Totals, standing: Option<Standing>, size: u64, add: fn(u64, u64) -> u64) {
    let Some(standing) = standing else {
        return;
    };
    let column = match standing {
        Standing::Waiting => &mut totals.waiting,
        Standing::Deferred(_) => &mut totals.deferred,
        Standing::Held => &mut totals.held,
        Standing::Rejected => &mut totals.rejected,
    };
    *column = add(*column, 1);
    totals.bytes = add(totals.bytes, size);
}
