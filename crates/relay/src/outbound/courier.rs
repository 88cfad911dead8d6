//! Takes reports to the senders' own hosts, while no smarthost takes them all.
//!
//! Each goes to other hosts than the next, so there is no primary that is up or down: a report whose hosts can not
//! be reached is put off by itself, and the others go on. There is no order to keep either. Claims, the lease
//! before the final dot and the result's report are as in all deliveries.

use std::collections::BTreeSet;
use std::sync::Arc;

use smtp::ForwardPath;
use spool::policy::Tls;
use spool::ports::{DeferredCursor, OutboxError};
use spool::{Attempt, Due, Outbox, Report, Timestamp, Verdict, notice};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use crate::outbound::connection::{Connection, Terms};
use crate::outbound::dead_ends::DeadEnds;
use crate::outbound::delivery::Aborted;
use crate::outbound::fitness::{self, Fitness};
use crate::outbound::limits::{
    COURIERS_MAX, READ_AHEAD_MAX, REPORTS_DUE_LOOK, REPORTS_LOOK, STORAGE_RETRY,
};
use crate::outbound::words::{in_words, shortened};
use crate::outbound::{Shared, resume};
use crate::route::Unreached;

/// Sends the reports that wait.
#[derive(Debug)]
pub(super) struct Courier<O> {
    shared: Arc<Shared<O>>,
    changes: watch::Receiver<u64>,
    /// The places in the order of arrival of those that are under way.
    under_way: BTreeSet<u64>,
    deliveries: JoinSet<(u64, Result<(), OutboxError>)>,
    dead_ends: Arc<DeadEnds>,
    /// When an operator wanted all to be tried, for the sake of dead ends.
    heeded_at: Timestamp,
    /// All that was last tried before this moment has been tried again.
    flushed_at: Timestamp,
}

/// Whether there are reports to be sent, and nobody else sends them.
pub(super) fn is_wanted<O: Outbox>(shared: &Shared<O>) -> bool {
    let policy = shared.outbox.policy();
    let is_left_to_us = policy.is_some_and(|policy| policy.domain(notice::QUEUE).is_none());
    let totals = shared.outbox.destination(notice::QUEUE).totals;
    is_left_to_us && totals.undelivered() > 0 && !shared.stop.is_cancelled()
}

impl<O: Outbox> Courier<O> {
    pub(super) fn new(shared: Arc<Shared<O>>, changes: watch::Receiver<u64>) -> Self {
        Self {
            shared,
            changes,
            under_way: BTreeSet::new(),
            deliveries: JoinSet::new(),
            dead_ends: Arc::default(),
            heeded_at: Timestamp(0),
            flushed_at: Timestamp(0),
        }
    }

    /// Runs until no report is left, or the policy names a smarthost, or the forwarder stops. What is under way is
    /// ended.
    ///
    /// # Errors
    /// Why the spool takes no claims or results any more.
    pub(super) async fn run(mut self) -> Result<(), OutboxError> {
        let mut ended = Ok(());
        while ended.is_ok() && is_wanted(&self.shared) {
            match self.start_due().await {
                Ok(()) => {}
                Err(OutboxError::NotLeading) => ended = Err(OutboxError::NotLeading),
                Err(error) => {
                    tracing::error!(%error, "the queue of reports could not be read");
                    sleep(STORAGE_RETRY).await;
                }
            }
            let changed = async {
                // An error would be that the forwarder is gone, which stops before that.
                self.changes.changed().await.ok();
                sleep(REPORTS_LOOK).await;
            };
            tokio::select! {
                () = self.shared.stop.cancelled() => break,
                Some(joined) = self.deliveries.join_next() => {
                    ended = parted(&mut self.under_way, joined);
                }
                () = changed => {}
                () = sleep(REPORTS_DUE_LOOK) => {}
            }
        }
        while let Some(joined) = self.deliveries.join_next().await {
            let parted = parted(&mut self.under_way, joined);
            ended = ended.and(parted);
        }
        ended
    }

    /// Claims and starts what is due, as far as there is room.
    async fn start_due(&mut self) -> Result<(), OutboxError> {
        let room = COURIERS_MAX.saturating_sub(self.under_way.len());
        let paused = self.shared.outbox.destination(notice::QUEUE);
        if room == 0 || paused.pause_at(self.shared.clock.now()).is_some() {
            return Ok(());
        }
        let mut due = self.due().await?;
        due.truncate(room);
        if due.is_empty() {
            return Ok(());
        }
        let sequences: Vec<u64> = due.iter().map(|due| due.message.sequence).collect();
        let (outbox, term) = (&self.shared.outbox, self.shared.config.term);
        outbox.claim(term, notice::QUEUE, &sequences).await?;
        for due in due {
            let sequence = due.message.sequence;
            self.under_way.insert(sequence);
            let shared = Arc::clone(&self.shared);
            let dead_ends = Arc::clone(&self.dead_ends);
            self.deliveries
                .spawn(async move { (sequence, carry(&shared, &dead_ends, due).await) });
        }
        Ok(())
    }

    /// What may be started now.
    async fn due(&mut self) -> Result<Vec<Due>, OutboxError> {
        let outbox = Arc::clone(&self.shared.outbox);
        let now = self.shared.clock.now();
        let mut due = outbox.waiting(notice::QUEUE, 0, READ_AHEAD_MAX).await?;
        let deferred = outbox.deferred(notice::QUEUE, None, now, READ_AHEAD_MAX);
        due.extend(deferred.await?.into_iter().map(|(_, due)| due));
        due.retain(|due| self.may_start(due));
        let flushed_at = outbox.destination(notice::QUEUE).flushed_at;
        if flushed_at > self.heeded_at {
            self.heeded_at = flushed_at;
            self.dead_ends.forget();
        }
        if due.is_empty() && flushed_at > self.flushed_at {
            due = self.flushed(now, flushed_at).await?;
            if due.is_empty() {
                self.flushed_at = flushed_at;
            }
        }
        Ok(due)
    }

    /// Some of those that would be due later, and were last tried before an operator wanted all to be tried.
    async fn flushed(
        &self,
        now: Timestamp,
        flushed_at: Timestamp,
    ) -> Result<Vec<Due>, OutboxError> {
        let outbox = &self.shared.outbox;
        let all = Timestamp(u64::MAX);
        let mut behind = DeferredCursor(now, u64::MAX);
        loop {
            let read = outbox
                .deferred(notice::QUEUE, Some(behind), all, READ_AHEAD_MAX)
                .await?;
            let Some((last, _)) = read.last() else {
                return Ok(Vec::new());
            };
            behind = *last;
            let is_flushed = |due: &Due| due.message.attempted_at.is_none_or(|at| at < flushed_at);
            let due = read.into_iter().map(|(_, due)| due);
            let due: Vec<Due> = due
                .filter(|due| is_flushed(due) && self.may_start(due))
                .collect();
            if !due.is_empty() {
                return Ok(due);
            }
        }
    }

    /// Whether a report is under way neither from here nor, perhaps, from an earlier leader.
    fn may_start(&self, due: &Due) -> bool {
        let term = self.shared.config.term;
        let is_in_doubt =
            due.claimed_by.is_some_and(|by| by != term) && Instant::now() < self.shared.doubt_ends;
        !is_in_doubt && !self.under_way.contains(&due.message.sequence)
    }
}

fn parted(
    under_way: &mut BTreeSet<u64>,
    joined: Result<(u64, Result<(), OutboxError>), JoinError>,
) -> Result<(), OutboxError> {
    match joined {
        Ok((sequence, ended)) => {
            under_way.remove(&sequence);
            ended
        }
        Err(error) => resume(error),
    }
}

/// Delivers one report and records what became of it.
async fn carry<O: Outbox>(
    shared: &Shared<O>,
    dead_ends: &DeadEnds,
    due: Due,
) -> Result<(), OutboxError> {
    let (outbox, term) = (&shared.outbox, shared.config.term);
    let message = due.message.id;
    let began = Instant::now();
    let domain = domain_of(&due).unwrap_or_default();
    let tried = match dead_ends.objection(domain) {
        Some(why) => Some((String::new(), Verdict::Deferred(why))),
        None => attempt(shared, &due, domain).await,
    };
    if let Some((_, Verdict::Deferred(why))) = &tried {
        dead_ends.note(domain, began, why);
    }
    let Some((host, verdict)) = tried else {
        let sequence = due.message.sequence;
        return outbox.release(term, notice::QUEUE, &[sequence]).await;
    };
    shared.account(
        message,
        notice::QUEUE,
        &host,
        core::slice::from_ref(&verdict),
    );
    let verdicts = due.recipients.iter().map(|index| (*index, verdict.clone()));
    let report = Report {
        term,
        at: shared.clock.now(),
        attempts: vec![Attempt {
            id: message,
            host,
            verdicts: verdicts.collect(),
        }],
    };
    let reported = outbox.report(report).await;
    if reported.is_err() && verdict.is_taken() {
        let reason = "delivered, but not recorded";
        tracing::warn!(target: "mail", id = %message, reason, "possible repeat");
    }
    reported
}

/// The domain that a report goes to.
fn domain_of(due: &Due) -> Option<&str> {
    let mut recipients = due.recipients.iter();
    let recipient = recipients.find_map(|index| due.message.recipients.get(*index as usize))?;
    match &recipient.path {
        ForwardPath::Mailbox(to) => Some(&to.domain),
        ForwardPath::Postmaster => None,
    }
}

/// Returns the host that was asked and its verdict; `None` when nothing has become of the report.
async fn attempt<O: Outbox>(
    shared: &Shared<O>,
    due: &Due,
    domain: &str,
) -> Option<(String, Verdict)> {
    // Nothing is under way yet when the forwarder stops, and a host that is gone takes its time.
    let connecting = connect(shared, domain);
    match shared.stop.run_until_cancelled(connecting).await? {
        Ok(connection) => hand_over(shared, due, connection).await,
        Err(Unreached::Never(why)) => Some((String::new(), Verdict::Rejected(why))),
        Err(Unreached::NotNow(why)) => Some((String::new(), Verdict::Deferred(why))),
    }
}

async fn connect<O: Outbox>(shared: &Shared<O>, domain: &str) -> Result<Connection, Unreached> {
    if domain.is_empty() {
        return Err(Unreached::Never("5.1.3 there is no domain".to_owned()));
    }
    let terms = Terms {
        hostname: &shared.config.hostname,
        tls: Tls::Opportunistic,
        connectors: &shared.connectors,
        dns: shared.config.routes.dns(),
        timeouts: shared.config.timeouts,
        share: None,
    };
    let connecting = shared.config.routes.connect_to_sender(domain, terms);
    connecting.await.map_err(|unreached| match unreached {
        Unreached::Never(why) => Unreached::Never(shortened(why)),
        Unreached::NotNow(why) => Unreached::NotNow(shortened(why)),
    })
}

/// Offers a report to a host, which is asked only once. Returns the host and its verdict; `None` when nothing has
/// become of the report.
async fn hand_over<O: Outbox>(
    shared: &Shared<O>,
    due: &Due,
    mut connection: Connection,
) -> Option<(String, Verdict)> {
    let outbox = &*shared.outbox;
    let message = &*due.message;
    // To connect may take minutes, in which an operator acts.
    let due_now = outbox.due(notice::QUEUE, &[message.sequence]).await;
    let is_still_due = due_now.is_ok_and(|now| {
        let mut now = now.iter();
        now.any(|now| now.claimed_by == Some(shared.config.term))
    });
    if !is_still_due {
        connection.quit().await;
        return None;
    }
    let host = connection.host.clone();
    let fitness = Fitness::of(outbox, message, connection.session.offered()).await;
    let lack = match fitness {
        Ok(fitness) => message
            .recipients
            .iter()
            .find_map(|it| fitness.lack_for(it)),
        Err(error) => return mend(outbox, due, host, &Aborted::Spool(error)).await,
    };
    if let Some(lack) = lack {
        let offered = connection.session.offered();
        let verdict = fitness::verdict(lack, offered, None, shared.clock.now());
        connection.quit().await;
        return Some((host, verdict));
    }
    let verdict = match connection.deliver(outbox, None, due, &due.recipients).await {
        Ok(verdicts) => {
            connection.quit().await;
            verdicts.into_iter().next().map(in_words)
        }
        Err(Aborted::LeaseShort) => None,
        Err(aborted @ (Aborted::Damaged | Aborted::Spool(_))) => {
            return mend(outbox, due, host, &aborted).await;
        }
        Err(aborted) => {
            if matches!(aborted, Aborted::InDoubt(_)) {
                let message = message.id;
                tracing::warn!(target: "mail", id = %message, host, reason = %aborted, "possible repeat");
            }
            Some(Verdict::Deferred(shortened(format!("{host}: {aborted}"))))
        }
    };
    verdict.map(|verdict| (host, verdict))
}

/// Has a report made whole that is damaged here, and puts it off.
async fn mend(
    outbox: &impl Outbox,
    due: &Due,
    host: String,
    damage: &Aborted,
) -> Option<(String, Verdict)> {
    if let Err(error) = outbox.mend(&due.message).await {
        let message = due.message.id;
        tracing::error!(id = %message, %damage, %error, "a report is damaged: check this node's disk");
    }
    let words = "the report is damaged in this node's spool and was not sent";
    Some((host, Verdict::Deferred(words.to_owned())))
}
