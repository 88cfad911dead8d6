//! What every node does for its own disk: the log is cut when it gets too large, old copies of the
//! database go, and what others have acknowledged is written down.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    leadership,
    limits::{INCOMING_KEEP, LOG_BYTES_WHEN_FULL, SNAPSHOT_KEEP, UPKEEP_INTERVAL},
    raft::{self, Raft},
    space::Space,
    store::{Checkpoints, LogSize, Store},
    witness::Witness,
};

/// Keeps the data directory small.
pub(crate) struct Upkeep {
    pub(crate) raft: Raft,
    pub(crate) store: Arc<Store>,
    pub(crate) log_size: LogSize,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) space: Arc<Space>,
    pub(crate) witness: Arc<Witness>,
    /// Octets that the log may hold at most.
    pub(crate) log_bytes_max: u64,
}

impl Upkeep {
    /// Looks every now and then until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(UPKEEP_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.remove_old_copies().await;
            self.shorten_log().await;
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
        if let Err(error) = saved.map_err(std::io::Error::other).flatten() {
            tracing::warn!(%error, "what other members have acknowledged was not written down");
        }
    }

    async fn remove_old_copies(&self) {
        let (store, checkpoints) = (Arc::clone(&self.store), Arc::clone(&self.checkpoints));
        let remove = move || {
            checkpoints.forget(SNAPSHOT_KEEP);
            store.forget_incoming(INCOMING_KEEP)
        };
        let removed = tokio::task::spawn_blocking(remove).await;
        if let Err(error) = removed.map_err(std::io::Error::other).flatten() {
            tracing::warn!(%error, "an old part of a snapshot was not removed");
        }
    }

    /// Asks for what is too much of the log to go, as far as it is applied. Consensus lets entries
    /// go that a snapshot covers, and having one costs nothing; so it is asked for first, and what it
    /// covers goes at the next look.
    async fn shorten_log(&self) {
        let bytes_max = if self.space.own().is_short {
            self.log_bytes_max.min(LOG_BYTES_WHEN_FULL)
        } else {
            self.log_bytes_max
        };
        let Some(upto) = self.log_size.excess(bytes_max) else {
            return;
        };
        let index = |log_id: Option<raft::LogId>| log_id.map_or(0, |log_id| log_id.index);
        let metrics = raft::metrics(&self.raft);
        let covered = index(metrics.snapshot);
        let trigger = self.raft.trigger();
        let asked = async {
            if covered < upto && covered < index(metrics.last_applied) {
                trigger.snapshot().await?;
            }
            if covered > index(metrics.purged) {
                trigger.purge_log(upto.min(covered)).await?;
            }
            Ok::<_, openraft::errors::Fatal<raft::Types>>(())
        };
        if let Err(error) = asked.await {
            tracing::debug!(%error, "the log is not shortened: consensus has stopped");
        }
    }
}
