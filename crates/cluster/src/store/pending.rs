//! The spool in the middle of a batch: what is written, with what this batch is about to write on
//! top. `apply` sees every earlier command of the batch through it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::RangeInclusive,
    sync::{Arc, MutexGuard},
};

use prost::Message as _;
use spool::{
    Audited, Change, Destination, Footprint, HistoryTotals, Learned, Message, MessageId, Outage,
    Place, Retained, Timestamp, Unconfirmed, View, Visitors,
    policy::InForce,
    recipients::Source,
    view::{Known, Staged},
};

use super::{
    audit,
    keys::{self, SpoolKeys, Table},
    open::Column,
    rows,
    tables::Tables,
};
use crate::{
    codec,
    raft::{LogId, StoredMembership},
};

/// A batch in the making.
pub(super) struct Pending<'t> {
    tables: &'t Tables,
    keys: SpoolKeys,
    rows: HashMap<Vec<u8>, Option<Vec<u8>>>,
    dropped: Vec<u64>,
    destinations: BTreeMap<String, Destination>,
    history: Option<HistoryTotals>,
    founded: Option<(u128, Arc<InForce>)>,
    /// Changed at once: a batch that can not be written stops the node, so it is never ahead of what
    /// the next batch finds.
    unconfirmed: MutexGuard<'t, Unconfirmed>,
    /// Likewise.
    visitors: MutexGuard<'t, Visitors>,
    membership: Option<StoredMembership>,
    retired: Vec<u64>,
    /// By how many more messages something is owed to the sender.
    owed: i64,
}

impl<'t> Pending<'t> {
    pub(super) fn new(tables: &'t Tables) -> Self {
        Self {
            tables,
            keys: tables.now().keys(),
            rows: HashMap::new(),
            dropped: Vec::new(),
            destinations: BTreeMap::new(),
            history: None,
            founded: None,
            unconfirmed: tables.unconfirmed(),
            visitors: tables.visitors(),
            membership: None,
            retired: Vec::new(),
            owed: 0,
        }
    }

    /// Takes in what one command changes.
    pub(super) fn add(&mut self, changes: Vec<Change>) -> io::Result<()> {
        for change in changes {
            match change {
                Change::Founded { cluster, policy } => self.add_founded(cluster, policy),
                Change::Adopted(policy) => self.add_adopted(policy)?,
                Change::Message { before, after } => self.add_message(before, after),
                Change::Claimed {
                    domain,
                    sequence,
                    after,
                } => {
                    let octets = rows::encode_place(after);
                    self.rows
                        .insert(self.keys.queue(&domain, sequence), Some(octets));
                }
                Change::Known { id, before, after } => self.add_known(id, before, after),
                Change::Departure { at, message } => {
                    let key = self.keys.departed(at, message.id);
                    let octets = codec::message_to(*message).encode_to_vec();
                    self.rows.insert(key, Some(octets));
                }
                Change::Retained { at, id, after } => {
                    let octets = after.map(|after| codec::retained_to(after).encode_to_vec());
                    self.rows.insert(self.keys.retained(at, id), octets);
                }
                Change::History(totals) => self.add_history(totals),
                Change::Staged { id, after } => {
                    let octets = after.map(|after| codec::staged_to(after).encode_to_vec());
                    self.rows.insert(self.keys.staged(id), octets);
                }
                Change::Unconfirmed { id, after } => {
                    self.unconfirmed.change(id, after);
                    let octets = after.map(|after| codec::unconfirmed_to(after).encode_to_vec());
                    self.rows.insert(self.keys.unconfirmed(id), octets);
                }
                Change::Visitor { visitor, after } => {
                    self.visitors.change(visitor, after);
                    let octets = after.map(|after| codec::patience_to(after).encode_to_vec());
                    self.rows.insert(self.keys.visitor(visitor), octets);
                }
                Change::Recipient {
                    domain,
                    address,
                    before,
                    after,
                } => self.add_recipient(&domain, &address, before, after),
                Change::Audited { id, after } => {
                    let octets = after.map(|after| codec::audited_to(*after).encode_to_vec());
                    self.rows.insert(self.keys.audited(id), octets);
                }
                Change::Outage {
                    domain,
                    since,
                    until,
                } => {
                    let octets = until.map(|until| until.0.to_be_bytes().to_vec());
                    self.rows.insert(self.keys.outage(&domain, since), octets);
                }
                Change::DropPiece(index) => self.dropped.push(index),
                Change::Destination { domain, after } => {
                    let octets = codec::destination_to(after.clone()).encode_to_vec();
                    self.rows
                        .insert(self.keys.destination(&domain), Some(octets));
                    self.destinations.insert(domain, after);
                }
            }
        }
        Ok(())
    }

    fn add_history(&mut self, totals: HistoryTotals) {
        let octets = codec::history_totals_to(totals).encode_to_vec();
        let key = self.keys.table(Table::History);
        self.rows.insert(key, Some(octets));
        self.history = Some(totals);
    }

    /// Takes in who is a member from now on. Whoever is not any more is retired in the same batch, so
    /// that no id is ever forgotten between its removal and the note of it.
    pub(super) fn add_membership(&mut self, after: StoredMembership) -> io::Result<()> {
        let before = match self.membership.take() {
            Some(before) => before,
            None => self.tables.membership()?,
        };
        for (id, _) in before.nodes() {
            if after.get_node(id).is_none() {
                self.rows.insert(self.keys.retired(*id), Some(Vec::new()));
                self.retired.push(*id);
            }
        }
        self.membership = Some(after);
        Ok(())
    }

    fn add_founded(&mut self, cluster: u128, policy: Arc<InForce>) {
        let octets = codec::founded_to(cluster, &policy).encode_to_vec();
        self.rows
            .insert(self.keys.table(Table::Founded), Some(octets));
        self.founded = Some((cluster, policy));
    }

    fn add_adopted(&mut self, policy: Arc<InForce>) -> io::Result<()> {
        let pending = self.founded.as_ref().map(|(cluster, _)| *cluster);
        let cluster = pending.or_else(|| self.tables.figures().cluster);
        let cluster = cluster.ok_or_else(|| io::Error::other("a policy without a cluster"))?;
        self.add_founded(cluster, policy);
        Ok(())
    }

    fn add_message(&mut self, before: Option<Footprint>, after: Option<Box<Message>>) {
        let (was, is) = (before.as_ref(), after.as_deref());
        let (sequence, domains) = match (was, is) {
            (Some(was), _) => (was.sequence, was.domains().collect()),
            (None, Some(is)) => (is.sequence, is.domains()),
            (None, None) => return,
        };
        for domain in domains {
            let was = was.and_then(|was| was.due(domain));
            let is = is.and_then(|is| is.standing(domain)?.due());
            if was == is {
                continue;
            }
            if let Some(until) = was.filter(|until| until.0 > 0) {
                self.rows
                    .insert(self.keys.deferred(domain, until, sequence), None);
            }
            if let Some(until) = is.filter(|until| until.0 > 0) {
                self.rows.insert(
                    self.keys.deferred(domain, until, sequence),
                    Some(Vec::new()),
                );
            }
            let place = is.map(|due| {
                rows::encode_place(Place {
                    due,
                    claimed_by: None,
                })
            });
            self.rows.insert(self.keys.queue(domain, sequence), place);
        }
        let was_owed = was.is_some_and(|was| was.is_owed);
        let is_owed = is.is_some_and(Message::is_owed);
        if was_owed != is_owed {
            let row = is_owed.then(Vec::new);
            self.rows.insert(self.keys.owed(sequence), row);
            self.owed += i64::from(is_owed) - i64::from(was_owed);
        }
        let octets = after.map(|message| codec::message_to(*message).encode_to_vec());
        self.rows.insert(self.keys.message(sequence), octets);
    }

    fn add_known(&mut self, id: MessageId, before: Option<Known>, after: Option<Known>) {
        if let Some(at) = before.and_then(|known| known.gone_since()) {
            self.rows.insert(self.keys.departed(at, id), None);
        }
        if let Some(at) = after.and_then(|known| known.gone_since()) {
            self.rows
                .insert(self.keys.departed(at, id), Some(Vec::new()));
        }
        let octets = after.map(|known| codec::known_to(known).encode_to_vec());
        self.rows.insert(self.keys.known(id), octets);
    }

    fn add_recipient(
        &mut self,
        domain: &str,
        address: &str,
        before: Option<Learned>,
        after: Option<Learned>,
    ) {
        let keys = self.keys;
        let by_age = |learned: Learned| keys.learned(domain, learned.is_valid, learned.at, address);
        let ages = |learned: &Learned| learned.from != Source::Operator;
        if let Some(learned) = before.filter(ages) {
            self.rows.insert(by_age(learned), None);
        }
        if let Some(learned) = after.filter(ages) {
            self.rows.insert(by_age(learned), Some(Vec::new()));
        }
        let octets = after.map(|learned| codec::learned_to(learned).encode_to_vec());
        self.rows.insert(keys.recipient(domain, address), octets);
    }

    /// Writes it all, together with how far the log is applied then. Not fsync'd: what a power failure takes is
    /// applied again, as the log has it.
    pub(super) fn commit(self, applied: LogId) -> io::Result<()> {
        let database = self.tables.now();
        let mut batch = database.batch();
        // Neighbours are put in beside each other, which costs RocksDB the least.
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        rows.sort_unstable();
        for (key, value) in &rows {
            match value {
                Some(value) => batch.put(Column::Spool, key, value),
                None => batch.delete(Column::Spool, key),
            }
        }
        for index in &self.dropped {
            batch.put(Column::Raft, keys::dropped(*index), []);
        }
        let octets = codec::log_id_to(applied).encode_to_vec();
        batch.put(Column::Spool, self.keys.table(Table::Applied), octets);
        if let Some(membership) = &self.membership {
            let octets = codec::stored_membership_to(membership).encode_to_vec();
            batch.put(Column::Spool, self.keys.table(Table::Membership), octets);
        }
        batch.write()?;
        if !rows.is_empty() {
            self.tables.publish(|figures| {
                figures.destinations.extend(self.destinations);
                figures.unconfirmed = self.unconfirmed.len();
                figures.retired.extend(self.retired);
                figures.owed = figures.owed.saturating_add_signed(self.owed);
                figures.history = self.history.unwrap_or(figures.history);
                if let Some((cluster, policy)) = self.founded {
                    let (version, by) = (policy.version, &policy.by);
                    tracing::info!(version, by, "another policy is in force");
                    figures.cluster = Some(cluster);
                    figures.policy = Some(policy);
                }
            });
        }
        Ok(())
    }

    /// The values of several keys, as this batch leaves them.
    fn read_each(&self, keys: Vec<Vec<u8>>) -> io::Result<Vec<Option<Vec<u8>>>> {
        let mut values = self.tables.now().get_each(Column::Spool, &keys)?;
        for (key, value) in keys.iter().zip(&mut values) {
            if let Some(pending) = self.rows.get(key) {
                value.clone_from(pending);
            }
        }
        Ok(values)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.dropped.is_empty() && self.membership.is_none()
    }
}

impl View for Pending<'_> {
    type Error = io::Error;

    fn policy(&self) -> Option<Arc<InForce>> {
        let founded = self.founded.as_ref().map(|(_, policy)| Arc::clone(policy));
        founded.or_else(|| self.tables.figures().policy.clone())
    }

    fn destination(&self, domain: &str) -> Destination {
        let pending = self.destinations.get(domain).cloned();
        pending
            .or_else(|| self.tables.figures().destinations.get(domain).cloned())
            .unwrap_or_default()
    }

    fn domains(&self) -> Vec<String> {
        let mut domains: Vec<String> = self.tables.figures().destinations.keys().cloned().collect();
        domains.extend(self.destinations.keys().cloned());
        domains.sort_unstable();
        domains.dedup();
        domains
    }

    fn known(&self, id: MessageId) -> io::Result<Option<Known>> {
        match self.rows.get(&self.keys.known(id)) {
            Some(pending) => pending.as_deref().map(rows::decode_known).transpose(),
            None => self.tables.known(id),
        }
    }

    fn message(&self, sequence: u64) -> io::Result<Option<Message>> {
        match self.rows.get(&self.keys.message(sequence)) {
            Some(pending) => pending.clone().map(rows::decode_message).transpose(),
            None => self.tables.message(sequence),
        }
    }

    fn queued(&self, ids: &[MessageId]) -> io::Result<Vec<Option<Message>>> {
        let known = self.read_each(ids.iter().map(|id| self.keys.known(*id)).collect())?;
        let sequences = known.into_iter().map(|octets| {
            let known = octets.as_deref().map(rows::decode_known).transpose()?;
            Ok(known.and_then(|known| known.queued_at()))
        });
        let sequences = sequences.collect::<io::Result<Vec<Option<u64>>>>()?;
        // Ids are not quite in order of arrival, as each node draws its own.
        let mut places: Vec<u64> = sequences.iter().flatten().copied().collect();
        places.sort_unstable();
        let keys = places.iter().map(|place| self.keys.message(*place));
        let rows = self.read_each(keys.collect())?;
        let mut rows: HashMap<u64, Option<Vec<u8>>> = places.into_iter().zip(rows).collect();
        let found = sequences.into_iter().map(|place| {
            let octets = place.and_then(|place| rows.remove(&place).flatten());
            octets.map(rows::decode_message).transpose()
        });
        found.collect()
    }

    fn place(&self, domain: &str, sequence: u64) -> io::Result<Option<Place>> {
        match self.rows.get(&self.keys.queue(domain, sequence)) {
            Some(pending) => pending.as_deref().map(rows::decode_place).transpose(),
            None => self.tables.place(domain, sequence),
        }
    }

    fn places(&self, wanted: &[(&str, u64)]) -> io::Result<Vec<Option<Place>>> {
        let keys = wanted.iter();
        let keys = keys.map(|(domain, sequence)| self.keys.queue(domain, *sequence));
        let rows = self.read_each(keys.collect())?.into_iter();
        rows.map(|octets| octets.as_deref().map(rows::decode_place).transpose())
            .collect()
    }

    fn staged(&self, id: MessageId) -> io::Result<Option<Staged>> {
        match self.rows.get(&self.keys.staged(id)) {
            Some(pending) => pending.as_deref().map(rows::decode_staged).transpose(),
            None => self.tables.staged(id),
        }
    }

    fn history(&self) -> HistoryTotals {
        self.history
            .unwrap_or_else(|| self.tables.figures().history)
    }

    fn departure(&self, at: Timestamp, id: MessageId) -> io::Result<Option<Message>> {
        match self.rows.get(&self.keys.departed(at, id)) {
            Some(pending) => rows::decode_departure(pending.clone()),
            None => self.tables.departure(at, id),
        }
    }

    fn retained(&self, at: Timestamp, id: MessageId) -> io::Result<Option<Retained>> {
        match self.rows.get(&self.keys.retained(at, id)) {
            Some(pending) => pending.as_deref().map(rows::decode_retained).transpose(),
            None => self.tables.retained(at, id),
        }
    }

    fn recipient(&self, domain: &str, address: &str) -> io::Result<Option<Learned>> {
        match self.rows.get(&self.keys.recipient(domain, address)) {
            Some(pending) => pending.as_deref().map(rows::decode_learned).transpose(),
            None => self.tables.recipient(domain, address),
        }
    }

    fn audited(&self, action: u128) -> io::Result<Option<Audited>> {
        match self.rows.get(&self.keys.audited(action)) {
            Some(pending) => pending.as_deref().map(audit::decode).transpose(),
            None => self.tables.audited(action),
        }
    }

    // What looks through tables is always the first command of its batch, so nothing pending is overlooked
    // here.

    fn outages(&self, domain: &str) -> io::Result<Vec<Outage>> {
        self.tables.outages(domain)
    }

    fn stages_before(&self, at: Timestamp, limit: usize) -> io::Result<Vec<MessageId>> {
        self.tables.stages_before(at, limit)
    }

    fn departed_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<(Timestamp, MessageId)>> {
        self.tables.departed_before(at, limit)
    }

    fn retained_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<(Timestamp, MessageId, Retained)>> {
        self.tables.retained_before(at, limit)
    }

    fn recipients_outside(
        &self,
        domain: &str,
        is_valid: bool,
        span: RangeInclusive<Timestamp>,
        limit: usize,
    ) -> io::Result<Vec<String>> {
        self.tables
            .recipients_outside(domain, is_valid, &span, limit)
    }

    fn actions_beyond(&self, at: Timestamp, keep: usize, limit: usize) -> io::Result<Vec<u128>> {
        self.tables.actions_beyond(at, keep, limit)
    }

    fn unconfirmed(&self) -> &Unconfirmed {
        &self.unconfirmed
    }

    fn visitors(&self) -> &Visitors {
        &self.visitors
    }
}
