//! Mail that was refused for good, and has been kept for the postmaster long enough.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use spool::{Command, Lapse, Message, Timestamp, apply::LAPSE_MAX, batch, policy::Keeping};

use super::Watcher;
use crate::{limits::LAPSING_REST_MAX, store::Tables};

/// When it was looked for last.
#[derive(Debug)]
pub(super) struct Lapsing {
    looked: Instant,
}

impl Lapsing {
    /// The first look is not at once: a clock that is wrong when a node starts is mostly set right soon, and what is
    /// dropped by it is gone for good.
    pub(super) fn new() -> Self {
        Self {
            looked: Instant::now(),
        }
    }

    /// Drops what has been kept long enough, if it is time to look again.
    ///
    /// # Errors
    /// The queue can not be read.
    pub(super) async fn look(&mut self, watcher: &Watcher) -> io::Result<()> {
        let keeping = {
            let figures = watcher.tables.figures();
            let mut destinations = figures.destinations.values();
            if destinations.all(|destination| destination.totals.rejected == 0) {
                return Ok(());
            }
            let policy = figures.policy.as_ref();
            policy
                .map(|policy| policy.policy.keeping)
                .unwrap_or_default()
        };
        if self.looked.elapsed() < rest(&keeping) {
            return Ok(());
        }
        self.looked = Instant::now();
        let at = watcher.clock.now();
        let mut after = 0;
        while let Some((last, sequences)) = read(watcher, after, keeping, at).await? {
            after = last;
            let messages = sequences.len();
            if messages == 0 {
                continue;
            }
            let lapse = Command::Lapse(Lapse { at, sequences });
            if let Err(refusal) = watcher.proposer.propose(lapse).await {
                tracing::debug!(%refusal, "mail that was refused long ago has to wait");
                return Ok(());
            }
            tracing::warn!(
                messages,
                "mail that was refused for good has been kept for retain_rejected, and is dropped: \
                 `layover trace` tells of it"
            );
        }
        Ok(())
    }
}

fn rest(keeping: &Keeping) -> Duration {
    (keeping.retain_rejected / 20).min(LAPSING_REST_MAX)
}

/// The last of some messages behind a place, and which of them have been kept long enough; `None` when there is none.
async fn read(
    watcher: &Watcher,
    after: u64,
    keeping: Keeping,
    at: Timestamp,
) -> io::Result<Option<(u64, Vec<u64>)>> {
    let tables = Arc::clone(&watcher.tables);
    let read = move || lapsed(&tables, after, &keeping, at);
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(io::Error::other)?
}

fn lapsed(
    tables: &Tables,
    after: u64,
    keeping: &Keeping,
    at: Timestamp,
) -> io::Result<Option<(u64, Vec<u64>)>> {
    let messages = tables.messages(after, LAPSE_MAX)?;
    let lapsed = messages.iter().filter(|it| it.has_lapsed(keeping, at));
    let mut lapsed: Vec<&Message> = lapsed.collect();
    let fitting = batch::fitting(lapsed.iter().map(|it| it.recipients.len()));
    let last = if fitting < lapsed.len() {
        lapsed.truncate(fitting);
        lapsed.last().copied()
    } else {
        messages.last()
    };
    let sequences = lapsed.iter().map(|message| message.sequence).collect();
    Ok(last.map(|last| (last.sequence, sequences)))
}
