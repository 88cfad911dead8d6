//! A node's own place in the cluster: it joins, tells when its address has changed, and ends when
//! it does not belong here any more.

use std::{sync::Arc, time::Instant};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Change, Tried,
    strangers::{self, Complaint},
};
use crate::{
    claim,
    config::{Config, Founding},
    failure::Failure,
    leadership, limits,
    peer::{self, Peers},
    raft::{self, Raft, RaftMetrics},
    seldom::Seldom,
    signals::Signals,
    store::Tables,
};

/// What there is to look at.
pub(super) struct Belonging {
    pub(super) config: Arc<Config>,
    pub(super) raft: Raft,
    pub(super) tables: Arc<Tables>,
    pub(super) peers: Peers,
    /// When a leader was last heard from.
    pub(super) heard: watch::Receiver<Option<Instant>>,
    pub(super) signals: Arc<Signals>,
    /// What was last said.
    pub(super) said: Seldom,
}

impl Belonging {
    /// Looks until stopped, or until this node can not stay.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(limits::BELONGING_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if let Some(Some(why)) = stop.run_until_cancelled(self.look()).await {
                self.signals.fail(Failure::NotAMember(why));
                return;
            }
        }
    }

    /// Does what is to be done; returns why this node has to end, if it has to.
    async fn look(&mut self) -> Option<String> {
        let own = self.config.node_id;
        if self.tables.figures().retired.contains(&own) {
            let why = strangers::removal(&self.config, "its own log says so");
            return Some(self.removed(why));
        }
        let metrics = raft::metrics(&self.raft);
        if let Founding::Join(through) = &self.config.founding
            && is_blank(&metrics)
        {
            return self.join(through.clone()).await;
        }
        let listed = metrics.membership_config.get_node(&own);
        if listed.is_some_and(|member| member.address != self.config.advertise) {
            self.tell_address(&metrics).await;
        }
        let heard = self.heard.borrow().map(|heard| heard.elapsed());
        let silent = leadership::quorum_silence(heard, &metrics);
        if silent.is_some_and(|silent| silent < limits::BELONGING_SILENCE) {
            return None;
        }
        let known = strangers::known_members(&self.config, &metrics.membership_config);
        match strangers::ask_around(&self.config, &self.peers, known).await? {
            Complaint::Removed(why) => Some(self.removed(why)),
            Complaint::Foreign(why) => Some(why),
            Complaint::Disputed(why) => {
                self.warn(why);
                None
            }
        }
    }

    /// Notes in the data directory that this node was removed, so that it never starts again.
    fn removed(&self, why: String) -> String {
        if let Err(error) = claim::mark_removed(&self.config.data_dir, &why) {
            tracing::warn!(%error, "noting in the data directory that this node was removed failed");
        }
        why
    }

    async fn join(&mut self, through: String) -> Option<String> {
        let change = Change::Add {
            id: self.config.node_id,
            address: self.config.advertise.clone(),
            blank: true,
        };
        match peer::ask_change(&self.peers, &through, None, &change, false).await {
            Ok(Tried::Done(_)) => {
                self.tell(format!(
                    "joining through {through}: this node is a learner and gets what it lacks; if nothing comes, see \
                     that the others reach it at {} (advertise)",
                    self.config.advertise
                ));
                None
            }
            Ok(Tried::Refused(refused)) => {
                // The log may have come while the answer was on its way.
                if refused.for_good && is_blank(&raft::metrics(&self.raft)) {
                    let why = refused.why;
                    return Some(format!("this node can not join through {through}: {why}"));
                }
                let why = refused.why;
                self.tell(format!("joining through {through} has to wait: {why}"));
                None
            }
            Ok(Tried::Again) => {
                self.warn(format!(
                    "joining through {through} has to wait: no leader answered there; see that more than half of \
                     its cluster's nodes run"
                ));
                None
            }
            Err(why) => {
                self.warn(format!(
                    "joining through {through} has to wait: {why}; see that a member runs there, and that this node \
                     reaches it"
                ));
                None
            }
        }
    }

    /// Asks one member after the other to note this node's address, since the leader may not reach
    /// this node at the one it knows.
    async fn tell_address(&mut self, metrics: &RaftMetrics) {
        let change = Change::Move {
            id: self.config.node_id,
            address: self.config.advertise.clone(),
        };
        let mut known = strangers::known_members(&self.config, &metrics.membership_config);
        if metrics.current_leader == Some(metrics.id) {
            known.insert((metrics.id, self.config.advertise.clone()));
        }
        let mut last = "no other member is known".to_owned();
        for (id, address) in known {
            match peer::ask_change(&self.peers, &address, Some(id), &change, false).await {
                Ok(Tried::Done(_)) => {
                    let address = &self.config.advertise;
                    self.tell(format!(
                        "the cluster knows this node's address {address} now"
                    ));
                    return;
                }
                Ok(Tried::Refused(refused)) => last = refused.why,
                Ok(Tried::Again) => last = "no leader answered".to_owned(),
                Err(why) => last = why,
            }
        }
        self.warn(format!(
            "the cluster does not know that this node has moved to {}: {last}",
            self.config.advertise
        ));
    }

    fn tell(&mut self, what: String) {
        if self.said.is_due(&what, Instant::now()) {
            tracing::info!("{what}");
        }
    }

    fn warn(&mut self, what: String) {
        if self.said.is_due(&what, Instant::now()) {
            tracing::warn!("{what}");
        }
    }
}

/// Whether nothing was ever logged here, nor snapshotted.
pub(crate) fn is_blank(metrics: &RaftMetrics) -> bool {
    metrics.last_log_index.is_none() && metrics.last_applied.is_none()
}
