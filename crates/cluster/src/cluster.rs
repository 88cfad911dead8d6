//! A running node's share of the spool.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use openraft::Instant as _;
use spool::{Clock, Destination, MessageId, Policy, policy::InForce};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    ageing::Counted,
    config::Config,
    confirmations::Confirmations,
    failure::Failure,
    lessons::Lessons,
    mail_hosts::MailHosts,
    membership::Changer,
    peer::Peers,
    propose::Proposer,
    raft::{self, Raft},
    reach::Findings,
    signals::Signals,
    space::Space,
    store::{LogSize, LogWriter, Mending, ReadAhead, Store, Tables},
    visits::Visits,
};

/// A running node's share of the spool. Cheap to clone; every clone is the same node.
#[derive(Clone)]
pub struct Cluster(pub(crate) Arc<Running>);

/// What a running node holds.
pub(crate) struct Running {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) raft: Raft,
    pub(crate) store: Arc<Store>,
    pub(crate) tables: Arc<Tables>,
    /// Bodies that will be delivered next.
    pub(crate) ahead: ReadAhead,
    pub(crate) log_size: LogSize,
    /// Held while a body is mended.
    pub(crate) mending: tokio::sync::Mutex<Mending>,
    pub(crate) peers: Peers,
    /// How the other members are known to the Internet.
    pub(crate) mail_hosts: Arc<MailHosts>,
    pub(crate) proposer: Proposer,
    pub(crate) changer: Changer,
    pub(crate) signals: Arc<Signals>,
    pub(crate) space: Arc<Space>,
    /// Messages whose stages are to be discarded, when there is time.
    pub(crate) discards: mpsc::Sender<MessageId>,
    /// Messages whose 250 was read, to be told to the other nodes.
    pub(crate) confirmations: Arc<Confirmations>,
    /// Who was sent away by a sentry, to be told to the other nodes.
    pub(crate) visits: Arc<Visits>,
    /// What was found out about recipients, to be told to the other nodes.
    pub(crate) lessons: Arc<Lessons>,
    /// Which primaries this node reaches.
    pub(crate) findings: Arc<Findings>,
    /// Mail that expires soon.
    pub(crate) expiring: Counted,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: Mutex<JoinSet<()>>,
    pub(crate) log_writer: Mutex<Option<LogWriter>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("node_id", &self.0.config.node_id)
            .finish_non_exhaustive()
    }
}

/// Leadership goes to a voter that has answered within this.
const HAND_OVER_SILENCE_MAX: Duration = Duration::from_secs(1);
/// How long each of the other steps of a shutdown may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

impl Cluster {
    /// Whether this node can take mail, now and at every change. While it can not (no quorum for
    /// longer than an election takes, or its storage has failed) its SMTP port is to be closed.
    #[must_use]
    pub fn accepting(&self) -> watch::Receiver<bool> {
        self.0.signals.accepting.subscribe()
    }

    /// Returns only when this node can not go on, with the reason for the last line of the log.
    pub async fn failed(&self) -> Failure {
        let mut failed = self.0.signals.failed.subscribe();
        let why = failed
            .wait_for(Option::is_some)
            .await
            .map(|why| why.clone());
        match why {
            Ok(Some(why)) => why,
            _ => std::future::pending().await,
        }
    }

    /// What the policy in force says.
    #[must_use]
    pub fn policy(&self) -> Option<Arc<Policy>> {
        let figures = self.0.tables.figures();
        figures.policy.as_ref().map(|now| Arc::clone(&now.policy))
    }

    /// The policy in force, as this node knows it.
    #[must_use]
    pub fn policy_in_force(&self) -> Option<Arc<InForce>> {
        self.0.tables.figures().policy.clone()
    }

    /// Every domain's figures, by name.
    #[must_use]
    pub fn destinations(&self) -> Vec<(String, Destination)> {
        let figures = self.0.tables.figures();
        figures
            .destinations
            .iter()
            .map(|(name, d)| (name.clone(), d.clone()))
            .collect()
    }

    /// Hands leadership over if this node has it, then leaves the talk and closes the store.
    pub async fn shutdown(&self) {
        self.hand_over().await;
        self.0.stop.cancel();
        self.0.signals.accepting.send_replace(false);
        let mut tasks =
            std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of the cluster failed while it was stopped");
                }
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("some tasks of the cluster did not end in time");
            tasks.shutdown().await;
        }
        // Last, so that no peer's call finds consensus gone.
        let stopped = tokio::time::timeout(STOP_TIMEOUT, self.0.raft.shutdown());
        if stopped.await.is_err() {
            tracing::warn!("consensus did not stop in time");
        }
        let writer = self
            .0
            .log_writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let ended = tokio::task::spawn_blocking(move || drop(writer));
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("the log's writer did not end in time");
        }
    }

    /// Gives leadership to the voter whose log is the longest, so that the others need not wait for
    /// an election timeout.
    async fn hand_over(&self) {
        let metrics = raft::metrics(&self.0.raft);
        if metrics.current_leader != Some(self.0.config.node_id) {
            return;
        }
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let replication = metrics.replication.unwrap_or_default();
        let heartbeat = metrics.heartbeat.unwrap_or_default();
        let answers = |id: &u64| {
            let acked = heartbeat.get(id).copied().flatten();
            acked.is_some_and(|acked| acked.elapsed() < HAND_OVER_SILENCE_MAX)
        };
        let best = replication
            .iter()
            .filter(|(id, _)| **id != self.0.config.node_id && voters.contains(id) && answers(id))
            .max_by_key(|(_, matched)| **matched);
        let Some((to, _)) = best else { return };
        if self.0.changer.give_leadership(*to).await.is_none() {
            tracing::warn!(
                to,
                "leadership was not taken over in time; the others will elect"
            );
        }
    }
}
