//! Who delivers what: messages are claimed before they may start, and given back when they will
//! not.
//!
//! ```text
//!   read ─┬─ unclaimed ──── claim ──▶ window: may start
//!         └─ claimed by an ─────────▶ window: in doubt ─┬─ reported: leaves the window
//!            earlier leader                             ├─ released: claimed, may start
//!                                                       └─ the wait is over: taken over, may start
//! ```
//!
//! What is claimed in this very term starts like what is unclaimed: it was read only after everything
//! that an earlier forwarder of the term had reported was settled.
//!
//! Claims are made for all that is read ahead at once, so they cost a delivery no time and many of
//! them cost one entry of the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use spool::ports::OutboxError;
use spool::{Due, Outbox, Standing};
use tokio::time::{Instant, timeout};

use crate::outbound::Shared;
use crate::outbound::limits::{CLAIMS_MAX, IN_DOUBT_LOOK, RELEASE_PATIENCE};
use crate::outbound::queue::Queue;
use crate::outbound::window::Source;

/// One domain's claims.
#[derive(Debug)]
pub(super) struct Claims<O> {
    shared: Arc<Shared<O>>,
    domain: String,
    queue: Arc<Queue>,
    /// What is being claimed: not in the window yet, but perhaps recorded.
    claiming: Vec<u64>,
    /// When it was last looked what earlier leaders have told.
    looked_at: Option<Instant>,
}

impl<O: Outbox> Claims<O> {
    pub(super) const fn new(shared: Arc<Shared<O>>, domain: String, queue: Arc<Queue>) -> Self {
        Self {
            shared,
            domain,
            queue,
            claiming: Vec::new(),
            looked_at: None,
        }
    }

    /// Claims what nobody has claimed, and puts all of it into the window.
    ///
    /// # Errors
    /// This node leads no longer, or the spool does not take claims.
    pub(super) async fn bring_in(
        &mut self,
        mut messages: Vec<Due>,
        source: Source,
    ) -> Result<(), OutboxError> {
        self.queue.retain_new(&mut messages);
        let (in_doubt, ours): (Vec<Due>, Vec<Due>) = messages
            .into_iter()
            .partition(|due| due.claimed_by.is_some_and(|by| by != self.term()));
        self.queue.offer_in_doubt(in_doubt, source);
        self.claim(unclaimed(&ours)).await?;
        self.queue.offer(ours, source);
        self.claiming.clear();
        Ok(())
    }

    /// Ends the doubts that can be ended: those about messages of which the earlier leader has
    /// told, and all once it has had its time. Returns whether any message has left the window for
    /// that.
    ///
    /// # Errors
    /// As [`Self::bring_in`], or the spool could not be read.
    pub(super) async fn resolve_doubts(&mut self) -> Result<bool, OutboxError> {
        let in_doubt = self.queue.in_doubt();
        if in_doubt.is_empty() {
            return Ok(false);
        }
        let now = Instant::now();
        let is_over = now >= self.shared.doubt_ends;
        if !is_over && self.looked_at.is_some_and(|at| now < at + IN_DOUBT_LOOK) {
            return Ok(false);
        }
        self.looked_at = Some(now);
        if is_over {
            // A report that comes from now on is late. What came until now shows in what is read.
            self.claim(in_doubt.clone()).await?;
        }
        let outbox = &self.shared.outbox;
        let found = outbox.due(&self.domain, &in_doubt).await?;
        let mut settled: BTreeSet<u64> = in_doubt.into_iter().collect();
        let mut startable = Vec::new();
        for due in found {
            let is_ours = due.claimed_by == Some(self.term());
            let waits = due.message.standing(&self.domain) == Some(Standing::Waiting);
            if due.claimed_by.is_some() && !is_ours {
                settled.remove(&due.message.sequence);
            } else if is_ours || waits {
                settled.remove(&due.message.sequence);
                startable.push(due);
            }
        }
        self.claim(unclaimed(&startable)).await?;
        startable.iter().for_each(log_possible_repeat);
        let any_left = !settled.is_empty();
        self.queue.forget(settled);
        self.queue.clear(startable);
        self.claiming.clear();
        Ok(any_left)
    }

    /// Gives back what has not started. Once the forwarder stops, nothing of it does.
    pub(super) async fn give_back(&mut self) {
        let mut sequences = self.queue.withdraw();
        sequences.append(&mut self.claiming);
        let outbox = &self.shared.outbox;
        let release = async {
            for sequences in sequences.chunks(CLAIMS_MAX) {
                outbox
                    .release(self.term(), &self.domain, sequences)
                    .await
                    .map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        };
        let released = timeout(RELEASE_PATIENCE, release)
            .await
            .unwrap_or_else(|_| Err("not in time".to_owned()));
        if let Err(reason) = released {
            tracing::warn!(
                domain = %self.domain, reason,
                "claims could not be given back: their messages wait a little under the next leader"
            );
        }
    }

    fn term(&self) -> u64 {
        self.shared.config.term
    }

    /// What is claimed stays noted until it is in the window.
    async fn claim(&mut self, sequences: Vec<u64>) -> Result<(), OutboxError> {
        self.claiming.extend(&sequences);
        for sequences in sequences.chunks(CLAIMS_MAX) {
            let outbox = &self.shared.outbox;
            outbox.claim(self.term(), &self.domain, sequences).await?;
        }
        Ok(())
    }
}

fn unclaimed(messages: &[Due]) -> Vec<u64> {
    let unclaimed = messages.iter().filter(|due| due.claimed_by.is_none());
    unclaimed.map(|due| due.message.sequence).collect()
}

/// Says that a message was taken over: an earlier leader had claimed it, and may have delivered it
/// without being able to tell.
fn log_possible_repeat(due: &Due) {
    if due.claimed_by.is_some() {
        tracing::warn!(
            target: "mail",
            id = %due.message.id,
            reason = "an earlier leader had claimed it and has not told what became of it",
            "possible repeat"
        );
    }
}
