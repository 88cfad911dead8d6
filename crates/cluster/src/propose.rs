//! Getting a command into the log, wherever the leader is.

use std::{sync::Arc, time::Duration};

use openraft::{
    errors::{ClientWriteError, RaftError},
    impls::ProgressResponder,
};
use spool::{Command, Outcome, Refusal};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::{sleep, timeout},
};

use crate::{
    limits,
    pass::{Pass, PassQueue},
    raft::{Proposal, Raft},
    status::Leadership,
};

/// Proposes commands until they are applied, through any change of leader.
///
/// A command may reach the log twice: the first leader may have died between storing and
/// answering. `spool::apply` knows an id it has seen, so the second changes nothing.
#[derive(Clone, Debug)]
pub(crate) struct Proposer {
    node_id: u64,
    raft: Raft,
    leadership: watch::Receiver<Leadership>,
    passes: PassQueue,
    /// Octets proposed and not committed yet, in KiB.
    budget: Arc<Semaphore>,
    commit_timeout: Duration,
}

/// What came of one try.
enum Tried {
    Applied(Outcome),
    /// Nobody took it, or nobody knows.
    Again,
    Stopped,
}

impl Proposer {
    pub(crate) fn new(
        node_id: u64,
        raft: Raft,
        leadership: watch::Receiver<Leadership>,
        passes: PassQueue,
        commit_timeout: Duration,
    ) -> Self {
        let budget = Arc::new(Semaphore::new(limits::PROPOSED_BYTES_MAX / 1024));
        Self {
            node_id,
            raft,
            leadership,
            passes,
            budget,
            commit_timeout,
        }
    }

    /// Returns once a majority has fsync'd the command and this cluster's leader has applied it.
    /// While as much as may be is on its way already, it waits.
    ///
    /// # Errors
    /// [`Refusal::NoQuorum`] when that took longer than `commit_timeout`, [`Refusal::Busy`] when there
    /// was no room for long, [`Refusal::EnvelopeTooLarge`] when no member could be sent it.
    pub(crate) async fn propose(&self, command: Command) -> Result<Outcome, Refusal> {
        let octets = command.octets();
        if octets > limits::COMMAND_BYTES_MAX {
            return Err(Refusal::EnvelopeTooLarge);
        }
        let kib = u32::try_from(octets.div_ceil(1024)).map_err(|_| Refusal::EnvelopeTooLarge)?;
        let room = timeout(limits::ROOM_PATIENCE, self.budget.acquire_many(kib));
        let _room = room
            .await
            .map_err(|_| Refusal::Busy)?
            .map_err(|_| Refusal::ShuttingDown)?;
        let applied = timeout(self.commit_timeout, self.propose_until_applied(command));
        applied.await.unwrap_or(Err(Refusal::NoQuorum))
    }

    async fn propose_until_applied(&self, command: Command) -> Result<Outcome, Refusal> {
        let mut leadership = self.leadership.clone();
        loop {
            let leader = leadership.borrow_and_update().leader;
            let tried = match leader {
                Some(leader) if leader == self.node_id => self.write(command.clone()).await,
                Some(leader) => self.pass_while_leading(leader, command.clone()).await,
                None => Tried::Again,
            };
            match tried {
                Tried::Applied(outcome) => return Ok(outcome),
                Tried::Stopped => return Err(Refusal::StorageFailed),
                Tried::Again => {
                    // The next leader may be known at once, or the same one be asked again.
                    let changed = timeout(limits::PROPOSE_AGAIN_AFTER, leadership.changed());
                    if let Ok(Err(_)) = changed.await {
                        return Err(Refusal::ShuttingDown);
                    }
                }
            }
        }
    }

    /// Returns once a majority has fsync'd the command and this node, as the leader of the term,
    /// has applied it. It is never passed on, nor written in another term.
    ///
    /// # Errors
    /// [`Refusal::NoQuorum`] when this node does not lead in the term, or no quorum was there in
    /// time. The command may be in the log all the same.
    pub(crate) async fn propose_in_term(&self, term: u64, command: Command) -> Result<(), Refusal> {
        let written = timeout(self.commit_timeout, self.write_in_term(term, command)).await;
        written.unwrap_or(Err(Refusal::NoQuorum))
    }

    async fn write_in_term(&self, term: u64, command: Command) -> Result<(), Refusal> {
        let leads = || {
            self.raft
                .as_leader()
                .is_ok_and(|leader| leader.term() == term)
        };
        while leads() {
            let (responder, applied) = ProgressResponder::complete_only();
            let sent = self
                .raft
                .write(Proposal(command.clone()))
                .responder(responder)
                .with_leader(term);
            sent.await.map_err(|_| Refusal::StorageFailed)?;
            match applied.await {
                Ok(Ok(_)) => return Ok(()),
                // Refused, as the quorum has been silent for a moment: it is not in the log.
                Ok(Err(ClientWriteError::ForwardToLeader(_))) => {
                    sleep(limits::PROPOSE_AGAIN_AFTER).await;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "proposal discarded");
                    return Err(Refusal::NoQuorum);
                }
                Err(_) => return Err(Refusal::ShuttingDown),
            }
        }
        Err(Refusal::NoQuorum)
    }

    async fn write(&self, command: Command) -> Tried {
        match self.raft.client_write(Proposal(command)).await {
            Ok(written) => written.data.0.map_or(Tried::Again, Tried::Applied),
            Err(RaftError::Fatal(_)) => Tried::Stopped,
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Tried::Again,
            Err(RaftError::APIError(error)) => {
                tracing::debug!(%error, "proposal discarded");
                Tried::Again
            }
        }
    }

    /// Gives up as soon as another leads, or nobody: a leader that was stopped or cut off answers late
    /// or never. The command may reach the log through both.
    async fn pass_while_leading(&self, leader: u64, command: Command) -> Tried {
        // A receiver of its own: whoever asks again is to see the change, too.
        let mut leadership = self.leadership.clone();
        tokio::select! {
            tried = self.pass(leader, command) => tried,
            _ = leadership.wait_for(|now| now.leader != Some(leader)) => Tried::Again,
        }
    }

    async fn pass(&self, leader: u64, command: Command) -> Tried {
        let (answer, answered) = oneshot::channel();
        if self
            .passes
            .send(Pass {
                leader,
                command,
                answer,
            })
            .await
            .is_err()
        {
            return Tried::Stopped;
        }
        match answered.await {
            Ok(Some(outcome)) => Tried::Applied(outcome),
            Ok(None) | Err(_) => Tried::Again,
        }
    }
}
