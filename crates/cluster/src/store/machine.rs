//! The replicated state machine, as openraft uses it: committed entries go in, the spool's tables
//! change.

use std::{io, sync::Arc};

use futures::{FutureExt as _, Stream, StreamExt as _};
use openraft::{
    OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};

use super::{
    blocking::in_place,
    cache,
    log::LogStore,
    outgoing::Checkpoints,
    pending::Pending,
    snapshot::{self, SnapshotData},
    tables::Tables,
};
use crate::{
    limits::{APPLY_BYTES_MAX, APPLY_ENTRIES_MAX, SNAPSHOT_LOG_HOLD},
    raft::{Applied, Entry, LogId, Payload, Proposal, SnapshotMeta, StoredMembership, Types},
};

/// The state machine of this node.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    tables: Arc<Tables>,
    log: LogStore,
    checkpoints: Arc<Checkpoints>,
    /// Octets that the log may hold at most.
    log_bytes_max: u64,
}

type Snapshot = openraft::alias::SnapshotOf<Types, SnapshotData>;

impl Machine {
    pub(crate) const fn new(
        tables: Arc<Tables>,
        log: LogStore,
        checkpoints: Arc<Checkpoints>,
        log_bytes_max: u64,
    ) -> Self {
        Self {
            tables,
            log,
            checkpoints,
            log_bytes_max,
        }
    }
}

/// Applies entries in order and writes what they change, with their log ids, in as few batches as
/// they allow.
pub(super) fn apply_entries(tables: &Tables, entries: Vec<Entry>) -> io::Result<Vec<Applied>> {
    let mut applied = Vec::with_capacity(entries.len());
    let mut pending = Pending::new(tables);
    let mut last: Option<LogId> = None;
    for entry in entries {
        let index = entry.log_id.index;
        let outcome = match entry.payload {
            Payload::Blank => None,
            Payload::Membership(config) => {
                pending.add_membership(StoredMembership::new(Some(entry.log_id), config))?;
                None
            }
            Payload::Normal(Proposal(command)) => {
                if (command.looks_through_tables() || command.changes_many())
                    && !pending.is_empty()
                    && let Some(last) = last
                {
                    pending.commit(last)?;
                    pending = Pending::new(tables);
                }
                let (outcome, changes) = spool::apply(&pending, index, command)?;
                pending.add(changes)?;
                Some(outcome)
            }
        };
        applied.push(Applied(outcome));
        last = Some(entry.log_id);
    }
    if let Some(last) = last {
        pending.commit(last)?;
    }
    Ok(applied)
}

/// The entries that are there already, from the first on, as many as go into one batch.
fn gather<S>(
    first: EntryResponder<Types>,
    entries: &mut S,
) -> io::Result<Vec<EntryResponder<Types>>>
where
    S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin,
{
    let mut octets = cache::cost(&first.0);
    let mut gathered = vec![first];
    while octets < APPLY_BYTES_MAX
        && gathered.len() < APPLY_ENTRIES_MAX
        && let Some(Some(next)) = entries.next().now_or_never()
    {
        let next = next?;
        octets += cache::cost(&next.0);
        gathered.push(next);
    }
    Ok(gathered)
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.tables.applied()?, self.tables.membership()?))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(first) = entries.next().await {
            let run = gather(first?, &mut entries)?;
            let (entries, responders): (Vec<_>, Vec<_>) = run.into_iter().unzip();
            let applied = in_place(|| apply_entries(&self.tables, entries))?;
            for (responder, applied) in responders.into_iter().zip(applied) {
                if let Some(responder) = responder {
                    responder.send(applied);
                }
            }
        }
        Ok(())
    }

    /// While a snapshot is on its way to a follower, the log that follows it stays as long as there
    /// is room: openraft purges only what a newer snapshot covers.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Self> {
        let has_room = self.log.size().bytes() < self.log_bytes_max;
        let hold = !force && has_room && self.checkpoints.is_sending(SNAPSHOT_LOG_HOLD);
        (!hold).then(|| self.clone())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        snapshot::install(&self.tables, &self.log, snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshot = snapshot::to_send(self.checkpoints.kept_or_new(self.log.purged())?);
        Ok(snapshot.meta.last_log_id.is_some().then_some(snapshot))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = SnapshotData;

    /// The tables on the disk are the snapshot, so that building one costs nothing; a copy of them
    /// is made when it is sent to a follower.
    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        Ok(snapshot::to_send(self.checkpoints.new_copy()?))
    }
}
