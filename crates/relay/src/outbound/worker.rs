//! One connection's worth of deliveries: takes messages from the window until there are none.

use std::sync::Arc;
use std::time::Duration;

use spool::policy::Domain;
use spool::ports::OutboxError;
use spool::{Due, Outbox, Status, Verdict};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until};

use crate::outbound::Shared;
use crate::outbound::connection::{Broken, Connection};
use crate::outbound::delivery::Aborted;
use crate::outbound::limits::{
    BREAKS_MAX, CLOSINGS_MAX, IDLE_MAX, LATER_DOUBTS_MAX, LEASE_MARGIN, LEASE_RETRY,
};
use crate::outbound::open::Open;
use crate::outbound::queue::Queue;
use crate::outbound::report::Settled;
use crate::outbound::trial::OpenTrial;
use crate::outbound::words::{said, shortened};

/// Why a worker ended.
#[derive(Debug)]
pub(super) enum Parting {
    /// There was nothing to do, or the forwarder stops, or the policy has changed.
    Idle,
    /// None of the primary's hosts can be talked to; the words say why not the last one.
    Unreachable(String),
    /// The primary is back from an outage and has failed its trial; the words say how.
    Distrusted(String),
    /// The spool does not give bodies or take results.
    Spool(OutboxError),
}

/// Why a transaction came to none.
#[derive(Debug)]
pub(super) enum Unended {
    /// There was no connection for it.
    Unopened(Parting),
    /// It broke off.
    Aborted {
        host: String,
        /// Whether another transaction had gone over the connection before.
        reused: bool,
        aborted: Aborted,
    },
}

/// Delivers a domain's messages over one connection at a time.
#[derive(Debug)]
pub(super) struct Worker<O> {
    pub(super) shared: Arc<Shared<O>>,
    pub(super) queue: Arc<Queue>,
    pub(super) domain: Arc<Domain>,
    /// What the policy says of the domain now; the worker ends when that is something else.
    pub(super) route: watch::Receiver<Option<Arc<Domain>>>,
    pub(super) results: mpsc::Sender<Settled>,
    /// Present while the primary is on trial. There is one worker then, or a few where it stalls.
    pub(super) trial: Option<Arc<OpenTrial>>,
}

impl<O: Outbox> Worker<O> {
    /// Delivers until nothing is left for a while.
    pub(super) async fn run(self) -> Parting {
        self.work(None, IDLE_MAX).await
    }

    /// Opens a connection to see whether the primary talks to us and takes mail. What has come meanwhile goes over
    /// it.
    pub(super) async fn probe(self) -> Parting {
        let mut connection = match self.open().await {
            Ok(connection) => connection,
            Err(parting) => return self.weighed(parting),
        };
        let open = match connection.shut().await {
            Ok(None) => Some(self.opened(connection)),
            Ok(Some(reply)) => {
                let words = said(&connection, &Aborted::Shut(reply).to_string());
                connection.quit().await;
                return self.weighed(Parting::Unreachable(words));
            }
            // It may dislike the question, and not the mail.
            Err(_) => None,
        };
        self.work(open, Duration::ZERO).await
    }

    async fn work(self, mut open: Option<Open>, patience: Duration) -> Parting {
        let parting = loop {
            if let Some(why) = self.distrust() {
                break Parting::Distrusted(why);
            }
            let stop = &self.shared.stop;
            let patience = match &open {
                Some(open) if open.is_wanted() => Duration::ZERO,
                _ => patience,
            };
            let Some(due) = self.queue.next(patience, stop).await else {
                break Parting::Idle;
            };
            if self.is_outdated() || !self.may_start().await || self.is_paused() {
                self.queue.put_back(&due);
                break Parting::Idle;
            }
            if open.is_none() {
                match self.open().await {
                    Ok(connection) => open = Some(self.opened(connection)),
                    Err(parting) => {
                        self.queue.put_back(&due);
                        break self.weighed(parting);
                    }
                }
            }
            // To connect may take minutes, in which an operator acts.
            if self.is_paused() {
                self.queue.put_back(&due);
                break Parting::Idle;
            }
            match self.is_still_due(&due).await {
                Ok(true) => {}
                Ok(false) => {
                    self.queue.call_off(&due);
                    continue;
                }
                Err(error) => {
                    self.queue.put_back(&due);
                    break Parting::Spool(error);
                }
            }
            self.queue.begin_talk();
            let carried = self.carry(&due, open.take()).await;
            self.queue.end_talk();
            match carried {
                Ok(next) => open = next,
                Err(parting) => {
                    self.queue.put_back(&due);
                    break self.weighed(parting);
                }
            }
        };
        if let Some(open) = open {
            open.connection.quit().await;
        }
        parting
    }

    /// That a primary is unreachable which the policy no longer names says nothing of the one that it
    /// names now.
    fn weighed(&self, parting: Parting) -> Parting {
        match parting {
            Parting::Unreachable(_) if self.is_outdated() => Parting::Idle,
            parting => parting,
        }
    }

    fn is_outdated(&self) -> bool {
        !self.goes_by(self.route.borrow().as_ref())
    }

    fn goes_by(&self, route: Option<&Arc<Domain>>) -> bool {
        route.is_some_and(|domain| Arc::ptr_eq(domain, &self.domain))
    }

    /// Returns when this worker is not to begin anything more: the forwarder stops, or the policy has
    /// changed.
    async fn is_over(&self) {
        let mut route = self.route.clone();
        tokio::select! {
            () = self.shared.stop.cancelled() => {}
            _ = route.wait_for(|now| !self.goes_by(now.as_ref())) => {}
        }
    }

    /// Whether the domain's mail is kept back.
    fn is_paused(&self) -> bool {
        let destination = self.shared.outbox.destination(&self.domain.name);
        destination.pause_at(self.shared.clock.now()).is_some()
    }

    /// Whether a message is still to be delivered as it was read. Only where an operator has changed the
    /// queue since then, it has to be looked for.
    async fn is_still_due(&self, due: &Due) -> Result<bool, OutboxError> {
        let outbox = &self.shared.outbox;
        let name = &self.domain.name;
        if self.queue.revision_of(due) == Some(outbox.destination(name).revision) {
            return Ok(true);
        }
        let now = outbox.due(name, &[due.message.sequence]).await?;
        let term = Some(self.shared.config.term);
        Ok(now
            .first()
            .is_some_and(|now| now.claimed_by == term && now.recipients == due.recipients))
    }

    /// Waits for the pace that the policy sets and for a lease that lasts. Returns false when the
    /// worker's time is over first.
    async fn may_start(&self) -> bool {
        let wait = async {
            if let Some(start) = self.queue.reserve_start(self.domain.messages_per_second) {
                sleep_until(start).await;
            }
        };
        tokio::select! {
            () = wait => self.may_go_on().await,
            () = self.is_over() => false,
        }
    }

    /// Waits for a lease that lasts. Returns false when the worker's time is over first.
    async fn may_go_on(&self) -> bool {
        let lease = || self.shared.outbox.lease();
        let wait = async {
            while lease().is_none_or(|lease| lease < LEASE_MARGIN) {
                sleep(LEASE_RETRY).await;
            }
        };
        tokio::select! {
            biased;
            () = self.is_over() => false,
            () = wait => true,
        }
    }

    /// Delivers one message over the open connection or a new one, in as many transactions as the
    /// primary's limits ask for. Returns the connection if it can be used further. On an error the
    /// message is still in flight.
    async fn carry(&self, due: &Due, mut open: Option<Open>) -> Result<Option<Open>, Parting> {
        let mut verdicts = Vec::new();
        loop {
            match self.transact(due, verdicts.len(), open).await {
                Ok(done) => {
                    verdicts.extend(done.verdicts);
                    if verdicts.len() >= due.recipients.len() {
                        self.settle(due, &done.host, verdicts).await?;
                        // The result does not wait for the primary's goodbye.
                        return Ok(done.open.next().await);
                    }
                    open = done.open.next().await;
                }
                // Servers that count transactions close between them; a new connection will tell.
                Err(Unended::Aborted {
                    reused: true,
                    aborted: Aborted::Unheard(_) | Aborted::TurnedAway(_),
                    ..
                }) if !verdicts.is_empty() => open = None,
                Err(unended) if !verdicts.is_empty() => {
                    self.settle_rest(due, verdicts, unended).await?;
                    return Ok(None);
                }
                Err(Unended::Unopened(parting)) => return Err(parting),
                Err(Unended::Aborted {
                    host,
                    reused,
                    aborted,
                }) => {
                    self.explain(due, &host, reused, aborted).await?;
                    return Ok(None);
                }
            }
            if !self.may_go_on().await {
                let called_off = Unended::Unopened(Parting::Idle);
                self.settle_rest(due, verdicts, called_off).await?;
                return Ok(None);
            }
        }
    }

    /// Some recipients have their verdicts, and a later transaction did not come to an end. Theirs
    /// stand and the others are deferred: a new start would repeat the message for those who have it.
    async fn settle_rest(
        &self,
        due: &Due,
        mut verdicts: Vec<Verdict>,
        unended: Unended,
    ) -> Result<(), Parting> {
        let message = due.message.id;
        let (host, reason) = match unended {
            Unended::Unopened(Parting::Unreachable(words)) => (String::new(), words),
            Unended::Unopened(Parting::Spool(error)) => (String::new(), error.to_string()),
            Unended::Unopened(Parting::Idle | Parting::Distrusted(_)) => {
                (String::new(), "called off".to_owned())
            }
            Unended::Aborted { host, aborted, .. } => {
                if matches!(aborted, Aborted::InDoubt(_)) {
                    tracing::warn!(
                        target: "mail", id = %message, host, reason = %aborted, "possible repeat"
                    );
                }
                let reason = format!("{host}: {aborted}");
                (host, reason)
            }
        };
        tracing::warn!(id = %message, host, %reason, "delivered to some recipients, the others wait");
        verdicts.resize(due.recipients.len(), Verdict::Deferred(shortened(reason)));
        self.settle(due, &host, verdicts).await
    }

    /// Decides what a delivery without verdicts means for the message.
    async fn explain(
        &self,
        due: &Due,
        host: &str,
        reused: bool,
        aborted: Aborted,
    ) -> Result<(), Parting> {
        let message = due.message.id;
        match aborted {
            // A connection that had idled is often closed by the other side; a new one will tell.
            Aborted::Unheard(error) if reused => {
                tracing::debug!(id = %message, host, %error, "connection was closed between messages");
                self.queue.put_back(due);
            }
            // So do servers that count messages.
            Aborted::TurnedAway(error) if reused => {
                tracing::debug!(id = %message, host, %error, "primary turned away between messages");
                self.queue.halve_connections();
                self.queue.put_back(due);
            }
            Aborted::Unheard(error) | Aborted::TurnedAway(error) => {
                return self.turned_away(due, host, &error).await;
            }
            // However often: it says nothing of this message.
            Aborted::Shut(_) => {
                return Err(Parting::Unreachable(shortened(format!(
                    "{host}: {aborted}"
                ))));
            }
            Aborted::Underway(error) => {
                tracing::warn!(id = %message, host, %error, "connection broke under a message");
                let words = format!("{host}: {error}");
                self.broken_off(due, &words, host, BREAKS_MAX).await?;
            }
            // The primary may have the message or not; asking again is the only way to know that
            // it has. Until then the later ones for its recipients wait.
            Aborted::InDoubt(error) => {
                tracing::warn!(
                    target: "mail", id = %message, host, reason = %error, "possible repeat"
                );
                let words =
                    format!("{host}: {error}, after the final dot: it may have the message");
                let doubts_max = if was_put_off(due) {
                    LATER_DOUBTS_MAX
                } else {
                    BREAKS_MAX
                };
                self.broken_off(due, &words, host, doubts_max).await?;
            }
            Aborted::Damaged
            | Aborted::Spool(
                OutboxError::PieceMissing { .. } | OutboxError::PieceUnreadable { .. },
            ) => self.mend(due, host, &aborted).await?,
            Aborted::Spool(error) => return Err(Parting::Spool(error)),
            Aborted::LeaseShort => {
                tracing::warn!(id = %message, host, "lease too short for the final dot, called off");
                self.queue.put_back(due);
            }
        }
        Ok(())
    }

    /// Has a damaged message made whole. It is tried again at once then, as one under which a
    /// connection broke, so that a disk that does not keep what is written holds nobody up for ever.
    async fn mend(&self, due: &Due, host: &str, damage: &Aborted) -> Result<(), Parting> {
        const WORDS: &str = "the message is damaged in this node's spool and was not forwarded";
        let mending = self.shared.outbox.mend(&due.message);
        match self.shared.stop.run_until_cancelled(mending).await {
            None => {
                self.queue.put_back(due);
                Ok(())
            }
            Some(Ok(())) => self.broken_off(due, WORDS, host, BREAKS_MAX).await,
            Some(Err(error)) => {
                tracing::error!(
                    id = %due.message.id, %damage, %error,
                    "a stored message is damaged and was not forwarded: check this node's disk, \
                     and start the nodes that do not run; it is tried again"
                );
                self.settle_all(due, host, WORDS).await
            }
        }
    }

    /// The primary has taken nothing over a new connection, which says nothing about the message:
    /// it may not take anything now.
    async fn turned_away(&self, due: &Due, host: &str, error: &Broken) -> Result<(), Parting> {
        let words = format!("{host}: {error}");
        if self.queue.count_closing(due) < CLOSINGS_MAX {
            self.queue.put_back(due);
        } else {
            self.settle_all(due, host, &words).await?;
        }
        Err(Parting::Unreachable(words))
    }

    /// A connection broke under a message: it is tried again at once, but not for ever.
    async fn broken_off(
        &self,
        due: &Due,
        words: &str,
        host: &str,
        breaks_max: u32,
    ) -> Result<(), Parting> {
        if self.queue.count_break(due) < breaks_max {
            self.queue.put_back(due);
            return Ok(());
        }
        self.settle_all(due, host, words).await
    }

    /// Opens a connection to the first of the primary's hosts that talks to us. When the worker's time is
    /// over, it is called off: nothing is under way yet, and a host that is gone takes its time.
    pub(super) async fn open(&self) -> Result<Connection, Parting> {
        let connecting = async {
            let connection = self.shared.connect_for_mail(&self.domain).await;
            let mut connection = connection.map_err(Parting::Unreachable)?;
            let learned = self.shared.note_offers(&self.domain, &connection).await;
            learned.map_err(Parting::Spool)?;
            if self.shared.distrust.covers(&connection.host) {
                connection.session.forgo_chunking();
            }
            Ok(connection)
        };
        tokio::select! {
            connected = connecting => connected,
            () = self.is_over() => Err(Parting::Idle),
        }
    }

    /// A connection that messages go over.
    pub(super) fn opened(&self, connection: Connection) -> Open {
        Open::new(connection, self.shared.config.timeouts)
    }

    /// Defers all recipients for a reason that is not the primary's.
    async fn settle_all(&self, due: &Due, host: &str, words: &str) -> Result<(), Parting> {
        let verdicts = vec![Verdict::Deferred(words.to_owned()); due.recipients.len()];
        self.settle(due, host, verdicts).await
    }

    /// Frees what waits behind a message, and has its result recorded.
    async fn settle(&self, due: &Due, host: &str, verdicts: Vec<Verdict>) -> Result<(), Parting> {
        let message = due.message.id;
        self.shared
            .account(message, &self.domain.name, host, &verdicts);
        let verdicts: Vec<(u32, Verdict)> = due.recipients.iter().copied().zip(verdicts).collect();
        self.queue.settle(due, &verdicts);
        let at = self.shared.clock.now();
        let settled = Settled {
            queue: self.queue.clone(),
            due: due.clone(),
            host: host.to_owned(),
            verdicts,
            at,
        };
        self.results.send(settled).await.map_err(|unsent| {
            let (leftovers, term) = (&self.shared.config.leftovers, self.shared.config.term);
            leftovers.keep(term, &[unsent.0]);
            Parting::Spool(OutboxError::NotLeading)
        })
    }
}

/// Whether it has been tried in vain for one of these recipients.
fn was_put_off(due: &Due) -> bool {
    let mut recipients = due.recipients.iter();
    recipients.any(|index| {
        let recipient = due.message.recipients.get(*index as usize);
        recipient.is_some_and(|it| matches!(it.status, Status::Deferred { .. }))
    })
}
