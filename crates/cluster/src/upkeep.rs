//! What every node does for its own disk: the log is cut when it gets too large or the disk too full,
//! old copies of the database go, and what others have acknowledged is written down.

use std::{io, sync::Arc, time::Instant};

use openraft::Instant as _;
use tokio_util::sync::CancellationToken;

use crate::{
    failure::Failure,
    leadership,
    limits::{
        GIVE_BACK_INTERVAL, INCOMING_KEEP, LOG_BYTES_WHEN_FULL, MEMBER_SILENCE_MAX, SNAPSHOT_KEEP,
        UPKEEP_INTERVAL,
    },
    raft::{self, LogId, Raft, RaftMetrics},
    signals::Signals,
    space::Space,
    store::{Checkpoints, LogSize, Store, Tidying},
    witness::Witness,
};

/// Keeps the data directory small.
pub(crate) struct Upkeep {
    pub(crate) raft: Raft,
    pub(crate) store: Arc<Store>,
    pub(crate) log_size: LogSize,
    pub(crate) tidying: Tidying,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) space: Arc<Space>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) signals: Arc<Signals>,
    /// Octets that the log may hold at most.
    pub(crate) log_bytes_max: u64,
}

impl Upkeep {
    /// Looks every now and then until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut given_back = None;
        let mut tick = tokio::time::interval(UPKEEP_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if let Some(damage) = self.checkpoints.damage() {
                self.signals.fail(Failure::Damaged(damage.to_owned()));
            }
            self.remove_old_copies().await;
            self.shorten_log().await;
            self.give_room_back(&mut given_back).await;
            self.tidying.ask().await;
            self.save_witness().await;
        }
        self.save_witness().await;
    }

    async fn save_witness(&self) {
        let metrics = raft::metrics(&self.raft);
        self.witness.note(leadership::acknowledged(&metrics));
        let witness = Arc::clone(&self.witness);
        let membership = Arc::clone(&metrics.membership_config);
        let save = move || witness.save(|id| membership.get_node(&id).is_some());
        let saved = tokio::task::spawn_blocking(save).await;
        let Err(error) = saved.map_err(io::Error::other).flatten() else {
            return;
        };
        tracing::warn!(%error, "what other members have acknowledged was not written down");
        // A node that gets all it lacks as a snapshot writes no log, and would find out by nothing else.
        let is_full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        if !is_full {
            self.signals.fail(Failure::Disk(error.to_string()));
        }
    }

    async fn remove_old_copies(&self) {
        let (store, checkpoints) = (Arc::clone(&self.store), Arc::clone(&self.checkpoints));
        let remove = move || {
            checkpoints.forget(SNAPSHOT_KEEP);
            store.forget_incoming(INCOMING_KEEP)
        };
        let removed = tokio::task::spawn_blocking(remove).await;
        if let Err(error) = removed.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "an old part of a snapshot was not removed");
        }
    }

    /// Asks for what is too much of the log to go, as far as it is applied. Consensus lets entries
    /// go that a snapshot covers, and having one costs nothing; so it is asked for first, and what it
    /// covers goes at the next look.
    async fn shorten_log(&self) {
        let metrics = raft::metrics(&self.raft);
        let room = self.space.own();
        let upto = if room.is_short {
            // What was delivered leaves the disk with the log, and no mail comes that would push
            // it out.
            let bytes_max = self.log_bytes_max.min(LOG_BYTES_WHEN_FULL);
            Some(unneeded(&metrics)).max(self.log_size.excess(bytes_max))
        } else if room.lacking_bytes > 0 {
            // What was given up of delivered mail leaves the disk with a purge, however little that takes.
            let next = index(metrics.purged).saturating_add(1);
            Some(next).max(self.log_size.excess(self.log_bytes_max))
        } else {
            self.log_size.excess(self.log_bytes_max)
        };
        let Some(upto) = upto else {
            return;
        };
        let purged = index(metrics.purged);
        let covered = index(metrics.snapshot);
        let trigger = self.raft.trigger();
        let asked = async {
            if covered < upto && covered < index(metrics.last_applied) {
                trigger.snapshot().await?;
            }
            if upto.min(covered) > purged {
                trigger.purge_log(upto.min(covered)).await?;
            }
            Ok::<_, openraft::errors::Fatal<raft::Types>>(())
        };
        if let Err(error) = asked.await {
            tracing::debug!(%error, "the log is not shortened: consensus has stopped");
        }
    }

    /// Gives the room of what has left the log back to a disk that is too full, or nearly.
    async fn give_room_back(&self, last: &mut Option<GivenBack>) {
        let rests = |last: &GivenBack| last.at.elapsed() < GIVE_BACK_INTERVAL;
        if self.space.own().lacking_bytes == 0 || last.as_ref().is_some_and(rests) {
            return;
        }
        let store = Arc::clone(&self.store);
        let before = last.as_ref().map(|last| last.upto);
        let give = move || store.give_room_back(before);
        let given = tokio::task::spawn_blocking(give).await;
        match given.map_err(io::Error::other).flatten() {
            Ok(None) => {}
            Ok(Some(upto)) => {
                tracing::info!(upto, "the room of what has left the log is given back");
                let at = Instant::now();
                *last = Some(GivenBack { at, upto });
            }
            Err(error) => {
                tracing::warn!(%error, "the room of what has left the log is not given back");
                let (at, upto) = (Instant::now(), before.unwrap_or(0));
                *last = Some(GivenBack { at, upto });
            }
        }
    }
}

/// When room was last given back, and up to where the log had been purged then.
struct GivenBack {
    at: Instant,
    upto: u64,
}

fn index(log_id: Option<LogId>) -> u64 {
    log_id.map_or(0, |log_id| log_id.index)
}

/// The index up to which no entry is needed by a member that is there: it is applied here and, where
/// this node leads, on all their disks. A member that lacks what has left already needs a snapshot
/// in any case.
fn unneeded(metrics: &RaftMetrics) -> u64 {
    let replication = metrics.replication.iter().flatten();
    let heartbeat = metrics.heartbeat.as_ref();
    let is_there = |id: &u64| {
        let acked = heartbeat.and_then(|acked| acked.get(id).copied().flatten());
        acked.is_some_and(|acked| acked.elapsed() < MEMBER_SILENCE_MAX)
    };
    let purged = index(metrics.purged);
    replication
        .filter(|(id, _)| **id != metrics.id && is_there(id))
        .map(|(_, matched)| index(*matched))
        .filter(|matched| *matched >= purged)
        .fold(index(metrics.last_applied), u64::min)
}

#[cfg(test)]
mod tests {
    use openraft::type_config::TypeConfigExt as _;

    use super::*;

    fn log_id(index: u64) -> Option<LogId> {
        Some(LogId::new(1.into(), index))
    }

    /// The node 1, which leads, with what each other member has, and whether that one answers.
    fn leader(applied: u64, purged: u64, others: &[(u64, u64, bool)]) -> RaftMetrics {
        let mut metrics = RaftMetrics::new_initial(1);
        metrics.last_applied = log_id(applied);
        metrics.purged = log_id(purged);
        let heard = |answers: bool| answers.then(|| raft::Types::now().into());
        let heartbeat = others.iter().map(|(id, _, answers)| (*id, heard(*answers)));
        metrics.heartbeat = Some(heartbeat.collect());
        let own = (1, None);
        let matched = others.iter().map(|(id, has, _)| (*id, log_id(*has)));
        metrics.replication = Some(matched.chain([own]).collect());
        metrics
    }

    #[test]
    fn what_a_member_that_answers_lacks_is_needed() {
        for (others, expected) in [
            (&[][..], 100),
            (&[(2, 100, true), (3, 100, true)], 100),
            (&[(2, 100, true), (3, 70, true)], 70),
            // It leads, and is ahead of what it has applied itself.
            (&[(2, 120, true), (3, 110, true)], 100),
            // Who has been silent is sent a snapshot.
            (&[(2, 100, true), (3, 70, false)], 100),
            // Who lacks what has left already is so in any case.
            (&[(2, 90, true), (3, 10, true)], 90),
            (&[(2, 50, true)], 50),
        ] {
            assert_eq!(unneeded(&leader(100, 50, others)), expected, "{others:?}");
        }
    }

    #[test]
    fn a_follower_needs_nothing_that_it_has_applied() {
        let mut metrics = leader(100, 50, &[]);
        (metrics.heartbeat, metrics.replication) = (None, None);
        assert_eq!(unneeded(&metrics), 100);
    }
}
