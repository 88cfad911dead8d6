//! One transaction of a message: the recipients that go together, and what became of them.

use smtp::client::{self, Failure, Origin};
use spool::ports::OutboxError;
use spool::{Due, Message, Outbox, Verdict};
use tokio::time::Instant;
use tracing::{Instrument as _, info_span, warn};

use crate::outbound::delivery::Aborted;
use crate::outbound::fitness::{self, Fitness};
use crate::outbound::lessons::teach;
use crate::outbound::open::Open;
use crate::outbound::worker::{Unended, Worker};

/// A transaction that came to verdicts.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) host: String,
    /// The connection that it went over.
    pub(super) open: Open,
}

impl<O: Outbox> Worker<O> {
    /// One transaction, for as many of the recipients behind the first `done` as the primary takes
    /// at once. The verdicts are those of the first of them, of one at least.
    pub(super) async fn transact(
        &self,
        due: &Due,
        done: usize,
        open: Option<Open>,
    ) -> Result<Done, Unended> {
        let (mut open, origin) = self
            .open_for(&due.message, open)
            .await
            .map_err(Unended::Unopened)?;
        let host = open.connection.host.clone();
        let span = info_span!(
            "attempt",
            id = %due.message.id,
            domain = %self.domain.name,
            %host,
        );
        let reused = open.is_reused();
        let left = due.recipients.get(done..).unwrap_or_default();
        let (lack, alike) = match self.alike(&due.message, left, &open).await {
            Ok(alike) => alike,
            Err(error) => {
                return Err(Unended::Aborted {
                    host,
                    reused,
                    aborted: Aborted::Spool(error),
                });
            }
        };
        if let Some(verdict) = lack {
            return Ok(Done {
                verdicts: vec![verdict; alike.len()],
                host,
                open,
            });
        }
        let (recipients, _) = alike.split_at(open.recipients_of(alike.len()));
        let started = Instant::now();
        let offered = self.offer(due, recipients, origin, &mut open);
        match offered.instrument(span).await {
            Ok(mut verdicts) => {
                verdicts.truncate(heard(&verdicts));
                open.count();
                if let Some(failure @ Failure::BdatUnknown(_)) = open.connection.session.failure() {
                    warn!(domain = %self.domain.name, host, %failure, "bodies go by DATA from now on");
                    self.shared.distrust.note(&host);
                }
                let outbox = &*self.shared.outbox;
                teach(outbox, &self.domain, &due.message, recipients, &verdicts);
                let verdicts = self.believed(due, recipients, verdicts).await;
                let offered = open.connection.session.offered();
                let reports = offered.is_some_and(|offered| offered.dsn);
                let verdicts = relayed(&due.message, recipients, verdicts, reports);
                self.note_acquaintances(&due.message, recipients, &verdicts);
                self.shared
                    .metrics
                    .observe_seconds(started.elapsed().as_secs_f64());
                Ok(Done {
                    verdicts,
                    host,
                    open,
                })
            }
            Err(aborted) => {
                if matches!(aborted, Aborted::Shut(_)) {
                    open.connection.quit().await;
                }
                Err(Unended::Aborted {
                    host,
                    reused,
                    aborted,
                })
            }
        }
    }

    /// Passes on who brought the message, where the primary is to know, and then the message.
    async fn offer(
        &self,
        due: &Due,
        recipients: &[u32],
        origin: Option<Origin>,
        open: &mut Open,
    ) -> Result<Vec<client::Verdict>, Aborted> {
        if let Some(refused) = self.pass_on(origin, open).await? {
            return Ok(vec![refused; recipients.len()]);
        }
        let outbox = &*self.shared.outbox;
        let connection = &mut open.connection;
        connection
            .deliver(outbox, Some(&self.queue), due, recipients)
            .await
    }

    fn note_acquaintances(&self, message: &Message, recipients: &[u32], verdicts: &[Verdict]) {
        for (index, verdict) in recipients.iter().zip(verdicts) {
            let recipient = message.recipients.get(*index as usize);
            let Some(recipient) = recipient else {
                continue;
            };
            let known = &self.shared.acquaintances;
            match verdict {
                Verdict::Delivered(_) | Verdict::Relayed(_) => {
                    known.note(&self.domain.name, &recipient.path);
                }
                // It is believed: a trial lets no refusal be final.
                Verdict::Rejected(_) => known.forget(&self.domain.name, &recipient.path),
                Verdict::Deferred(_) => {}
            }
        }
    }

    /// The first of so many recipients for whom the same stands in the way of the message, or nothing;
    /// and what becomes of them for it.
    async fn alike<'r>(
        &self,
        message: &Message,
        recipients: &'r [u32],
        open: &Open,
    ) -> Result<(Option<Verdict>, &'r [u32]), OutboxError> {
        let outbox = &*self.shared.outbox;
        let offered = open.connection.session.offered();
        let fitness = Fitness::of(outbox, message, offered).await?;
        let lack_for = |index: &u32| {
            let recipient = message.recipients.get(*index as usize);
            recipient.and_then(|recipient| fitness.lack_for(recipient))
        };
        let lack = recipients.first().and_then(lack_for);
        let others = recipients.iter().position(|index| lack_for(index) != lack);
        let (alike, _) = recipients.split_at(others.unwrap_or(recipients.len()));
        let verdict = lack.map(|lack| {
            let learned = outbox.destination(&self.domain.name).learned;
            fitness::verdict(lack, offered, learned, self.shared.clock.now())
        });
        Ok((verdict, alike))
    }
}

/// How many recipients the primary has heard of: where it has taken the message for some, those behind them that
/// were too many for it go in the next transaction (RFC 5321 section 4.5.3.1.10).
fn heard(verdicts: &[client::Verdict]) -> usize {
    let is_too_many = |verdict: &client::Verdict| verdict.is_for_the_number_of_recipients();
    let heard = verdicts.iter().rposition(|verdict| !is_too_many(verdict));
    let heard = heard.map_or(0, |last| last + 1);
    let (first, _) = verdicts.split_at(heard);
    let is_taken = |verdict: &client::Verdict| matches!(verdict, client::Verdict::Delivered(_));
    if first.iter().any(is_taken) {
        heard
    } else {
        verdicts.len()
    }
}

/// Marks what was taken by a host that reports nothing, where the sender wants to hear of the delivery: it is for us
/// to tell him that he will not (RFC 3461 section 5.2.2).
fn relayed(
    message: &Message,
    recipients: &[u32],
    mut verdicts: Vec<Verdict>,
    host_reports: bool,
) -> Vec<Verdict> {
    if host_reports {
        return verdicts;
    }
    for (index, verdict) in recipients.iter().zip(&mut verdicts) {
        let recipient = message.recipients.get(*index as usize);
        let notify = recipient.and_then(|recipient| recipient.dsn.notify);
        if let Verdict::Delivered(reply) = verdict
            && notify.is_some_and(|notify| notify.success)
        {
            *verdict = Verdict::Relayed(std::mem::take(reply));
        }
    }
    verdicts
}
