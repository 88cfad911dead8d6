//! A spool in memory. It takes commands in batches and turns changes into rows as the cluster's
//! store does: a batch reads its own rows first, and what looks through tables sees what is written.

use core::{mem, ops::RangeInclusive};
use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use bytes::Bytes;
use spool::{
    Audited, Change, Command, Destination, Footprint, HistoryTotals, Learned, Message, MessageId,
    Outage, Outcome, Patience, Place, Remembered, Retained, Timestamp, Unconfirmed, View, Visitor,
    Visitors,
    policy::InForce,
    recipients::Source,
    view::{Known, Staged},
};

/// What a row is found by. The order of the variants and of their fields is the order of the rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Founded,
    Message(u64),
    Known(MessageId),
    Queue(String, u64),
    Deferred(String, Timestamp, u64),
    Staged(MessageId),
    Departed(Timestamp, MessageId),
    Destination(String),
    Unconfirmed(MessageId),
    Visitor(Visitor),
    Recipient(String, String),
    LearnedAt(String, bool, Timestamp, String),
    Audited(u128),
    History,
    Outage(String, Timestamp),
    Retained(Timestamp, MessageId),
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Founded(u128, Arc<InForce>),
    Message(Box<Message>),
    Known(Known),
    Place(Place),
    Staged(Staged),
    Destination(Box<Destination>),
    Unconfirmed(Remembered),
    Patience(Patience),
    Recipient(Learned),
    Audited(Box<Audited>),
    History(HistoryTotals),
    Until(Timestamp),
    Retained(Retained),
    Present,
}

/// The spool after the last batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) rows: BTreeMap<Key, Row>,
    /// Octets by the log index that carried them; never removed, so that a lost one is noticed.
    pub(crate) carried: BTreeMap<u64, Bytes>,
    /// Every drop in order, so that a second one is noticed.
    pub(crate) dropped: Vec<u64>,
    /// The rows of two tables once more, as `apply` reads them.
    pub(crate) held: Held,
}

/// What is kept in memory beside the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) unconfirmed: Unconfirmed,
    pub(crate) visitors: Visitors,
}

impl Memory {
    /// Applies a run of the log as one batch, or as two around each sweep.
    pub(crate) fn apply_batch(&mut self, batch: &[(u64, Command)]) -> Vec<Outcome> {
        let held = mem::take(&mut self.held);
        let mut pending = Pending::new(self, held);
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut carried = Vec::new();
        for (index, command) in batch {
            if command.looks_through_tables() {
                let (written, held) = pending.into_rows();
                self.write(written);
                pending = Pending::new(self, held);
            }
            carried.extend(carried_octets(command).map(|octets| (*index, octets.clone())));
            let (outcome, changes) = match spool::apply(&pending, *index, command.clone()) {
                Ok(applied) => applied,
                Err(never) => match never {},
            };
            pending.add(changes);
            outcomes.push(outcome);
        }
        let (written, held) = pending.into_rows();
        self.write(written);
        self.held = held;
        self.carried.extend(carried);
        outcomes
    }

    /// What a command comes to, behind which nothing is written; its instructions are counted.
    pub(crate) fn would_apply(&self, index: u64, command: Command) -> (Outcome, Vec<Change>) {
        let pending = Pending::new(self, self.held.clone());
        let applied = counts::instructions_of(|| spool::apply(&pending, index, command));
        applied.unwrap_or_else(|never| match never {})
    }

    fn write(&mut self, (rows, dropped): Written) {
        for (key, row) in rows {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        self.dropped.extend(dropped);
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.rows.iter().filter_map(|row| match row {
            (Key::Message(_), Row::Message(message)) => Some(message.as_ref()),
            _ => None,
        })
    }

    /// What is remembered of a message that has left.
    pub(crate) fn departure_of(&self, id: MessageId) -> Option<&Message> {
        let Some(Known::Departed(at)) = self.known_of(id) else {
            return None;
        };
        match self.rows.get(&Key::Departed(at, id)) {
            Some(Row::Message(message)) => Some(message),
            _ => None,
        }
    }

    /// What is kept of messages that have left, in the order in which they did.
    pub(crate) fn retained(&self) -> impl Iterator<Item = (Timestamp, MessageId, &Retained)> {
        self.rows.iter().filter_map(|row| match row {
            (Key::Retained(at, id), Row::Retained(retained)) => Some((*at, *id, retained)),
            _ => None,
        })
    }

    pub(crate) fn outages_of(&self, domain: &str) -> Vec<Outage> {
        let outages = self.rows.iter().filter_map(|row| match row {
            (Key::Outage(own, since), Row::Until(until)) if own == domain => Some(Outage {
                since: *since,
                until: *until,
            }),
            _ => None,
        });
        outages.collect()
    }

    pub(crate) fn history(&self) -> HistoryTotals {
        match self.rows.get(&Key::History) {
            Some(Row::History(totals)) => *totals,
            _ => HistoryTotals::default(),
        }
    }

    pub(crate) fn message_of(&self, id: MessageId) -> Option<&Message> {
        self.messages().find(|message| message.id == id)
    }

    pub(crate) fn known_of(&self, id: MessageId) -> Option<Known> {
        match self.rows.get(&Key::Known(id)) {
            Some(Row::Known(known)) => Some(*known),
            _ => None,
        }
    }

    pub(crate) fn stages(&self) -> impl Iterator<Item = (MessageId, &Staged)> {
        self.rows.iter().filter_map(|row| match row {
            (Key::Staged(id), Row::Staged(staged)) => Some((*id, staged)),
            _ => None,
        })
    }

    /// The audit log.
    pub(crate) fn actions(&self) -> impl Iterator<Item = (u128, &Audited)> {
        self.rows.iter().filter_map(|row| match row {
            (Key::Audited(id), Row::Audited(audited)) => Some((*id, audited.as_ref())),
            _ => None,
        })
    }

    /// Who has claimed a message for a domain.
    pub(crate) fn claimant_of(&self, id: MessageId, domain: &str) -> Option<u64> {
        let Some(Known::Queued(sequence)) = self.known_of(id) else {
            return None;
        };
        match self.rows.get(&Key::Queue(domain.to_owned(), sequence)) {
            Some(Row::Place(place)) => place.claimed_by,
            _ => None,
        }
    }

    pub(crate) fn destination_of(&self, domain: &str) -> Destination {
        match self.rows.get(&Key::Destination(domain.to_owned())) {
            Some(Row::Destination(destination)) => Destination::clone(destination),
            _ => Destination::default(),
        }
    }

    pub(crate) fn recipient_of(&self, domain: &str, address: &str) -> Option<Learned> {
        let key = Key::Recipient(domain.to_owned(), address.to_owned());
        match self.rows.get(&key) {
            Some(Row::Recipient(learned)) => Some(*learned),
            _ => None,
        }
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> Option<&InForce> {
        match self.rows.get(&Key::Founded) {
            Some(Row::Founded(_, policy)) => Some(policy),
            _ => None,
        }
    }

    /// The octets of a message's body, as they would leave.
    pub(crate) fn body_of(&self, message: &Message) -> Vec<u8> {
        let pieces = message.body.pieces.iter();
        pieces
            .flat_map(|piece| self.carried[piece].clone())
            .collect()
    }
}

/// What a batch comes to: rows, and pieces that are dropped.
type Written = (BTreeMap<Key, Option<Row>>, Vec<u64>);

/// The octets that the log keeps for a command.
fn carried_octets(command: &Command) -> Option<&Bytes> {
    match command {
        Command::Stage(stage) => Some(&stage.piece),
        Command::Accept(accept) => Some(&accept.tail),
        Command::Notify(notify) => Some(&notify.report.tail),
        _ => None,
    }
    .filter(|octets| !octets.is_empty())
}

/// A batch in the making.
struct Pending<'m> {
    memory: &'m Memory,
    rows: BTreeMap<Key, Option<Row>>,
    dropped: Vec<u64>,
    held: Held,
}

impl<'m> Pending<'m> {
    const fn new(memory: &'m Memory, held: Held) -> Self {
        Self {
            memory,
            rows: BTreeMap::new(),
            dropped: Vec::new(),
            held,
        }
    }

    fn into_rows(self) -> (Written, Held) {
        ((self.rows, self.dropped), self.held)
    }

    fn add(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Founded { cluster, policy } => {
                    let founded = Row::Founded(cluster, policy);
                    self.rows.insert(Key::Founded, Some(founded));
                }
                Change::Adopted(policy) => self.add_adopted(policy),
                Change::Message { before, after } => {
                    self.add_message(before.as_ref(), after.as_deref());
                }
                Change::Claimed {
                    domain,
                    sequence,
                    after,
                } => {
                    let row = Some(Row::Place(after));
                    self.rows.insert(Key::Queue(domain, sequence), row);
                }
                Change::Known { id, before, after } => self.add_known(id, before, after),
                Change::Departure { at, message } => {
                    let key = Key::Departed(at, message.id);
                    self.rows.insert(key, Some(Row::Message(message)));
                }
                Change::Retained { at, id, after } => {
                    let row = after.map(Row::Retained);
                    self.rows.insert(Key::Retained(at, id), row);
                }
                Change::History(totals) => {
                    self.rows.insert(Key::History, Some(Row::History(totals)));
                }
                Change::Staged { id, after } => {
                    self.rows.insert(Key::Staged(id), after.map(Row::Staged));
                }
                Change::Unconfirmed { id, after } => {
                    self.held.unconfirmed.change(id, after);
                    let row = after.map(Row::Unconfirmed);
                    self.rows.insert(Key::Unconfirmed(id), row);
                }
                Change::Visitor { visitor, after } => {
                    self.held.visitors.change(visitor, after);
                    let row = after.map(Row::Patience);
                    self.rows.insert(Key::Visitor(visitor), row);
                }
                Change::Recipient {
                    domain,
                    address,
                    before,
                    after,
                } => self.add_recipient(&domain, &address, before, after),
                Change::Audited { id, after } => {
                    self.rows.insert(Key::Audited(id), after.map(Row::Audited));
                }
                Change::Outage {
                    domain,
                    since,
                    until,
                } => {
                    let row = until.map(Row::Until);
                    self.rows.insert(Key::Outage(domain, since), row);
                }
                Change::DropPiece(index) => self.dropped.push(index),
                Change::Destination { domain, after } => {
                    let row = Some(Row::Destination(Box::new(after)));
                    self.rows.insert(Key::Destination(domain), row);
                }
            }
        }
    }

    fn add_adopted(&mut self, policy: Arc<InForce>) {
        let Some(Row::Founded(cluster, _)) = self.row(&Key::Founded) else {
            panic!("a policy was adopted by no cluster");
        };
        let founded = Row::Founded(*cluster, policy);
        self.rows.insert(Key::Founded, Some(founded));
    }

    fn add_message(&mut self, before: Option<&Footprint>, after: Option<&Message>) {
        let (sequence, domains) = match (before, after) {
            (Some(before), _) => (before.sequence, before.domains().collect()),
            (None, Some(after)) => (after.sequence, after.domains()),
            (None, None) => return,
        };
        for domain in domains {
            let was = before.and_then(|before| before.due(domain));
            let is = after.and_then(|after| after.standing(domain)?.due());
            if was == is {
                continue;
            }
            let deferred = |until| Key::Deferred(domain.to_owned(), until, sequence);
            if let Some(until) = was.filter(|until| until.0 > 0) {
                self.rows.insert(deferred(until), None);
            }
            if let Some(until) = is.filter(|until| until.0 > 0) {
                self.rows.insert(deferred(until), Some(Row::Present));
            }
            let place = Key::Queue(domain.to_owned(), sequence);
            let unclaimed = |due| {
                Row::Place(Place {
                    due,
                    claimed_by: None,
                })
            };
            self.rows.insert(place, is.map(unclaimed));
        }
        let row = after.cloned().map(|after| Row::Message(Box::new(after)));
        self.rows.insert(Key::Message(sequence), row);
    }

    fn add_known(&mut self, id: MessageId, before: Option<Known>, after: Option<Known>) {
        if let Some(at) = before.and_then(|known| known.gone_since()) {
            self.rows.insert(Key::Departed(at, id), None);
        }
        if let Some(at) = after.and_then(|known| known.gone_since()) {
            self.rows.insert(Key::Departed(at, id), Some(Row::Present));
        }
        self.rows.insert(Key::Known(id), after.map(Row::Known));
    }

    fn add_recipient(
        &mut self,
        domain: &str,
        address: &str,
        before: Option<Learned>,
        after: Option<Learned>,
    ) {
        let ageing = |learned: &Learned| learned.from != Source::Operator;
        let index = |learned: Learned| {
            let (domain, address) = (domain.to_owned(), address.to_owned());
            Key::LearnedAt(domain, learned.is_valid, learned.at, address)
        };
        if let Some(learned) = before.filter(ageing) {
            self.rows.insert(index(learned), None);
        }
        if let Some(learned) = after.filter(ageing) {
            self.rows.insert(index(learned), Some(Row::Present));
        }
        let key = Key::Recipient(domain.to_owned(), address.to_owned());
        self.rows.insert(key, after.map(Row::Recipient));
    }

    fn row(&self, key: &Key) -> Option<&Row> {
        match self.rows.get(key) {
            Some(pending) => pending.as_ref(),
            None => self.memory.rows.get(key),
        }
    }
}

impl View for Pending<'_> {
    type Error = Infallible;

    fn policy(&self) -> Option<Arc<InForce>> {
        match self.row(&Key::Founded) {
            Some(Row::Founded(_, policy)) => Some(Arc::clone(policy)),
            _ => None,
        }
    }

    fn destination(&self, domain: &str) -> Destination {
        match self.row(&Key::Destination(domain.to_owned())) {
            Some(Row::Destination(destination)) => Destination::clone(destination),
            _ => Destination::default(),
        }
    }

    fn domains(&self) -> Vec<String> {
        let keys = self.memory.rows.keys().chain(self.rows.keys());
        let mut domains: Vec<String> = keys
            .filter_map(|key| match key {
                Key::Destination(domain) => Some(domain.clone()),
                _ => None,
            })
            .collect();
        domains.sort_unstable();
        domains.dedup();
        domains
    }

    fn known(&self, id: MessageId) -> Result<Option<Known>, Infallible> {
        Ok(match self.row(&Key::Known(id)) {
            Some(Row::Known(known)) => Some(*known),
            _ => None,
        })
    }

    fn message(&self, sequence: u64) -> Result<Option<Message>, Infallible> {
        Ok(match self.row(&Key::Message(sequence)) {
            Some(Row::Message(message)) => Some(Message::clone(message)),
            _ => None,
        })
    }

    fn place(&self, domain: &str, sequence: u64) -> Result<Option<Place>, Infallible> {
        Ok(match self.row(&Key::Queue(domain.to_owned(), sequence)) {
            Some(Row::Place(place)) => Some(*place),
            _ => None,
        })
    }

    fn staged(&self, id: MessageId) -> Result<Option<Staged>, Infallible> {
        Ok(match self.row(&Key::Staged(id)) {
            Some(Row::Staged(staged)) => Some(staged.clone()),
            _ => None,
        })
    }

    fn stages_before(&self, at: Timestamp, limit: usize) -> Result<Vec<MessageId>, Infallible> {
        let stages = self.memory.stages();
        let old = stages.filter(|(_, staged)| staged.touched_at < at);
        Ok(old.map(|(id, _)| id).take(limit).collect())
    }

    fn departed_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, MessageId)>, Infallible> {
        let first = Key::Departed(Timestamp(0), MessageId(0));
        let end = Key::Departed(at, MessageId(0));
        let keys = self.memory.rows.range(first..end).map(|(key, _)| key);
        let departed = keys.filter_map(|key| match key {
            Key::Departed(at, id) => Some((*at, *id)),
            _ => None,
        });
        Ok(departed.take(limit).collect())
    }

    fn outages(&self, domain: &str) -> Result<Vec<Outage>, Infallible> {
        Ok(self.memory.outages_of(domain))
    }

    fn history(&self) -> HistoryTotals {
        match self.row(&Key::History) {
            Some(Row::History(totals)) => *totals,
            _ => HistoryTotals::default(),
        }
    }

    fn departure(&self, at: Timestamp, id: MessageId) -> Result<Option<Message>, Infallible> {
        Ok(match self.row(&Key::Departed(at, id)) {
            Some(Row::Message(message)) => Some(Message::clone(message)),
            _ => None,
        })
    }

    fn retained(&self, at: Timestamp, id: MessageId) -> Result<Option<Retained>, Infallible> {
        Ok(match self.row(&Key::Retained(at, id)) {
            Some(Row::Retained(retained)) => Some(retained.clone()),
            _ => None,
        })
    }

    fn retained_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, MessageId, Retained)>, Infallible> {
        let retained = self.memory.retained();
        let old = retained.filter(|(left_at, ..)| *left_at < at);
        let old = old.map(|(at, id, retained)| (at, id, retained.clone()));
        Ok(old.take(limit).collect())
    }

    fn recipient(&self, domain: &str, address: &str) -> Result<Option<Learned>, Infallible> {
        let key = Key::Recipient(domain.to_owned(), address.to_owned());
        Ok(match self.row(&key) {
            Some(Row::Recipient(learned)) => Some(*learned),
            _ => None,
        })
    }

    fn recipients_outside(
        &self,
        domain: &str,
        is_valid: bool,
        span: RangeInclusive<Timestamp>,
        limit: usize,
    ) -> Result<Vec<String>, Infallible> {
        let moment = |at| Key::LearnedAt(domain.to_owned(), is_valid, at, String::new());
        let all = moment(Timestamp(0))..=moment(Timestamp(u64::MAX));
        let addresses = self
            .memory
            .rows
            .range(all)
            .filter_map(|(key, _)| match key {
                Key::LearnedAt(_, _, at, address) if !span.contains(at) => Some(address.clone()),
                _ => None,
            });
        Ok(addresses.take(limit).collect())
    }

    fn audited(&self, action: u128) -> Result<Option<Audited>, Infallible> {
        Ok(match self.row(&Key::Audited(action)) {
            Some(Row::Audited(audited)) => Some(Audited::clone(audited)),
            _ => None,
        })
    }

    fn actions_beyond(
        &self,
        at: Timestamp,
        keep: usize,
        limit: usize,
    ) -> Result<Vec<u128>, Infallible> {
        let actions: Vec<u128> = self.memory.actions().map(|(id, _)| id).collect();
        let until = MessageId::new(at.0, 0).0;
        let old = actions.iter().filter(|id| **id < until).count();
        let excess = old.max(actions.len().saturating_sub(keep));
        Ok(actions.into_iter().take(excess.min(limit)).collect())
    }

    fn unconfirmed(&self) -> &Unconfirmed {
        &self.held.unconfirmed
    }

    fn visitors(&self) -> &Visitors {
        &self.held.visitors
    }
}
