//! Results that the spool has not taken, for as long as this node may still tell it.
//!
//! A leader whose quorum is away for longer than a report waits ends its forwarder. If nobody else has led when the
//! quorum is back, the next forwarder on this node goes on in the same term, and what this one knew is no doubt.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spool::ports::OutboxError;
use spool::{Outbox, Report};

use crate::outbound::report::{Settled, first_report};

/// What one forwarder of this node leaves to the next; every clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Leftovers(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// In which they were found out.
    term: u64,
    reports: VecDeque<Report>,
}

impl Leftovers {
    /// Keeps results that could not be recorded in a term. What was in one report before is in one again: it may have
    /// been recorded, and is no news then.
    pub(super) fn keep(&self, term: u64, settled: &[Settled]) {
        settled.iter().for_each(Settled::log_possible_repeat);
        let Some(mut kept) = self.of(term) else {
            return;
        };
        let mut rest = settled;
        while !rest.is_empty() {
            let (attempts, at) = first_report(rest);
            rest = rest.get(attempts.len()..).unwrap_or_default();
            kept.reports.push_back(Report { term, at, attempts });
        }
    }

    /// Records what is left of a term. To be done before anything is read that may be among it. What is left of an
    /// earlier term is given up: others have led since, and may have delivered it.
    ///
    /// # Errors
    /// The spool does not take it yet.
    pub(super) async fn report(&self, outbox: &impl Outbox, term: u64) -> Result<(), OutboxError> {
        let first = || self.of(term).and_then(|kept| kept.reports.front().cloned());
        while let Some(report) = first() {
            outbox.report(report).await?;
            if let Some(mut kept) = self.of(term) {
                kept.reports.pop_front();
            }
        }
        Ok(())
    }

    /// What is kept of a term; `None` of one that is over.
    fn of(&self, term: u64) -> Option<MutexGuard<'_, Kept>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if term > kept.term {
            *kept = Kept {
                term,
                reports: VecDeque::new(),
            };
        }
        (term == kept.term).then_some(kept)
    }
}
