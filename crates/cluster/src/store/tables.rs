//! The spool's tables as everyone reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use bytes::Bytes;
use spool::{
    Destination, HistoryTotals, Learned, Message, MessageId, Patience, Place, Timestamp,
    Unconfirmed, Visitor, Visitors,
    policy::{InForce, PolicyErrors},
    ports::DeferredCursor,
    view::{Known, Staged},
};
use tokio::sync::watch;

use super::{
    ahead::Stretch,
    entries,
    keys::{self, Table},
    open::{Column, Database},
    present::Store,
    rows, visitors,
};
use crate::{
    codec,
    limits::AHEAD_PIECE_MAX,
    raft::{LogId, StoredMembership},
};

/// The few things that everyone asks for all the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// The cluster's name.
    pub(crate) cluster: Option<u128>,
    /// The policy in force.
    pub(crate) policy: Option<Arc<InForce>>,
    /// Every domain's figures.
    pub(crate) destinations: BTreeMap<String, Destination>,
    /// How many messages' 250s are not known to have been read.
    pub(crate) unconfirmed: usize,
    /// How much is remembered of what has left.
    pub(crate) history: HistoryTotals,
    /// Messages whose senders are owed a notice.
    pub(crate) owed: u64,
    /// Nodes that were members once and are not any more.
    pub(crate) retired: BTreeSet<u64>,
}

/// The spool as it was after the last applied batch.
#[derive(Debug)]
pub(crate) struct Tables {
    store: Arc<Store>,
    figures: RwLock<Figures>,
    /// All rows of the table of this name, which `apply` looks through for every message.
    unconfirmed: Mutex<Unconfirmed>,
    /// The same of visitors to sentries.
    visitors: Mutex<Visitors>,
    changes: watch::Sender<u64>,
}

impl Figures {
    /// The version of the policy in force; 0 while there is none.
    pub(crate) fn policy_version(&self) -> u64 {
        self.policy.as_ref().map_or(0, |policy| policy.version)
    }
}

impl Tables {
    pub(crate) fn open(store: Arc<Store>) -> io::Result<Self> {
        let tables = Self {
            store,
            figures: RwLock::default(),
            unconfirmed: Mutex::default(),
            visitors: Mutex::default(),
            changes: watch::Sender::new(1),
        };
        tables.reload()?;
        Ok(tables)
    }

    /// Reads the figures anew: at the start, and after a snapshot took the database's place.
    pub(super) fn reload(&self) -> io::Result<()> {
        let now = self.now();
        let unconfirmed = read_unconfirmed(&now)?;
        let mut figures = read_figures(&now)?;
        figures.unconfirmed = unconfirmed.len();
        *self.unconfirmed() = unconfirmed;
        *self.visitors() = visitors::read(&now)?;
        *self.figures.write().unwrap_or_else(PoisonError::into_inner) = figures;
        self.announce();
        Ok(())
    }

    /// The messages whose 250 is not known to have been read. Whoever applies entries holds it for
    /// the length of a batch; nobody else may wait for it.
    pub(super) fn unconfirmed(&self) -> MutexGuard<'_, Unconfirmed> {
        self.unconfirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has come to a sentry. Held like [`Self::unconfirmed`].
    pub(super) fn visitors(&self) -> MutexGuard<'_, Visitors> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The database to read from, and to hold while reading.
    pub(super) fn now(&self) -> Arc<Database> {
        self.store.now()
    }

    pub(crate) fn figures(&self) -> RwLockReadGuard<'_, Figures> {
        self.figures.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts new figures in place after a batch was written.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.figures.write().unwrap_or_else(PoisonError::into_inner));
        self.announce();
    }

    fn announce(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// A number that grows with every batch that changed something.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn applied(&self) -> io::Result<Option<LogId>> {
        rows::applied(&self.now())
    }

    pub(crate) fn membership(&self) -> io::Result<StoredMembership> {
        rows::membership(&self.now())
    }

    pub(crate) fn known(&self, id: MessageId) -> io::Result<Option<Known>> {
        let now = self.now();
        let octets = now.get(Column::Spool, now.keys().known(id))?;
        octets.map(|octets| rows::decode_known(&octets)).transpose()
    }

    pub(crate) fn message(&self, sequence: u64) -> io::Result<Option<Message>> {
        rows::message(&self.now(), sequence)
    }

    pub(super) fn staged(&self, id: MessageId) -> io::Result<Option<Staged>> {
        let now = self.now();
        let octets = now.get(Column::Spool, now.keys().staged(id))?;
        octets
            .map(|octets| rows::decode_staged(&octets))
            .transpose()
    }

    /// Messages behind a place in the order of arrival.
    pub(crate) fn messages(&self, after: u64, limit: usize) -> io::Result<Vec<Message>> {
        let now = self.now();
        let from = now.keys().message(after.saturating_add(1));
        let rows = rows::scan(&now, &from, &now.keys().table(Table::Message));
        rows.take(limit)
            .map(|row| rows::decode_message(row?.1.into_vec()))
            .collect()
    }

    /// Messages in front of a place in the order of arrival, the last first.
    pub(crate) fn messages_before(&self, before: u64, limit: usize) -> io::Result<Vec<Message>> {
        let now = self.now();
        let (first, end) = (now.keys().table(Table::Message), now.keys().message(before));
        let rows = now.range_back(Column::Spool, &first, end);
        rows.take(limit)
            .map(|row| rows::decode_message(row?.1.into_vec()))
            .collect()
    }

    pub(crate) fn place(&self, domain: &str, sequence: u64) -> io::Result<Option<Place>> {
        rows::place(&self.now(), domain, sequence)
    }

    /// A message with its place in a domain's queue, if it is to be delivered there.
    pub(crate) fn queued(
        &self,
        domain: &str,
        sequence: u64,
    ) -> io::Result<Option<(Message, Place)>> {
        rows::queued(&self.now(), domain, sequence)
    }

    /// Messages of a domain that wait, behind a place in the order of arrival.
    pub(crate) fn waiting(
        &self,
        domain: &str,
        after: u64,
        limit: usize,
    ) -> io::Result<Vec<(Message, Place)>> {
        let now = self.now();
        let from = now.keys().queue(domain, after.saturating_add(1));
        let mut messages = Vec::new();
        for row in rows::scan(&now, &from, &now.keys().of_domain(Table::Queue, domain)) {
            let (key, octets) = row?;
            if messages.len() >= limit {
                break;
            }
            let place = rows::decode_place(&octets)?;
            if place.due == Timestamp(0)
                && let Some(sequence) = keys::last_u64(&key)
                && let Some(message) = rows::message(&now, sequence)?
            {
                messages.push((message, place));
            }
        }
        Ok(messages)
    }

    /// Deferred messages of a domain behind a cursor and not due later than `until`.
    pub(crate) fn deferred(
        &self,
        domain: &str,
        after: Option<DeferredCursor>,
        until: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<(DeferredCursor, Message, Place)>> {
        let now = self.now();
        let prefix = now.keys().of_domain(Table::Deferred, domain);
        let from = after.map_or_else(
            || prefix.clone(),
            |DeferredCursor(at, sequence)| {
                now.keys().deferred(domain, at, sequence.saturating_add(1))
            },
        );
        let mut messages = Vec::new();
        for row in rows::scan(&now, &from, &prefix) {
            let (key, _) = row?;
            let moment = key.get(prefix.len()..).and_then(|rest| rest.first_chunk());
            let (Some(moment), Some(sequence)) = (moment, keys::last_u64(&key)) else {
                continue;
            };
            let due = Timestamp(u64::from_be_bytes(*moment));
            if due > until || messages.len() >= limit {
                break;
            }
            if let Some((message, place)) = rows::queued(&now, domain, sequence)? {
                messages.push((DeferredCursor(due, sequence), message, place));
            }
        }
        Ok(messages)
    }

    /// The first message of a domain that is still to be delivered.
    pub(crate) fn oldest(&self, domain: &str) -> io::Result<Option<Message>> {
        let now = self.now();
        let prefix = now.keys().of_domain(Table::Queue, domain);
        let first = rows::scan(&now, &prefix, &prefix).next().transpose()?;
        match first.and_then(|(key, _)| keys::last_u64(&key)) {
            Some(sequence) => rows::message(&now, sequence),
            None => Ok(None),
        }
    }

    pub(super) fn stages_before(&self, at: Timestamp, limit: usize) -> io::Result<Vec<MessageId>> {
        let now = self.now();
        let prefix = now.keys().table(Table::Staged);
        let mut ids = Vec::new();
        for row in rows::scan(&now, &prefix, &prefix) {
            let (key, octets) = row?;
            if rows::decode_staged(&octets)?.touched_at < at
                && let Some(id) = keys::last_id(&key)
            {
                ids.push(id);
            }
            if ids.len() >= limit {
                break;
            }
        }
        Ok(ids)
    }

    /// What is known of a recipient.
    pub(crate) fn recipient(&self, domain: &str, address: &str) -> io::Result<Option<Learned>> {
        let now = self.now();
        let octets = now.get(Column::Spool, now.keys().recipient(domain, address))?;
        octets
            .map(|octets| rows::decode_learned(&octets))
            .transpose()
    }

    /// The recipients of a domain, in order of their addresses, those behind one.
    pub(crate) fn recipients(
        &self,
        domain: &str,
        after: &str,
        limit: usize,
    ) -> io::Result<Vec<(String, Learned)>> {
        let now = self.now();
        let prefix = now.keys().of_domain(Table::Recipient, domain);
        let mut from = now.keys().recipient(domain, after);
        from.push(0);
        let rows = rows::scan(&now, &from, &prefix).take(limit);
        rows.map(|row| {
            let (key, octets) = row?;
            Ok((
                text_behind(&key, prefix.len()),
                rows::decode_learned(&octets)?,
            ))
        })
        .collect()
    }

    pub(super) fn recipients_outside(
        &self,
        domain: &str,
        is_valid: bool,
        span: &RangeInclusive<Timestamp>,
        limit: usize,
    ) -> io::Result<Vec<String>> {
        let now = self.now();
        let prefix = now.keys().of_kind(domain, is_valid);
        let first = now.keys().learned(domain, is_valid, *span.start(), "");
        let before = now.range(Column::Spool, &prefix, first);
        let mut last = now.keys().learned(domain, is_valid, *span.end(), "");
        // Behind every address: none has such an octet.
        last.push(u8::MAX);
        let after = rows::scan(&now, &last, &prefix);
        let rows = before.chain(after).take(limit);
        rows.map(|row| Ok(text_behind(&row?.0, prefix.len() + size_of::<u64>())))
            .collect()
    }

    /// Every row of the tables, without what their keys have in common.
    #[cfg(test)]
    pub(super) fn dump(&self) -> Vec<super::open::Row> {
        let now = self.now();
        let prefix = now.keys().incarnation();
        let rows = rows::scan(&now, &prefix, &prefix);
        rows.map(|row| {
            row.map(|(key, value)| (key[prefix.len()..].into(), value))
                .unwrap()
        })
        .collect()
    }

    /// What is remembered of a visitor to a sentry.
    pub(crate) fn patience(&self, visitor: Visitor) -> io::Result<Option<Patience>> {
        visitors::patience(&self.now(), visitor)
    }

    /// The id of a log entry, as long as the log has it.
    pub(crate) fn log_id(&self, index: u64) -> io::Result<Option<LogId>> {
        entries::log_id(&self.now(), index)
    }

    /// The octets that a log entry carried.
    pub(crate) fn piece(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        self.now().piece(index)
    }

    /// The same, and where they are few those of some entries behind it, which are applied.
    pub(crate) fn stretch(&self, index: u64, behind: u64) -> io::Result<Stretch> {
        let now = self.now();
        let piece = now.piece(index)?.map(Bytes::from);
        if piece.as_ref().is_none_or(|it| it.len() > AHEAD_PIECE_MAX) {
            return Ok((piece, Vec::new()));
        }
        // What is not applied may still be replaced. And only an error of the piece itself is one of the message.
        let applied = rows::applied(&now).ok().flatten();
        let applied = applied.map_or(0, |applied| applied.index);
        let first = index.saturating_add(1);
        let end = first.saturating_add(behind).min(applied.saturating_add(1));
        Ok((piece, now.small_pieces(first..end)))
    }
}

/// The text that ends a key.
fn text_behind(key: &[u8], prefix: usize) -> String {
    String::from_utf8_lossy(key.get(prefix..).unwrap_or_default()).into_owned()
}

fn read_figures(database: &Database) -> io::Result<Figures> {
    let mut figures = Figures::default();
    if let Some(octets) = database.get(Column::Spool, database.keys().table(Table::Founded))? {
        let founded: api::spool::v1::Founded = codec::decode(octets.as_slice(), "founding")?;
        figures.cluster = Some(codec::id_from(founded.cluster)?.0);
        let policy = codec::in_force_from(founded).map_err(not_understood)?;
        figures.policy = Some(Arc::new(policy));
    }
    let prefix = database.keys().table(Table::Destination);
    for row in rows::scan(database, &prefix, &prefix) {
        let (key, octets) = row?;
        let domain = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default());
        let destination = codec::decode(&*octets, "domain's figures")?;
        figures
            .destinations
            .insert(domain.into_owned(), codec::destination_from(destination)?);
    }
    figures.history = rows::read_totals(database)?;
    figures.owed = rows::count(database, Table::Owed)?;
    let prefix = database.keys().table(Table::Retired);
    for row in rows::scan(database, &prefix, &prefix) {
        figures.retired.extend(keys::last_u64(&row?.0));
    }
    Ok(figures)
}

fn read_unconfirmed(database: &Database) -> io::Result<Unconfirmed> {
    let mut unconfirmed = Unconfirmed::default();
    let prefix = database.keys().table(Table::Unconfirmed);
    for row in rows::scan(database, &prefix, &prefix) {
        let (key, octets) = row?;
        let stored = codec::decode(&*octets, "unconfirmed message")?;
        if let Some(id) = keys::last_id(&key) {
            unconfirmed.change(id, Some(codec::unconfirmed_from(&stored)?));
        }
    }
    Ok(unconfirmed)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn not_understood(errors: PolicyErrors) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the stored policy is not understood by this version: {errors}"),
    )
}
