//! Results on their way to the spool.
//!
//! While one report is under way, and for a few milliseconds, what comes is gathered for the next:
//! a report costs an fsync on every node, and nothing waits for it.

use std::sync::Arc;

use spool::ports::OutboxError;
use spool::{Attempt, Due, Outbox, Report, Timestamp, Verdict};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::outbound::limits::{REPORT_MAX, REPORTS_MIN};
use crate::outbound::queue::Queue;

/// A delivery's result, until the spool has it.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) queue: Arc<Queue>,
    pub(super) due: Due,
    pub(super) verdicts: Vec<(u32, Verdict)>,
    pub(super) at: Timestamp,
}

impl Settled {
    /// Says that the primary has the message and the spool does not know: the next leader, or the
    /// next attempt, delivers it again.
    pub(super) fn log_possible_repeat(&self) {
        if self
            .verdicts
            .iter()
            .any(|(_, verdict)| matches!(verdict, Verdict::Delivered(_)))
        {
            tracing::warn!(
                target: "mail",
                message = %self.due.message.id,
                reason = "delivered, but not recorded",
                "possible repeat"
            );
        }
    }
}

/// Records results until all senders are gone.
///
/// # Errors
/// Why the spool does not take results any more. What it does not know is logged.
pub(super) async fn report(
    outbox: Arc<impl Outbox>,
    term: u64,
    mut results: mpsc::Receiver<Settled>,
) -> Result<(), OutboxError> {
    let mut gathered = Vec::with_capacity(REPORT_MAX);
    let mut next = Instant::now();
    while results.recv_many(&mut gathered, REPORT_MAX).await > 0 {
        sleep_until(next).await;
        while gathered.len() < REPORT_MAX
            && let Ok(settled) = results.try_recv()
        {
            gathered.push(settled);
        }
        next = Instant::now() + REPORTS_MIN;
        let at = gathered
            .iter()
            .map(|settled| settled.at)
            .min()
            .unwrap_or_default();
        let attempts = gathered
            .iter()
            .map(|settled| Attempt {
                id: settled.due.message.id,
                verdicts: settled.verdicts.clone(),
            })
            .collect();
        if let Err(error) = outbox.report(Report { term, at, attempts }).await {
            gathered.iter().for_each(Settled::log_possible_repeat);
            results.close();
            while let Some(settled) = results.recv().await {
                settled.log_possible_repeat();
            }
            return Err(error);
        }
        for settled in gathered.drain(..) {
            let deferred = |(_, verdict): &(u32, Verdict)| matches!(verdict, Verdict::Deferred(_));
            let deferred = settled.verdicts.iter().any(deferred);
            settled
                .queue
                .reported(settled.due.message.sequence, deferred);
        }
    }
    Ok(())
}
