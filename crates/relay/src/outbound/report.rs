//! Results on their way to the spool.
//!
//! What comes within a few milliseconds is gathered: a report costs an fsync on every node. Deliveries wait for it when as
//! many are unrecorded as there are connections; then it leaves as soon as it is worth it, beside another one that
//! is under way.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use spool::ports::OutboxError;
use spool::{Attempt, Due, Outbox, Report, Timestamp, Verdict};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::outbound::limits::{REPORT_BYTES_MAX, REPORT_MAX, REPORTS_MIN, REPORTS_UNDER_WAY_MAX};
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
    let mut under_way = FuturesUnordered::new();
    let mut next = Instant::now();
    let mut ended = loop {
        let may_leave = under_way.len() < REPORTS_UNDER_WAY_MAX;
        tokio::select! {
            Some(recorded) = under_way.next() => match recorded {
                Ok(()) => {}
                Err(error) => break Err(error),
            },
            is_there = gather(&mut results, &mut gathered, next), if may_leave => {
                if !is_there {
                    break Ok(());
                }
                let (attempts, at) = first_report(&gathered);
                let settled = gathered.drain(..attempts.len()).collect();
                let report = Report { term, at, attempts };
                under_way.push(record(Arc::clone(&outbox), report, settled));
                next = Instant::now() + REPORTS_MIN;
            }
        }
    };
    results.close();
    while results.recv_many(&mut gathered, REPORT_MAX).await > 0 {}
    gathered.iter().for_each(Settled::log_possible_repeat);
    while let Some(recorded) = under_way.next().await {
        ended = ended.and(recorded);
    }
    ended
}

async fn record(
    outbox: Arc<impl Outbox>,
    report: Report,
    settled: Vec<Settled>,
) -> Result<(), OutboxError> {
    let recorded = outbox.report(report).await;
    match &recorded {
        Ok(()) => settled.into_iter().for_each(Settled::reported),
        Err(_) => settled.iter().for_each(Settled::log_possible_repeat),
    }
    recorded
}

/// Gathers results until a moment, or until deliveries wait for what is gathered. Returns whether there are any:
/// if not, there will be none. What it has gathered stays when it is called off.
async fn gather(
    results: &mut mpsc::Receiver<Settled>,
    gathered: &mut Vec<Settled>,
    until: Instant,
) -> bool {
    let mut is_awaited = false;
    while gathered.len() < REPORT_MAX && !is_awaited {
        let known = gathered.len();
        let more = results.recv_many(gathered, REPORT_MAX - known);
        let more = match known {
            0 => more.await,
            _ => timeout_at(until, more).await.unwrap_or(0),
        };
        if more == 0 {
            break;
        }
        let count = gathered.len();
        let mut new = gathered.iter().skip(known);
        is_awaited = new.any(|settled| settled.queue.awaits_report(count));
    }
    !gathered.is_empty()
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
