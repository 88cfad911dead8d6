//! The spool's tables as everyone reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use spool::{
    Destination, Message, MessageId, Place, Policy, Standing, Timestamp, Unconfirmed,
    ports::DeferredCursor,
    view::{Known, Staged},
};
use tokio::sync::watch;

use super::{
    keys::{self, SpoolKeys, Table},
    open::{Column, Row, Store},
};
use crate::{
    codec,
    raft::{LogId, StoredMembership},
};

/// Name of the value that says which incarnation of the tables is the present one.
pub(super) const INCARNATION: &str = "incarnation";

/// The few things that everyone asks for all the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// The cluster's name.
    pub(crate) cluster: Option<u128>,
    /// The policy in force.
    pub(crate) policy: Option<Arc<Policy>>,
    /// Every domain's figures.
    pub(crate) destinations: BTreeMap<String, Destination>,
    /// How many messages' 250s are not known to have been read.
    pub(crate) unconfirmed: usize,
    /// Nodes that were members once and are not any more.
    pub(crate) retired: BTreeSet<u64>,
}

/// The spool as it was after the last applied batch.
#[derive(Debug)]
pub(crate) struct Tables {
    store: Arc<Store>,
    incarnation: AtomicU32,
    figures: RwLock<Figures>,
    /// All rows of the table of this name, which `apply` looks through for every message.
    unconfirmed: Mutex<Unconfirmed>,
    changes: watch::Sender<u64>,
}

impl Tables {
    /// Opens the present incarnation and removes what is left of any other.
    pub(crate) fn open(store: Arc<Store>) -> io::Result<Self> {
        let tables = Self {
            store,
            incarnation: AtomicU32::new(0),
            figures: RwLock::default(),
            unconfirmed: Mutex::default(),
            changes: watch::Sender::new(1),
        };
        tables.reload()?;
        Ok(tables)
    }

    /// Reads everything anew: at the start, and after a snapshot took the tables' place.
    pub(super) fn reload(&self) -> io::Result<()> {
        let incarnation = self.store.get(Column::Raft, keys::raft(INCARNATION))?;
        let incarnation = incarnation
            .and_then(|octets| octets.try_into().ok())
            .map_or(0, u32::from_be_bytes);
        let mut batch = self.store.batch();
        let present = SpoolKeys(incarnation).incarnation();
        batch.delete_range(Column::Spool, SpoolKeys(0).incarnation(), &present);
        batch.delete_range(
            Column::Spool,
            keys::end_of(present),
            SpoolKeys(u32::MAX).incarnation(),
        );
        batch.write()?;
        self.incarnation.store(incarnation, Ordering::Release);
        let unconfirmed = self.read_unconfirmed()?;
        let mut figures = self.read_figures()?;
        figures.unconfirmed = unconfirmed.len();
        *self.unconfirmed() = unconfirmed;
        *self.figures.write().unwrap_or_else(PoisonError::into_inner) = figures;
        self.announce();
        Ok(())
    }

    fn read_figures(&self) -> io::Result<Figures> {
        let mut figures = Figures::default();
        if let Some(octets) = self.get(self.keys().table(Table::Founded))? {
            let founded: api::spool::v1::Founded = codec::decode(octets.as_slice(), "founding")?;
            figures.cluster = Some(codec::id_from(founded.cluster)?.0);
            figures.policy = Some(parse_policy(&founded.policy)?);
        }
        let prefix = self.keys().table(Table::Destination);
        for row in self.scan(&prefix, &prefix) {
            let (key, octets) = row?;
            let domain = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default());
            let destination = codec::decode(&*octets, "domain's figures")?;
            figures
                .destinations
                .insert(domain.into_owned(), codec::destination_from(destination));
        }
        let prefix = self.keys().table(Table::Retired);
        for row in self.scan(&prefix, &prefix) {
            figures.retired.extend(keys::last_u64(&row?.0));
        }
        Ok(figures)
    }

    fn read_unconfirmed(&self) -> io::Result<Unconfirmed> {
        let mut unconfirmed = Unconfirmed::default();
        let prefix = self.keys().table(Table::Unconfirmed);
        for row in self.scan(&prefix, &prefix) {
            let (key, octets) = row?;
            let stored = codec::decode(&*octets, "unconfirmed message")?;
            if let Some(id) = keys::last_id(&key) {
                unconfirmed.change(id, Some(codec::unconfirmed_from(&stored)?));
            }
        }
        Ok(unconfirmed)
    }

    /// The messages whose 250 is not known to have been read. Whoever applies entries holds it for
    /// the length of a batch; nobody else may wait for it.
    pub(super) fn unconfirmed(&self) -> MutexGuard<'_, Unconfirmed> {
        self.unconfirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(super) fn keys(&self) -> SpoolKeys {
        SpoolKeys(self.incarnation.load(Ordering::Acquire))
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

    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> io::Result<Option<Vec<u8>>> {
        self.store.get(Column::Spool, key)
    }

    /// Rows from `from` on whose keys begin with `prefix`.
    fn scan(&self, from: &[u8], prefix: &[u8]) -> impl Iterator<Item = io::Result<Row>> + use<'_> {
        self.store
            .range(Column::Spool, from, keys::end_of(prefix.to_vec()))
    }

    pub(crate) fn applied(&self) -> io::Result<Option<LogId>> {
        let octets = self.get(self.keys().table(Table::Applied))?;
        let log_id = octets
            .map(|octets| codec::decode(octets.as_slice(), "log id"))
            .transpose()?;
        Ok(log_id.map(codec::log_id_from))
    }

    pub(crate) fn membership(&self) -> io::Result<StoredMembership> {
        match self.get(self.keys().table(Table::Membership))? {
            None => Ok(StoredMembership::default()),
            Some(octets) => {
                let stored = codec::decode(octets.as_slice(), "membership")?;
                Ok(codec::stored_membership_from(stored)?)
            }
        }
    }

    pub(crate) fn known(&self, id: MessageId) -> io::Result<Option<Known>> {
        let octets = self.get(self.keys().known(id))?;
        octets.map(|octets| decode_known(&octets)).transpose()
    }

    pub(crate) fn message(&self, sequence: u64) -> io::Result<Option<Message>> {
        let octets = self.get(self.keys().message(sequence))?;
        octets.map(decode_message).transpose()
    }

    pub(super) fn staged(&self, id: MessageId) -> io::Result<Option<Staged>> {
        let octets = self.get(self.keys().staged(id))?;
        octets.map(|octets| decode_staged(&octets)).transpose()
    }

    /// Messages behind a place in the order of arrival.
    pub(crate) fn messages(&self, after: u64, limit: usize) -> io::Result<Vec<Message>> {
        let from = self.keys().message(after.saturating_add(1));
        let rows = self
            .scan(&from, &self.keys().table(Table::Message))
            .take(limit);
        rows.map(|row| decode_message(row?.1.into_vec())).collect()
    }

    pub(crate) fn place(&self, domain: &str, sequence: u64) -> io::Result<Option<Place>> {
        let octets = self.get(self.keys().queue(domain, sequence))?;
        octets.map(|octets| decode_place(&octets)).transpose()
    }

    /// A message with its place in a domain's queue, if it is to be delivered there.
    pub(crate) fn queued(
        &self,
        domain: &str,
        sequence: u64,
    ) -> io::Result<Option<(Message, Place)>> {
        let place = self.place(domain, sequence)?;
        Ok(self.message(sequence)?.zip(place))
    }

    /// Messages of a domain that wait, behind a place in the order of arrival.
    pub(crate) fn waiting(
        &self,
        domain: &str,
        after: u64,
        limit: usize,
    ) -> io::Result<Vec<(Message, Place)>> {
        let from = self.keys().queue(domain, after.saturating_add(1));
        let mut messages = Vec::new();
        for row in self.scan(&from, &self.keys().of_domain(Table::Queue, domain)) {
            let (key, octets) = row?;
            if messages.len() >= limit {
                break;
            }
            let place = decode_place(&octets)?;
            if place.due == Timestamp(0)
                && let Some(sequence) = keys::last_u64(&key)
                && let Some(message) = self.message(sequence)?
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
        let prefix = self.keys().of_domain(Table::Deferred, domain);
        let from = after.map_or_else(
            || prefix.clone(),
            |DeferredCursor(at, sequence)| {
                self.keys().deferred(domain, at, sequence.saturating_add(1))
            },
        );
        let mut messages = Vec::new();
        for row in self.scan(&from, &prefix) {
            let (key, _) = row?;
            let moment = key.get(prefix.len()..).and_then(|rest| rest.first_chunk());
            let (Some(moment), Some(sequence)) = (moment, keys::last_u64(&key)) else {
                continue;
            };
            let due = Timestamp(u64::from_be_bytes(*moment));
            if due > until || messages.len() >= limit {
                break;
            }
            if let Some((message, place)) = self.queued(domain, sequence)? {
                messages.push((DeferredCursor(due, sequence), message, place));
            }
        }
        Ok(messages)
    }

    /// The first message of a domain that is still to be delivered.
    pub(crate) fn oldest(&self, domain: &str) -> io::Result<Option<Message>> {
        let prefix = self.keys().of_domain(Table::Queue, domain);
        let first = self.scan(&prefix, &prefix).next().transpose()?;
        match first.and_then(|(key, _)| keys::last_u64(&key)) {
            Some(sequence) => self.message(sequence),
            None => Ok(None),
        }
    }

    pub(super) fn stages_before(&self, at: Timestamp, limit: usize) -> io::Result<Vec<MessageId>> {
        let prefix = self.keys().table(Table::Staged);
        let mut ids = Vec::new();
        for row in self.scan(&prefix, &prefix) {
            let (key, octets) = row?;
            if decode_staged(&octets)?.touched_at < at
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

    pub(super) fn departed_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<(Timestamp, MessageId)>> {
        let prefix = self.keys().table(Table::Departed);
        let end = self.keys().departed(at, MessageId(0));
        let mut departed = Vec::new();
        for row in self.store.range(Column::Spool, &prefix, end).take(limit) {
            let (key, _) = row?;
            let moment = key.get(prefix.len()..).and_then(|rest| rest.first_chunk());
            if let (Some(moment), Some(id)) = (moment, keys::last_id(&key)) {
                departed.push((Timestamp(u64::from_be_bytes(*moment)), id));
            }
        }
        Ok(departed)
    }

    /// Every row of the present incarnation, without what is the incarnation's own.
    #[cfg(test)]
    pub(super) fn dump(&self) -> Vec<Row> {
        let prefix = self.keys().incarnation();
        let rows = self.scan(&prefix, &prefix);
        rows.map(|row| {
            row.map(|(key, value)| (key[prefix.len()..].into(), value))
                .unwrap()
        })
        .collect()
    }

    /// The octets that a log entry carried.
    pub(crate) fn piece(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        self.store.get(Column::Piece, keys::entry(index))
    }
}

/// A place in a queue as it is stored: the moment, behind the term of a claim.
pub(super) fn encode_place(place: Place) -> Vec<u8> {
    let claimed_by = place.claimed_by.map(u64::to_be_bytes);
    let mut octets = claimed_by.map_or_else(Vec::new, |term| term.to_vec());
    octets.extend_from_slice(&place.due.0.to_be_bytes());
    octets
}

pub(super) fn decode_place(octets: &[u8]) -> io::Result<Place> {
    let (term, due) = octets
        .split_last_chunk()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a place in a queue"))?;
    Ok(Place {
        due: Timestamp(u64::from_be_bytes(*due)),
        claimed_by: term.try_into().ok().map(u64::from_be_bytes),
    })
}

pub(super) fn parse_policy(text: &str) -> io::Result<Arc<Policy>> {
    let policy = Policy::parse(text).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the stored policy is not understood by this version: {error}"),
        )
    })?;
    Ok(Arc::new(policy))
}

pub(super) fn decode_message(octets: Vec<u8>) -> io::Result<Message> {
    let message = codec::decode(bytes::Bytes::from(octets), "message")?;
    Ok(codec::message_from(message)?)
}

pub(super) fn decode_known(octets: &[u8]) -> io::Result<Known> {
    Ok(codec::known_from(codec::decode(
        octets,
        "what is known of an id",
    )?)?)
}

pub(super) fn decode_staged(octets: &[u8]) -> io::Result<Staged> {
    Ok(codec::staged_from(codec::decode(octets, "stage")?))
}
