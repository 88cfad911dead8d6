//! The doors of the spool, kept by this node.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use openraft::Instant as _;
use spool::{
    Accept, AddressBook, Claims, Command, Destination, Due, Fact, Intake, Learned, Lookout,
    Message, MessageId, Notify, Offers, Outbox, Outcome, Owed, Patience, Place, Policy,
    Reachability, Recovery, Refusal, Report, SeenStarttls, Stage, Standing, Status, Timestamp,
    Visitor,
    alarm::Notice,
    notice,
    policy::{Domain, InForce},
    ports::{DeferredCursor, OutboxError},
    recipients::News,
    sentry,
};

use crate::{Cluster, leadership, limits, raft, reach};

impl AddressBook for Cluster {
    async fn look_up(&self, domain: &str, address: &str) -> Result<Option<Learned>, Refusal> {
        let tables = Arc::clone(&self.0.tables);
        let (domain, address) = (domain.to_owned(), address.to_owned());
        let known = blocking(move || tables.recipient(&domain, &address)).await;
        known.map_err(|error| {
            tracing::error!(%error, "the recipients could not be read");
            Refusal::StorageFailed
        })
    }

    fn primary(&self, domain: &str) -> Destination {
        Outbox::destination(self, domain)
    }

    fn learn(&self, domain: &Domain, address: String, news: News) {
        let Some(in_force) = self.in_force_naming(domain) else {
            return;
        };
        let fact = Fact {
            domain: domain.name.clone(),
            address,
            news,
        };
        self.0.lessons.add(fact, in_force.version);
    }
}

impl Intake for Cluster {
    fn policy(&self) -> Option<Arc<Policy>> {
        Self::policy(self)
    }

    fn offers(&self, domain: &str) -> Option<Offers> {
        let figures = self.0.tables.figures();
        let learned = figures.destinations.get(domain)?.learned;
        learned.map(|learned| learned.offers)
    }

    fn ready(&self) -> Result<(), Refusal> {
        if self.0.signals.failed.borrow().is_some() {
            return Err(Refusal::StorageFailed);
        }
        if !*self.0.signals.accepting.borrow() {
            return Err(Refusal::NoQuorum);
        }
        if self.0.space.is_full() {
            return Err(Refusal::DiskFull);
        }
        Ok(())
    }

    async fn admit(&self, domain: &str, visitor: Visitor, at: Timestamp) -> bool {
        // A primary on trial may have lost its directory: senders are better off here.
        if !self.destination(domain).is_believed() {
            return true;
        }
        let tables = Arc::clone(&self.0.tables);
        let known = match blocking(move || tables.patience(visitor)).await {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%error, "the visitors to sentries could not be read");
                return false;
            }
        };
        if Patience::after(known, at).is_some() {
            self.0.visits.add(visitor, known.is_none());
        }
        sentry::lets_in(known, at)
    }

    async fn stage(&self, stage: Stage) -> Result<(), Refusal> {
        if self.0.space.is_full() {
            return Err(Refusal::DiskFull);
        }
        match self.0.proposer.propose(Command::Stage(stage)).await? {
            Outcome::StageGone => Err(Refusal::StageGone),
            _ => Ok(()),
        }
    }

    async fn accept(&self, mut accept: Accept) -> Result<MessageId, Refusal> {
        if self.0.space.is_full() {
            return Err(Refusal::DiskFull);
        }
        let id = accept.id;
        let carried = self.0.confirmations.take();
        for id in &carried {
            if !accept.confirmed.contains(id) {
                accept.confirmed.push(*id);
            }
        }
        match self
            .0
            .proposer
            .propose(Command::Accept(Box::new(accept)))
            .await
        {
            Ok(Outcome::Accepted) => Ok(id),
            Ok(Outcome::Repeated(first)) => Ok(first),
            Ok(_) => Err(Refusal::StageGone),
            Err(refusal) => {
                self.0.confirmations.put_back(carried);
                Err(refusal)
            }
        }
    }

    fn confirm(&self, id: MessageId) {
        self.0.confirmations.add(id);
    }

    async fn flush(&self, domain: &str) -> Result<u64, Refusal> {
        let flushed = Self::flush(self, Some(domain.to_owned())).await;
        flushed.map_err(|_| Refusal::NoQuorum)?;
        let totals = Outbox::destination(self, domain).totals;
        Ok(totals.waiting + totals.deferred)
    }

    fn discard(&self, id: MessageId) {
        if self.0.discards.try_send(id).is_err() {
            tracing::debug!(%id, "a stage is left to the sweep");
        }
    }
}

impl Lookout for Cluster {
    fn sought(&self) -> Vec<Domain> {
        if self.0.signals.leadership.borrow().leading || !self.votes() {
            return Vec::new();
        }
        let at = self.0.clock.now();
        let figures = self.0.tables.figures();
        let Some(policy) = &figures.policy else {
            return Vec::new();
        };
        let down = figures.destinations.iter().filter(|(_, destination)| {
            let has_mail = destination.totals.undelivered() > 0;
            destination.is_down() && has_mail && reach::is_delivered(destination, at)
        });
        down.filter_map(|(name, _)| policy.policy.domain(name).cloned())
            .collect()
    }

    fn note_reach(&self, domain: &str, is_reached: bool, lasts: Duration) {
        let findings = &self.0.findings;
        findings.note(domain, is_reached, Instant::now(), lasts);
    }
}

impl Outbox for Cluster {
    fn policy(&self) -> Option<Arc<Policy>> {
        Self::policy(self)
    }

    fn destinations(&self) -> Vec<(String, Destination)> {
        Self::destinations(self)
    }

    fn destination(&self, domain: &str) -> Destination {
        self.0
            .tables
            .figures()
            .destinations
            .get(domain)
            .cloned()
            .unwrap_or_default()
    }

    async fn changed_since(&self, seen: u64) -> u64 {
        let mut changes = self.0.tables.changes();
        let version = changes
            .wait_for(|version| *version > seen)
            .await
            .map(|version| *version);
        match version {
            Ok(version) => version,
            Err(_) => std::future::pending().await,
        }
    }

    async fn waiting(
        &self,
        domain: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Due>, OutboxError> {
        let (tables, name) = (Arc::clone(&self.0.tables), domain.to_owned());
        let limit = limit.min(limits::READ_MESSAGES_MAX);
        let messages = blocking(move || tables.waiting(&name, after, limit)).await?;
        Ok(messages
            .into_iter()
            .map(|(message, place)| due(message, place, domain))
            .collect())
    }

    async fn deferred(
        &self,
        domain: &str,
        after: Option<DeferredCursor>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(DeferredCursor, Due)>, OutboxError> {
        let (tables, name) = (Arc::clone(&self.0.tables), domain.to_owned());
        let limit = limit.min(limits::READ_MESSAGES_MAX);
        let messages = blocking(move || tables.deferred(&name, after, until, limit)).await?;
        Ok(messages
            .into_iter()
            .map(|(at, message, place)| (at, due(message, place, domain)))
            .collect())
    }

    async fn due(&self, domain: &str, sequences: &[u64]) -> Result<Vec<Due>, OutboxError> {
        let (tables, name) = (Arc::clone(&self.0.tables), domain.to_owned());
        let sequences = sequences.to_vec();
        let read = move || {
            let queued = sequences
                .into_iter()
                .map(|sequence| tables.queued(&name, sequence));
            queued.filter_map(io::Result::transpose).collect()
        };
        let queued: Vec<(Message, Place)> = blocking(read).await?;
        Ok(queued
            .into_iter()
            .map(|(message, place)| due(message, place, domain))
            .collect())
    }

    async fn settle(&self, term: u64) -> Result<(), OutboxError> {
        // A claim of nothing, as a mark in the log: what this leader has written before stands in front
        // of it, whether or not anyone still waits for that.
        let mark = Command::Claim(claims(term, "", &[]));
        let settled = self.0.proposer.propose_in_term(term, mark).await;
        settled.map_err(unrecorded)
    }

    async fn claim(&self, term: u64, domain: &str, sequences: &[u64]) -> Result<(), OutboxError> {
        let claim = Command::Claim(claims(term, domain, sequences));
        let claimed = self.0.proposer.propose_in_term(term, claim).await;
        claimed.map_err(unrecorded)
    }

    async fn release(&self, term: u64, domain: &str, sequences: &[u64]) -> Result<(), OutboxError> {
        self.record(Command::Release(claims(term, domain, sequences)))
            .await
    }

    async fn piece(&self, id: MessageId, piece: u64) -> Result<Bytes, OutboxError> {
        let tables = Arc::clone(&self.0.tables);
        let read = |behind| {
            let read = tokio::task::spawn_blocking(move || tables.stretch(piece, behind));
            async { read.await.map_err(io::Error::other)? }
        };
        match self.0.ahead.piece(piece, read).await {
            Ok(octets) => octets.ok_or(OutboxError::PieceMissing { id, piece }),
            // Nothing but this piece is known to be bad.
            Err(error) => Err(OutboxError::PieceUnreadable {
                id,
                piece,
                reason: error.to_string(),
            }),
        }
    }

    async fn mend(&self, message: &Message) -> Result<(), OutboxError> {
        let mended = Self::mend(self, message).await;
        mended.map_err(|error| OutboxError::Unmended(error.to_string()))
    }

    async fn report(&self, report: Report) -> Result<(), OutboxError> {
        self.record(Command::Report(report)).await
    }

    async fn owed(&self, after: u64, limit: usize) -> Result<Vec<Owed>, OutboxError> {
        let tables = Arc::clone(&self.0.tables);
        let limit = limit.min(limits::READ_MESSAGES_MAX);
        let messages = blocking(move || tables.owed(after, limit)).await?;
        Ok(messages.into_iter().flat_map(owed).collect())
    }

    async fn notify(&self, notify: Notify) -> Result<(), OutboxError> {
        self.record(Command::Notify(notify)).await
    }

    async fn observe(
        &self,
        domain: &str,
        reachability: Reachability,
        at: Timestamp,
    ) -> Result<(), OutboxError> {
        self.record(Command::Observe {
            domain: domain.to_owned(),
            reachability,
            at,
        })
        .await
    }

    async fn recover(&self, recovery: Recovery) -> Result<(), OutboxError> {
        self.record(Command::Recover(recovery)).await
    }

    async fn note_posted(&self, notice: Notice) -> Result<(), OutboxError> {
        self.record(Command::NotePosted(notice)).await
    }

    async fn note_starttls(
        &self,
        domain: &Domain,
        host: &str,
        is_offered: bool,
        at: Timestamp,
    ) -> Result<(), OutboxError> {
        let Some(in_force) = self.in_force_naming(domain) else {
            return Ok(());
        };
        self.record(Command::Starttls(SeenStarttls {
            domain: domain.name.clone(),
            host: host.to_owned(),
            is_offered,
            policy_version: in_force.version,
            at,
        }))
        .await
    }

    async fn note_offers(
        &self,
        domain: &Domain,
        offers: Offers,
        at: Timestamp,
    ) -> Result<(), OutboxError> {
        let Some(in_force) = self.in_force_naming(domain) else {
            return Ok(());
        };
        self.record(Command::Offers {
            domain: domain.name.clone(),
            offers,
            policy_version: in_force.version,
            at,
        })
        .await
    }

    fn lease(&self) -> Option<Duration> {
        let leader = self.0.raft.as_leader().ok()?;
        let whole = Duration::from_millis(limits::ELECTION_MIN_MS);
        if leadership::is_sole_voter(&raft::metrics(&self.0.raft)) {
            return Some(whole);
        }
        whole.checked_sub(leader.last_quorum_acked()?.elapsed())
    }
}

impl Cluster {
    /// The policy in force, if it names the same primary for a domain as one that was in force before.
    fn in_force_naming(&self, domain: &Domain) -> Option<Arc<InForce>> {
        self.policy_in_force().filter(|in_force| {
            let now = in_force.policy.domain(&domain.name);
            now.is_some_and(|now| now.primary == domain.primary)
        })
    }

    /// What the forwarder found out is true whoever leads now, so it is recorded through any change
    /// of leader.
    async fn record(&self, command: Command) -> Result<(), OutboxError> {
        let recorded = self.0.proposer.propose(command).await;
        recorded.map(drop).map_err(unrecorded)
    }
}

fn unrecorded(refusal: Refusal) -> OutboxError {
    match refusal {
        Refusal::NoQuorum | Refusal::ShuttingDown | Refusal::Busy => OutboxError::NotLeading,
        refusal => OutboxError::Storage(refusal.to_string()),
    }
}

fn claims(term: u64, domain: &str, sequences: &[u64]) -> Claims {
    Claims {
        term,
        domain: domain.to_owned(),
        sequences: sequences.to_vec(),
    }
}

/// Which recipients of a message are to be tried now, for one domain: those never tried, or, when
/// there are none, those deferred.
fn due(message: Message, place: Place, domain: &str) -> Due {
    let waits = message.standing(domain) == Some(Standing::Waiting);
    let recipients = (0_u32..)
        .zip(&message.recipients)
        .filter(|(_, recipient)| recipient.domain == domain)
        .filter(|(_, recipient)| match recipient.status {
            Status::Pending => true,
            Status::Deferred { .. } => !waits,
            Status::Delivered { .. } | Status::Rejected { .. } | Status::Returned { .. } => false,
        })
        .map(|(number, _)| number)
        .collect();
    Due {
        message: Arc::new(message),
        recipients,
        claimed_by: place.claimed_by,
    }
}

/// What the sender of a message is to be told, each kind by itself.
fn owed(message: Message) -> Vec<Owed> {
    let message = Arc::new(message);
    let kinds = notice::Kind::ALL.into_iter().map(|kind| Owed {
        message: Arc::clone(&message),
        kind,
        recipients: message.owed(kind),
    });
    kinds.filter(|owed| !owed.recipients.is_empty()).collect()
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, OutboxError> {
    let read = tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other);
    read.flatten()
        .map_err(|error| OutboxError::Storage(error.to_string()))
}
