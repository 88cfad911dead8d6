//! An outbox over a map.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use smtp::{
    BodyType, ForwardPath, Mailbox, ReversePath,
    dsn::{PerMessage, PerRecipient},
};
use spool::alarm::Notice;
use spool::guard::{Guard, Step, Tripped};
use spool::policy::Domain;
use spool::ports::{DeferredCursor, OutboxError};
use spool::recipients::News;
use spool::recipients::Source;
use spool::{
    AddressBook, Attempt, Body, Client, Destination, Digest, Due, Fact, KnownOffers, Learned,
    Lookout, Message, MessageId, Notify, Offers, Outbox, Owed, Pause, Policy, Reachability,
    Recipient, Recovery, Refusal, Report, Standing, Starttls, Status, Timestamp, Totals, Verdict,
    notice,
};
use tokio::sync::watch;

use super::{DOMAIN, clock};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) messages: BTreeMap<u64, Message>,
    pub(super) departed: Vec<u64>,
    /// What of it an operator has deleted.
    deleted: Vec<u64>,
    pieces: HashMap<(MessageId, u64), Bytes>,
    pub(super) destination: Destination,
    pub(super) observations: Vec<Reachability>,
    /// How recoveries went on.
    pub(super) steps: Vec<Step>,
    /// What was told of the primary, each time.
    pub(super) offers: Vec<Offers>,
    /// Whether it offers STARTTLS, each time.
    pub(super) starttls: Vec<bool>,
    pub(super) reports: Vec<Report>,
    /// Who has claimed which message.
    pub(super) claims: BTreeMap<u64, u64>,
    /// How many commands it took.
    pub(super) claim_commands: usize,
    /// Attempts that were reported of messages which nobody had claimed.
    pub(super) unclaimed_reports: usize,
    /// What deliveries have taught.
    pub(super) learned: Vec<Fact>,
    /// Who is known to be valid.
    pub(super) known: HashSet<String>,
    /// What is in the log and not applied.
    pub(super) late: Vec<Report>,
    /// Which messages were to be mended.
    pub(super) mends: Vec<u64>,
    /// Whether probes have reached the primary, each time.
    pub(super) reached: Vec<bool>,
    unreadable: HashSet<(MessageId, u64)>,
    /// What others have in the place of what is damaged here.
    elsewhere: HashMap<(MessageId, u64), Bytes>,
    /// What senders were told.
    pub(super) told: Vec<Notify>,
}

/// What is wrong with a piece of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Damage {
    Octets,
    Missing,
    Unreadable,
}

#[derive(Debug)]
pub(crate) struct MapOutbox {
    pub(super) state: Mutex<State>,
    /// The only one that it has.
    queue: &'static str,
    policy: Mutex<Arc<Policy>>,
    pub(super) version: watch::Sender<u64>,
    pub(super) retry: Duration,
    /// Milliseconds; 0 is no lease.
    pub(super) lease_ms: AtomicU64,
    /// Whether anything can be recorded.
    pub(crate) leads: AtomicBool,
    /// Whether its disk takes what is written and does not keep it.
    pub(super) forgets: AtomicBool,
    /// Whether the others say nothing when they are asked for a body.
    pub(super) others_silent: AtomicBool,
    /// No report gets through while it stands.
    pub(super) cut_off: AtomicBool,
    /// Whether one of those that do not get through is refused.
    pub(super) refuses_one: AtomicBool,
    /// Reports that are on their way.
    pub(super) reporting: AtomicUsize,
    /// The present leader's.
    pub(super) term: AtomicU64,
}

impl MapOutbox {
    pub(crate) fn new(domain: Domain, retry: Duration) -> Arc<Self> {
        let domains = vec![domain].into();
        let policy = Policy {
            domains,
            ..Policy::default()
        };
        Self::with(DOMAIN, policy, retry)
    }

    /// One that holds nothing but reports.
    pub(super) fn of_reports(policy: Policy, retry: Duration) -> Arc<Self> {
        Self::with(notice::QUEUE, policy, retry)
    }

    fn with(queue: &'static str, policy: Policy, retry: Duration) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            queue,
            policy: Mutex::new(Arc::new(policy)),
            version: watch::Sender::new(1),
            retry,
            lease_ms: AtomicU64::new(5000),
            leads: AtomicBool::new(true),
            forgets: AtomicBool::new(false),
            others_silent: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            refuses_one: AtomicBool::new(false),
            reporting: AtomicUsize::new(0),
            term: AtomicU64::new(1),
        })
    }

    /// Queues a message. Its body is cut into two pieces. Returns its sequence.
    pub(super) fn queue(&self, to: &[&str], body: &[u8]) -> u64 {
        self.queue_as(to, body, |_| {})
    }

    /// The same with something changed in it.
    pub(super) fn queue_as(
        &self,
        to: &[&str],
        body: &[u8],
        change: impl FnOnce(&mut Message),
    ) -> u64 {
        let mut state = self.state.lock().unwrap();
        let sequence = 1 + state.messages.len() as u64 + state.departed.len() as u64;
        let id = MessageId(u128::from(sequence));
        let recipients = to.iter().map(|local_part| Recipient {
            path: ForwardPath::Mailbox(Mailbox {
                local_part: (*local_part).into(),
                domain: DOMAIN.into(),
            }),
            dsn: PerRecipient::default(),
            domain: self.queue.into(),
            status: Status::Pending,
            host: String::new(),
            replayed_at: None,
            owed: None,
        });
        let (head, tail) = body.split_at(body.len() / 2);
        state.pieces.insert((id, 0), Bytes::copy_from_slice(head));
        state.pieces.insert((id, 1), Bytes::copy_from_slice(tail));
        let mut message = Message {
            id,
            sequence,
            received_at: clock().now(),
            reverse_path: ReversePath::Null,
            body_type: BodyType::SevenBit,
            smtputf8: false,
            dsn: PerMessage::default(),
            recipients: recipients.collect(),
            body: Body {
                pieces: vec![0, 1],
                size: body.len() as u64,
                digest: Digest(Sha256::digest(body).into()),
            },
            trace: Bytes::from(format!("Received: {sequence}\r\n")),
            authentication: None,
            client: Client {
                address: ([127, 0, 0, 1], 1).into(),
                helo: String::new(),
                tls: None,
            },
            attempts: 0,
            attempted_at: None,
            hold: None,
            tries: Vec::new(),
            renewed_at: None,
            delay_told_at: None,
        };
        change(&mut message);
        state.messages.insert(sequence, message);
        state.count(Some(Standing::Waiting), 1);
        drop(state);
        self.changed();
        sequence
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Damages a message in one of its pieces.
    pub(super) fn spoil(&self, sequence: u64, damage: Damage) -> Bytes {
        let mut state = self.state.lock().unwrap();
        let key = (MessageId(u128::from(sequence)), 1);
        let whole = match damage {
            Damage::Octets => state.pieces.insert(key, Bytes::from_static(b"rot\r\n")),
            Damage::Missing => state.pieces.remove(&key),
            Damage::Unreadable => {
                state.unreadable.insert(key);
                state.pieces.get(&key).cloned()
            }
        };
        whole.expect("it was whole before")
    }

    /// The same, with the message whole elsewhere.
    pub(super) fn spoil_here(&self, sequence: u64, damage: Damage) {
        let whole = self.spoil(sequence, damage);
        self.appear_elsewhere(sequence, whole);
    }

    /// What a message has lost here can be had from others.
    pub(super) fn appear_elsewhere(&self, sequence: u64, whole: Bytes) {
        let key = (MessageId(u128::from(sequence)), 1);
        self.state.lock().unwrap().elsewhere.insert(key, whole);
    }

    /// Puts another policy in force, perhaps one without the domain.
    pub(super) fn adopt(&self, domain: Option<Domain>) {
        let domains = Vec::from_iter(domain).into();
        self.adopt_whole(Policy {
            domains,
            ..Policy::default()
        });
    }

    pub(crate) fn adopt_whole(&self, policy: Policy) {
        *self.policy.lock().unwrap() = Arc::new(policy);
        self.changed();
    }

    /// Puts messages that have left back among those that wait.
    pub(super) fn put_back(&self, messages: Vec<Message>) {
        let mut state = self.state.lock().unwrap();
        for message in messages {
            state.departed.retain(|left| *left != message.sequence);
            state.count(standing(&message), 1);
            state.messages.insert(message.sequence, message);
        }
        state.destination.revision += 1;
        drop(state);
        self.changed();
    }

    pub(super) fn set_down(&self, words: &str) {
        self.state.lock().unwrap().destination.reachability = Reachability::Down(words.into());
        self.changed();
    }

    /// Lets the mail go that a failed recovery holds back, as an operator does.
    pub(super) fn resume(&self) {
        let mut state = self.state.lock().unwrap();
        state.destination.guard = None;
        state.destination.flushed_at = clock().now().after(Duration::from_millis(1));
        drop(state);
        self.changed();
    }

    pub(super) fn flush(&self) {
        self.state.lock().unwrap().destination.flushed_at =
            clock().now().after(Duration::from_millis(1));
        self.changed();
    }

    /// Does what an operator does with a message, as the spool would.
    pub(super) fn handle(&self, sequence: u64, change: impl FnOnce(&mut Message) -> bool) {
        let mut state = self.state.lock().unwrap();
        let message = state.messages.get_mut(&sequence).expect("it is there");
        let before = standing(message);
        let stays = change(message);
        let after = standing(message).filter(|_| stays);
        if before.map(Standing::due) != after.map(Standing::due) {
            state.claims.remove(&sequence);
        }
        if !stays {
            state.messages.remove(&sequence);
            state.departed.push(sequence);
            state.deleted.push(sequence);
        }
        state.count(before, -1);
        state.count(after, 1);
        state.destination.revision += 1;
        drop(state);
        self.changed();
    }

    /// Pauses the domain until a moment, or lets its mail go again.
    pub(super) fn pause(&self, until: Option<Option<Timestamp>>) {
        let now = clock().now();
        let pause = |until| Pause {
            since: now,
            until,
            by: "ann".to_owned(),
            reason: String::new(),
        };
        self.state.lock().unwrap().destination.paused = until.map(pause).map(Box::new);
        self.changed();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().unwrap().messages.is_empty()
    }

    pub(super) fn message(&self, sequence: u64) -> Option<Message> {
        self.state.lock().unwrap().messages.get(&sequence).cloned()
    }

    /// Claims messages as the leader of a term would have.
    pub(super) fn claim_for(&self, term: u64, sequences: &[u64]) {
        let mut state = self.state.lock().unwrap();
        for sequence in sequences {
            let message = state.messages.get(sequence);
            let queued = message.is_some_and(|message| standing(message).is_some());
            let claimed_by = state.claims.get(sequence);
            if queued && claimed_by.is_none_or(|by| *by < term) {
                state.claims.insert(*sequence, term);
            }
        }
        drop(state);
        self.changed();
    }

    /// Releases messages as the leader of a term would.
    pub(super) fn release_for(&self, term: u64, sequences: &[u64]) {
        let mut state = self.state.lock().unwrap();
        for sequence in sequences {
            if state.claims.get(sequence) == Some(&term) {
                state.claims.remove(sequence);
            }
        }
        drop(state);
        self.changed();
    }

    /// Records that the primary has taken a message, as another leader would.
    pub(super) fn report_for(&self, term: u64, sequence: u64, verdict: Verdict) {
        let report = report_of(term, sequence, verdict);
        self.state.lock().unwrap().apply(&report, self.retry);
        self.changed();
    }

    /// Has a report in the log for which nobody waits any more.
    pub(super) fn report_late(&self, term: u64, sequence: u64, verdict: Verdict) {
        let report = report_of(term, sequence, verdict);
        self.state.lock().unwrap().late.push(report);
    }

    pub(super) fn claims(&self) -> BTreeMap<u64, u64> {
        self.state.lock().unwrap().claims.clone()
    }

    fn due(state: &State, message: &Message) -> Due {
        let pending = standing(message) == Some(Standing::Waiting);
        let recipients = message
            .recipients
            .iter()
            .enumerate()
            .filter(|(_, r)| match r.status {
                Status::Pending => true,
                Status::Deferred { .. } => !pending,
                _ => false,
            });
        let recipients = recipients.map(|(index, _)| index as u32).collect();
        Due {
            message: Arc::new(message.clone()),
            recipients,
            claimed_by: state.claims.get(&message.sequence).copied(),
        }
    }
}

/// Its standing in its only queue.
fn standing(message: &Message) -> Option<Standing> {
    message.standing(&message.recipients[0].domain)
}

fn report_of(term: u64, sequence: u64, verdict: Verdict) -> Report {
    let attempts = vec![Attempt {
        id: MessageId(u128::from(sequence)),
        host: String::new(),
        verdicts: vec![(0, verdict)],
    }];
    let at = clock().now();
    Report { term, at, attempts }
}

impl State {
    /// Counts a message's standing in or out.
    fn count(&mut self, standing: Option<Standing>, by: i64) {
        let Totals {
            waiting,
            deferred,
            held,
            rejected,
            ..
        } = &mut self.destination.totals;
        let total = match standing {
            Some(Standing::Waiting) => waiting,
            Some(Standing::Deferred(_)) => deferred,
            Some(Standing::Held) => held,
            Some(Standing::Rejected) => rejected,
            None => return,
        };
        *total = total
            .checked_add_signed(by)
            .expect("counted in before it is counted out");
    }

    fn apply(&mut self, report: &Report, retry: Duration) {
        for attempt in &report.attempts {
            let sequence = attempt.id.0 as u64;
            // Spread by up to a tenth, in an order that is not that of arrival.
            let retry = retry.mul_f64(1.0 + (sequence * 7 % 10) as f64 / 100.0);
            if self.deleted.contains(&sequence) {
                continue;
            }
            let message = self
                .messages
                .get_mut(&sequence)
                .expect("reported once only");
            let before = standing(message);
            message.attempts += 1;
            message.attempted_at = Some(report.at);
            for (index, verdict) in &attempt.verdicts {
                let at = report.at;
                message.recipients[*index as usize].status = match verdict.clone() {
                    Verdict::Delivered(reply) | Verdict::Relayed(reply) => {
                        Status::Delivered { at, reply }
                    }
                    // Nobody is told of a report.
                    Verdict::Rejected(reply) if message.recipients[0].domain == notice::QUEUE => {
                        let report = None;
                        Status::Returned { at, reply, report }
                    }
                    Verdict::Rejected(reply) => Status::Rejected { at, reply },
                    Verdict::Deferred(reason) => Status::Deferred {
                        until: at.after(retry),
                        reason,
                    },
                };
            }
            let after = standing(message);
            self.count(before, -1);
            self.count(after, 1);
            self.unclaimed_reports += usize::from(self.claims.remove(&sequence).is_none());
            if after.is_none() {
                self.messages.remove(&sequence);
                self.departed.push(sequence);
            }
        }
    }
}

impl AddressBook for MapOutbox {
    async fn look_up(&self, _: &str, address: &str) -> Result<Option<Learned>, Refusal> {
        let is_known = self.state.lock().unwrap().known.contains(address);
        Ok(is_known.then(|| Learned {
            is_valid: true,
            at: clock().now(),
            from: Source::Delivery,
            policy_version: 0,
        }))
    }

    fn primary(&self, domain: &str) -> Destination {
        self.destination(domain)
    }

    fn learn(&self, domain: &Domain, address: String, news: News) {
        let fact = Fact {
            domain: domain.name.clone(),
            address,
            news,
        };
        self.state.lock().unwrap().learned.push(fact);
    }
}

impl Lookout for MapOutbox {
    fn sought(&self) -> Vec<Domain> {
        let down = self.state.lock().unwrap().destination.is_down();
        let policy = self.policy.lock().unwrap();
        policy.domains.iter().filter(|_| down).cloned().collect()
    }

    fn note_reach(&self, domain: &str, is_reached: bool, _: Duration) {
        assert_eq!(domain, self.queue);
        self.state.lock().unwrap().reached.push(is_reached);
    }
}

impl Outbox for MapOutbox {
    fn policy(&self) -> Option<Arc<Policy>> {
        Some(self.policy.lock().unwrap().clone())
    }

    fn destinations(&self) -> Vec<(String, Destination)> {
        vec![(self.queue.into(), self.destination(self.queue))]
    }

    fn destination(&self, domain: &str) -> Destination {
        assert_eq!(domain, self.queue);
        self.state.lock().unwrap().destination.clone()
    }

    async fn changed_since(&self, seen: u64) -> u64 {
        let mut versions = self.version.subscribe();
        *versions.wait_for(|version| *version > seen).await.unwrap()
    }

    async fn waiting(&self, _: &str, after: u64, limit: usize) -> Result<Vec<Due>, OutboxError> {
        let state = self.state.lock().unwrap();
        let behind = state
            .messages
            .range(after + 1..)
            .map(|(_, message)| message);
        let waiting = behind.filter(|message| standing(message) == Some(Standing::Waiting));
        Ok(waiting
            .take(limit)
            .map(|message| Self::due(&state, message))
            .collect())
    }

    async fn deferred(
        &self,
        _: &str,
        after: Option<DeferredCursor>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(DeferredCursor, Due)>, OutboxError> {
        let state = self.state.lock().unwrap();
        let mut found = Vec::new();
        for message in state.messages.values() {
            if let Some(Standing::Deferred(at)) = standing(message) {
                let cursor = DeferredCursor(at, message.sequence);
                if at <= until && after.is_none_or(|after| cursor > after) {
                    found.push((cursor, Self::due(&state, message)));
                }
            }
        }
        found.sort_by_key(|(cursor, _)| *cursor);
        found.truncate(limit);
        Ok(found)
    }

    async fn due(&self, _: &str, sequences: &[u64]) -> Result<Vec<Due>, OutboxError> {
        let state = self.state.lock().unwrap();
        let messages = sequences
            .iter()
            .filter_map(|sequence| state.messages.get(sequence));
        let queued = messages.filter(|message| {
            matches!(
                standing(message),
                Some(Standing::Waiting | Standing::Deferred(_))
            )
        });
        Ok(queued.map(|message| Self::due(&state, message)).collect())
    }

    async fn settle(&self, term: u64) -> Result<(), OutboxError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if !self.leads.load(Ordering::Relaxed) || self.term.load(Ordering::Relaxed) != term {
            return Err(OutboxError::NotLeading);
        }
        let mut state = self.state.lock().unwrap();
        for report in std::mem::take(&mut state.late) {
            state.apply(&report, self.retry);
        }
        drop(state);
        self.changed();
        Ok(())
    }

    async fn claim(&self, term: u64, _: &str, sequences: &[u64]) -> Result<(), OutboxError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if !self.leads.load(Ordering::Relaxed) || self.term.load(Ordering::Relaxed) != term {
            return Err(OutboxError::NotLeading);
        }
        if !sequences.is_empty() {
            self.state.lock().unwrap().claim_commands += 1;
        }
        self.claim_for(term, sequences);
        Ok(())
    }

    async fn release(&self, term: u64, _: &str, sequences: &[u64]) -> Result<(), OutboxError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if !self.leads.load(Ordering::Relaxed) {
            return Err(OutboxError::NotLeading);
        }
        self.release_for(term, sequences);
        Ok(())
    }

    async fn piece(&self, id: MessageId, piece: u64) -> Result<Bytes, OutboxError> {
        let state = self.state.lock().unwrap();
        if state.unreadable.contains(&(id, piece)) {
            let reason = "a checksum is wrong".to_owned();
            return Err(OutboxError::PieceUnreadable { id, piece, reason });
        }
        state
            .pieces
            .get(&(id, piece))
            .cloned()
            .ok_or(OutboxError::PieceMissing { id, piece })
    }

    async fn mend(&self, message: &Message) -> Result<(), OutboxError> {
        self.state.lock().unwrap().mends.push(message.sequence);
        if self.others_silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let mut state = self.state.lock().unwrap();
        let key = (message.id, 1);
        let Some(whole) = state.elsewhere.get(&key).cloned() else {
            return Err(OutboxError::Unmended("nobody has it".to_owned()));
        };
        if !self.forgets.load(Ordering::Relaxed) {
            state.unreadable.remove(&key);
            state.pieces.insert(key, whole);
        }
        Ok(())
    }

    async fn report(&self, report: Report) -> Result<(), OutboxError> {
        self.reporting.fetch_add(1, Ordering::Relaxed);
        // A majority's fsync takes a moment, and others run meanwhile.
        tokio::time::sleep(Duration::from_millis(1)).await;
        while self.cut_off.load(Ordering::Relaxed) {
            if self.refuses_one.swap(false, Ordering::Relaxed) {
                return Err(OutboxError::NotLeading);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.reporting.fetch_sub(1, Ordering::Relaxed);
        if !self.leads.load(Ordering::Relaxed) {
            return Err(OutboxError::NotLeading);
        }
        let mut state = self.state.lock().unwrap();
        state.apply(&report, self.retry);
        state.reports.push(report);
        drop(state);
        self.changed();
        Ok(())
    }

    async fn owed(&self, after: u64, limit: usize) -> Result<Vec<Owed>, OutboxError> {
        let state = self.state.lock().unwrap();
        let messages = state.messages.range(after + 1..).map(|(_, it)| it);
        let owed = messages.filter(|message| message.is_owed()).take(limit);
        let each = owed.flat_map(|message| {
            notice::Kind::ALL.map(|kind| Owed {
                message: Arc::new(message.clone()),
                kind,
                recipients: message.owed(kind),
            })
        });
        Ok(each.filter(|owed| !owed.recipients.is_empty()).collect())
    }

    async fn notify(&self, notify: Notify) -> Result<(), OutboxError> {
        if !self.leads.load(Ordering::Relaxed) {
            return Err(OutboxError::NotLeading);
        }
        let mut state = self.state.lock().unwrap();
        let messages = &mut state.messages;
        let message = messages.values_mut().find(|it| it.id == notify.id).unwrap();
        for index in &notify.recipients {
            let owed = message.recipients[*index as usize].owed.take();
            assert_eq!(owed, Some(notify.kind), "told twice");
        }
        state.told.push(notify);
        drop(state);
        self.changed();
        Ok(())
    }

    async fn observe(
        &self,
        _: &str,
        reachability: Reachability,
        at: Timestamp,
    ) -> Result<(), OutboxError> {
        let mut state = self.state.lock().unwrap();
        state.observations.push(reachability.clone());
        state.destination.reachability = reachability;
        state.destination.since = at;
        drop(state);
        self.changed();
        Ok(())
    }

    async fn recover(&self, recovery: Recovery) -> Result<(), OutboxError> {
        if !self.leads.load(Ordering::Relaxed) {
            return Err(OutboxError::NotLeading);
        }
        let mut state = self.state.lock().unwrap();
        state.steps.push(recovery.step.clone());
        let destination = &mut state.destination;
        match recovery.step {
            Step::Begun => {
                assert!(destination.is_down(), "only what is down comes back");
                destination.guard = Some(Box::new(Guard {
                    begun_at: recovery.at,
                    tripped: None,
                }));
            }
            Step::Tripped { begun_at, why } => {
                let guard = destination.guard.as_mut().unwrap();
                assert_eq!(guard.begun_at, begun_at);
                let at = recovery.at;
                guard.tripped = Some(Tripped { at, why });
            }
            Step::Passed { .. } => destination.guard = None,
        }
        drop(state);
        self.changed();
        Ok(())
    }

    async fn note_posted(&self, notice: Notice) -> Result<(), OutboxError> {
        if !self.leads.load(Ordering::Relaxed) {
            return Err(OutboxError::NotLeading);
        }
        self.state.lock().unwrap().destination.note_posted(notice);
        self.changed();
        Ok(())
    }

    async fn note_offers(
        &self,
        _: &Domain,
        offers: Offers,
        at: Timestamp,
    ) -> Result<(), OutboxError> {
        if !self.leads.load(Ordering::Relaxed) {
            return Err(OutboxError::NotLeading);
        }
        let mut state = self.state.lock().unwrap();
        state.offers.push(offers);
        state.destination.learned = Some(KnownOffers { offers, since: at });
        drop(state);
        self.changed();
        Ok(())
    }

    async fn note_starttls(
        &self,
        _: &Domain,
        host: &str,
        is_offered: bool,
        at: Timestamp,
    ) -> Result<(), OutboxError> {
        if !self.leads.load(Ordering::Relaxed) {
            return Err(OutboxError::NotLeading);
        }
        let mut state = self.state.lock().unwrap();
        state.starttls.push(is_offered);
        state.destination.starttls = Some(Box::new(Starttls {
            is_offered,
            since: at,
            host: host.to_owned(),
        }));
        drop(state);
        self.changed();
        Ok(())
    }

    fn lease(&self) -> Option<Duration> {
        match self.lease_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }
}
