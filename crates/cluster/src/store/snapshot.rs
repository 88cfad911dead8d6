//! Everything a node lacks when the log it would need is gone: the spool's tables and the pieces
//! that they still refer to, as a stream of records.
//!
//! ```text
//!   freeze ─▶ Outgoing ── records ──▶ Receiving ─▶ Received ─▶ install
//!   (a view of the database)          (next incarnation,       (one number changes)
//!                                      beside the present)
//! ```
//!
//! Neither side ever holds more than a chunk of it in memory, and a transfer that breaks off leaves
//! the receiver as it was.

use std::{io, sync::Arc};

use api::peer::v1::{
    SnapshotChunk, SnapshotEnd, SnapshotRecord, SnapshotRecords, snapshot_chunk::Kind,
};
use bytes::Bytes;
use openraft::Snapshot;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::{
    keys::{self, SpoolKeys, Table},
    open::{Column, Frozen, Store},
    tables::{INCARNATION, Tables, decode_message, decode_staged},
};
use crate::{
    codec,
    limits::SNAPSHOT_CHUNK_BYTES,
    raft::{SnapshotMeta, StoredMembership},
};

/// Chunks that wait for the network.
const CHUNKS_AHEAD_MAX: usize = 2;

/// A snapshot on its way.
#[derive(Debug)]
pub(crate) enum SnapshotData {
    /// This node's own, to be sent.
    Outgoing(Outgoing),
    /// Another node's, whole, beside the present tables.
    Received(Received),
}

/// A view of the database that waits to be sent. Dropping it lets the view go.
#[derive(Debug)]
pub(crate) struct Outgoing {
    start: oneshot::Sender<mpsc::Sender<io::Result<SnapshotChunk>>>,
}

impl Outgoing {
    /// Starts sending: the chunks after the header, the last one a [`SnapshotEnd`].
    pub(crate) fn chunks(self) -> mpsc::Receiver<io::Result<SnapshotChunk>> {
        let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD_MAX);
        drop(self.start.send(chunks));
        receiver
    }
}

/// A whole snapshot in the next incarnation of the tables.
#[derive(Debug)]
pub(crate) struct Received {
    incarnation: u32,
}

impl SnapshotData {
    /// The snapshot beside the present tables, received from this node itself if need be.
    pub(super) async fn received(self, tables: Arc<Tables>) -> io::Result<Received> {
        let outgoing = match self {
            Self::Received(received) => return Ok(received),
            Self::Outgoing(outgoing) => outgoing,
        };
        let mut chunks = outgoing.chunks();
        let mut receiving = Receiving::begin(tables)?;
        while let Some(chunk) = chunks.recv().await {
            match chunk?.kind {
                Some(Kind::Records(records)) => receiving.add(records)?,
                Some(Kind::End(end)) => return receiving.finish(&end),
                Some(Kind::Header(_)) | None => break,
            }
        }
        Err(broken_off())
    }
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the snapshot broke off")
}

/// Takes a view of the database as it is now. A thread of its own holds the view until it is sent
/// or given up.
pub(super) async fn freeze(
    tables: Arc<Tables>,
) -> io::Result<openraft::alias::SnapshotOf<crate::raft::Types, SnapshotData>> {
    let (start, started) = oneshot::channel();
    let (frozen, meta) = oneshot::channel();
    std::thread::Builder::new()
        .name("snapshot".to_owned())
        .spawn(move || hold_and_send(&tables, frozen, started))?;
    let meta = meta.await.map_err(io::Error::other)??;
    Ok(Snapshot {
        meta,
        snapshot: SnapshotData::Outgoing(Outgoing { start }),
    })
}

fn hold_and_send(
    tables: &Tables,
    meta: oneshot::Sender<io::Result<SnapshotMeta>>,
    started: oneshot::Receiver<mpsc::Sender<io::Result<SnapshotChunk>>>,
) {
    let store = tables.store();
    let frozen = store.frozen();
    let spool_keys = tables.keys();
    if meta.send(read_meta(&frozen, spool_keys)).is_err() {
        return;
    }
    let Ok(chunks) = started.blocking_recv() else {
        return;
    };
    let mut sending = Sending {
        chunks,
        records: Vec::new(),
        bytes: 0,
        sent: Sum::default(),
    };
    if let Err(error) = send_all(&frozen, spool_keys, &mut sending) {
        drop(sending.chunks.blocking_send(Err(error)));
    }
}

fn read_meta(frozen: &Frozen<'_>, spool_keys: SpoolKeys) -> io::Result<SnapshotMeta> {
    let applied = frozen.get(Column::Spool, spool_keys.table(Table::Applied))?;
    let applied = applied
        .map(|octets| codec::decode(octets.as_slice(), "log id"))
        .transpose()?;
    let membership = match frozen.get(Column::Spool, spool_keys.table(Table::Membership))? {
        None => StoredMembership::default(),
        Some(octets) => {
            codec::stored_membership_from(codec::decode(octets.as_slice(), "membership")?)?
        }
    };
    Ok(SnapshotMeta {
        last_log_id: applied.map(codec::log_id_from),
        last_membership: membership,
    })
}

/// Gathers records into chunks and sends them.
struct Sending {
    chunks: mpsc::Sender<io::Result<SnapshotChunk>>,
    records: Vec<SnapshotRecord>,
    bytes: usize,
    sent: Sum,
}

impl Sending {
    fn add(&mut self, record: SnapshotRecord) -> io::Result<()> {
        self.sent.add(&record);
        self.bytes += record.key.len() + record.value.len();
        self.records.push(record);
        if self.bytes >= SNAPSHOT_CHUNK_BYTES {
            self.send()
        } else {
            Ok(())
        }
    }

    fn send(&mut self) -> io::Result<()> {
        self.bytes = 0;
        let records = std::mem::take(&mut self.records);
        self.send_chunk(Kind::Records(SnapshotRecords { records }))
    }

    fn send_chunk(&self, kind: Kind) -> io::Result<()> {
        let chunk = SnapshotChunk { kind: Some(kind) };
        self.chunks
            .blocking_send(Ok(chunk))
            .map_err(|_| broken_off())
    }
}

fn send_all(frozen: &Frozen<'_>, spool_keys: SpoolKeys, sending: &mut Sending) -> io::Result<()> {
    let prefix = spool_keys.incarnation();
    let messages = spool_keys.table(Table::Message);
    let stages = spool_keys.table(Table::Staged);
    for row in frozen.range(Column::Spool, &prefix, keys::end_of(prefix.clone())) {
        let (key, value) = row?;
        let value = value.into_vec();
        let pieces = if key.starts_with(&messages) {
            decode_message(value.clone())?.body.pieces
        } else if key.starts_with(&stages) {
            decode_staged(&value)?.pieces
        } else {
            Vec::new()
        };
        let key = Bytes::copy_from_slice(key.get(prefix.len()..).unwrap_or_default());
        sending.add(SnapshotRecord {
            piece: false,
            key,
            value: value.into(),
        })?;
        for index in pieces {
            let key = keys::entry(index);
            let piece = frozen.get(Column::Piece, key)?.ok_or_else(|| {
                io::Error::other(format!(
                    "the piece of a body of log entry {index} is missing"
                ))
            })?;
            let key = Bytes::copy_from_slice(&key);
            sending.add(SnapshotRecord {
                piece: true,
                key,
                value: piece.into(),
            })?;
        }
    }
    sending.send()?;
    sending.send_chunk(Kind::End(sending.sent.clone().end()))
}

/// Counts and hashes records, so that the receiver knows it has them all, unchanged.
#[derive(Clone, Default)]
struct Sum {
    records: u64,
    digest: Sha256,
}

impl Sum {
    fn add(&mut self, record: &SnapshotRecord) {
        self.records += 1;
        self.digest.update([u8::from(record.piece)]);
        for part in [&record.key, &record.value] {
            self.digest.update((part.len() as u64).to_be_bytes());
            self.digest.update(part);
        }
    }

    fn end(self) -> SnapshotEnd {
        let digest = Bytes::copy_from_slice(&self.digest.finalize());
        SnapshotEnd {
            records: self.records,
            digest,
        }
    }
}

/// Writes a snapshot beside the present tables as it arrives.
pub(crate) struct Receiving {
    store: Arc<Store>,
    keys: SpoolKeys,
    received: Sum,
}

impl Receiving {
    /// Begins the next incarnation. Only one may be under way at a time.
    pub(crate) fn begin(tables: Arc<Tables>) -> io::Result<Self> {
        let next = tables.keys().0.checked_add(1).ok_or_else(|| {
            io::Error::other("this node has installed all the snapshots it can count")
        })?;
        let store = Arc::clone(tables.store());
        let keys = SpoolKeys(next);
        // What an earlier transfer left that broke off.
        let mut batch = store.batch();
        let prefix = keys.incarnation();
        batch.delete_range(Column::Spool, &prefix, keys::end_of(prefix.clone()));
        batch.write()?;
        Ok(Self {
            store,
            keys,
            received: Sum::default(),
        })
    }

    /// Writes some records.
    pub(crate) fn add(&mut self, records: SnapshotRecords) -> io::Result<()> {
        let mut batch = self.store.batch();
        for record in records.records {
            self.received.add(&record);
            if record.piece {
                batch.put(Column::Piece, &record.key, &record.value);
            } else {
                let mut key = self.keys.incarnation();
                key.extend_from_slice(&record.key);
                batch.put(Column::Spool, key, &record.value);
            }
        }
        batch.write()
    }

    /// Checks that everything has arrived.
    pub(crate) fn finish(self, end: &SnapshotEnd) -> io::Result<Received> {
        if self.received.end() != *end {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot's records do not add up to what was sent",
            ));
        }
        Ok(Received {
            incarnation: self.keys.0,
        })
    }
}

/// Puts a received snapshot in the place of the present tables: from one state to the other in one
/// fsync'd write.
pub(super) fn install(tables: &Tables, meta: &SnapshotMeta, received: Received) -> io::Result<()> {
    let store = tables.store();
    let live = live_pieces(store, SpoolKeys(received.incarnation))?;
    let mut batch = store.batch();
    batch.put(
        Column::Raft,
        keys::raft(INCARNATION),
        received.incarnation.to_be_bytes(),
    );
    if let Some(last) = meta.last_log_id {
        let (from, to) = (keys::entry(0), keys::entry(last.index + 1));
        for row in store.range(Column::Piece, &from, to.to_vec()) {
            let (key, _) = row?;
            let index = keys::entry_index(&key).unwrap_or_default();
            if live.binary_search(&index).is_err() {
                batch.delete(Column::Piece, key);
            }
        }
        batch.delete_range(
            Column::Raft,
            keys::dropped(0),
            keys::dropped(last.index + 1),
        );
    }
    batch.write_synced()?;
    tables.reload()
}

/// The log indices of all pieces that the tables refer to, sorted.
fn live_pieces(store: &Store, spool_keys: SpoolKeys) -> io::Result<Vec<u64>> {
    let mut live = Vec::new();
    for table in [Table::Message, Table::Staged] {
        let prefix = spool_keys.table(table);
        for row in store.range(Column::Spool, &prefix, keys::end_of(prefix.clone())) {
            let value = row?.1.into_vec();
            live.extend(match table {
                Table::Message => decode_message(value)?.body.pieces,
                _ => decode_staged(&value)?.pieces,
            });
        }
    }
    live.sort_unstable();
    Ok(live)
}
