//! Results on their way to the spool.
//!
//! While one report is under way, and for a few milliseconds, what comes is gathered for the next:
//! a report costs an fsync on every node. Deliveries wait for it when as many are unrecorded as there are
//! connections; then it leaves at once.

use std::sync::Arc;

use spool::ports::OutboxError;
use spool::{Attempt, Due, Outbox, Report, Timestamp, Verdict};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::outbound::limits::{REPORT_BYTES_MAX, REPORT_MAX, REPORTS_MIN};
use crate::outbound::queue::Queue;

/// A delivery's result, until the spool has it.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) queue: Arc<Queue>,
    pub(super) due: Due,
    /// The primary's host that was asked.
    pub(super) host: String,
    pub(super) verdicts: Vec<(u32, Verdict)>,
    pub(super) at: Timestamp,
}

impl Settled {
    /// Tells the queue that the spool has it.
    fn reported(self) {
        let deferred = |(_, verdict): &(u32, Verdict)| matches!(verdict, Verdict::Deferred(_));
        let deferred = self.verdicts.iter().any(deferred);
        self.queue.reported(self.due.message.sequence, deferred);
    }

    /// Says that the primary has the message and the spool does not know: the next leader, or the
    /// next attempt, delivers it again.
    pub(super) fn log_possible_repeat(&self) {
        if self.verdicts.iter().any(|(_, verdict)| verdict.is_taken()) {
            tracing::warn!(
                target: "mail",
                id = %self.due.message.id,
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
        gather(&mut results, &mut gathered, next).await;
        next = Instant::now() + REPORTS_MIN;
        while !gathered.is_empty() {
            let (attempts, at) = first_report(&gathered);
            let reported = attempts.len();
            if let Err(error) = outbox.report(Report { term, at, attempts }).await {
                gathered.iter().for_each(Settled::log_possible_repeat);
                results.close();
                while let Some(settled) = results.recv().await {
                    settled.log_possible_repeat();
                }
                return Err(error);
            }
            gathered.drain(..reported).for_each(Settled::reported);
        }
    }
    Ok(())
}

/// Gathers more results until a moment, or until deliveries wait for what is gathered.
async fn gather(
    results: &mut mpsc::Receiver<Settled>,
    gathered: &mut Vec<Settled>,
    until: Instant,
) {
    let mut is_awaited = gathered.iter().any(|settled| settled.queue.is_full());
    while gathered.len() < REPORT_MAX {
        let until = if is_awaited { Instant::now() } else { until };
        let Ok(Some(settled)) = timeout_at(until, results.recv()).await else {
            return;
        };
        is_awaited |= settled.queue.is_full();
        gathered.push(settled);
    }
}

/// What goes into one report, from the front, and when the first of it ended.
fn first_report(gathered: &[Settled]) -> (Vec<Attempt>, Timestamp) {
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut at: Option<Timestamp> = None;
    let mut octets = 0;
    for settled in gathered {
        let attempt = Attempt {
            id: settled.due.message.id,
            host: settled.host.clone(),
            verdicts: settled.verdicts.clone(),
        };
        octets += attempt.octets();
        if octets > REPORT_BYTES_MAX && !attempts.is_empty() {
            break;
        }
        attempts.push(attempt);
        at = Some(at.map_or(settled.at, |at| at.min(settled.at)));
    }
    (attempts, at.unwrap_or_default())
}
