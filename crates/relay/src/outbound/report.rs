//! Results on their way to the spool.
//!
//! What comes within a few milliseconds is gathered: a report costs an fsync on every node. Deliveries wait for it
//! when as many are unrecorded as there are connections. Then it leaves at once with half of them, while another one
//! is under way with the other half.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use spool::ports::OutboxError;
use spool::{Attempt, Due, Outbox, Report, Timestamp, Verdict};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::outbound::leftovers::Leftovers;
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
/// Two reports may be applied in either order, when the leader changes under them. No two that are under way tell of
/// one message and domain: what is settled stays in its window until it is reported.
///
/// # Errors
/// Why the spool does not take results any more. What it does not know is logged, and left over.
pub(super) async fn report(
    outbox: Arc<impl Outbox>,
    term: u64,
    results: mpsc::Receiver<Settled>,
    leftovers: Leftovers,
) -> Result<(), OutboxError> {
    let unrecorded = |results| Unrecorded {
        results,
        term,
        leftovers: leftovers.clone(),
    };
    let mut incoming = Incoming {
        results,
        gathered: unrecorded(Vec::with_capacity(REPORT_MAX)),
    };
    let mut under_way = FuturesUnordered::new();
    let mut next = Instant::now();
    let ended = loop {
        let may_leave = under_way.len() < REPORTS_UNDER_WAY_MAX;
        tokio::select! {
            Some(recorded) = under_way.next() => if let Err(error) = recorded {
                break Err(error);
            },
            is_there = incoming.gather(next), if may_leave => {
                if !is_there {
                    break Ok(());
                }
                let gathered = &mut incoming.gathered.results;
                let (attempts, at) = first_report(gathered);
                let leaving = gathered.drain(..attempts.len()).collect();
                let report = Report { term, at, attempts };
                under_way.push(record(Arc::clone(&outbox), report, unrecorded(leaving)));
                next = Instant::now() + REPORTS_MIN;
            }
        }
    };
    if ended.is_err() {
        // Nobody waits for another report that is under way: its places must not be given to further deliveries.
        drop(incoming);
        return ended;
    }
    while let Some(recorded) = under_way.next().await {
        recorded?;
    }
    Ok(())
}

/// Results that are gathered, or in a report that is under way. It may fail or be given up.
#[derive(Debug)]
struct Unrecorded {
    results: Vec<Settled>,
    term: u64,
    leftovers: Leftovers,
}

impl Drop for Unrecorded {
    fn drop(&mut self) {
        self.leftovers.keep(self.term, &self.results);
    }
}

/// Results on their way to a report.
#[derive(Debug)]
struct Incoming {
    results: mpsc::Receiver<Settled>,
    gathered: Unrecorded,
}

impl Incoming {
    /// Gathers results until a moment, or until deliveries wait for what is gathered. Returns whether there are any:
    /// if not, there will be none. What it has gathered stays when it is called off.
    async fn gather(&mut self, until: Instant) -> bool {
        let gathered = &mut self.gathered.results;
        let mut judged = 0;
        while gathered.len() < REPORT_MAX {
            let count = gathered.len();
            let mut new = gathered.iter().skip(judged);
            if new.any(|settled| settled.queue.awaits_report(count)) {
                break;
            }
            judged = count;
            let more = self.results.recv_many(gathered, REPORT_MAX - count);
            let more = match count {
                0 => more.await,
                _ => timeout_at(until, more).await.unwrap_or(0),
            };
            if more == 0 {
                break;
            }
        }
        !gathered.is_empty()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.results.close();
        while let Ok(settled) = self.results.try_recv() {
            self.gathered.results.push(settled);
        }
    }
}

async fn record(
    outbox: Arc<impl Outbox>,
    report: Report,
    mut unrecorded: Unrecorded,
) -> Result<(), OutboxError> {
    outbox.report(report).await?;
    unrecorded.results.drain(..).for_each(Settled::reported);
    Ok(())
}

/// What goes into one report, from the front, and when the first of it ended.
pub(super) fn first_report(gathered: &[Settled]) -> (Vec<Attempt>, Timestamp) {
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
