//! What the leader does on the side: found the spool, sweep what is too old.

use std::sync::Arc;

use spool::{Clock, Command, MessageId, policy::Document};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{limits, propose::Proposer, status::Leadership, store::Tables};

/// What there is to do.
enum Chore {
    Found,
    Sweep,
    Discard(MessageId),
}

/// Keeps house until stopped.
pub(crate) struct Housekeeper {
    pub(crate) proposer: Proposer,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) clock: Clock,
    /// Proposed when this node leads a cluster that has no policy yet.
    pub(crate) policy: Option<Document>,
    pub(crate) discards: mpsc::Receiver<MessageId>,
}

impl Housekeeper {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut sweeps = tokio::time::interval(limits::SWEEP_INTERVAL);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while let Some(chore) = stop
            .run_until_cancelled(self.next(&mut sweeps))
            .await
            .flatten()
        {
            self.carry_out(chore).await;
        }
    }

    async fn next(&mut self, sweeps: &mut tokio::time::Interval) -> Option<Chore> {
        loop {
            let leads = self.leadership.borrow_and_update().leading;
            let founded = self.tables.figures().policy.is_some();
            if leads && !founded && self.policy.is_some() {
                return Some(Chore::Found);
            }
            tokio::select! {
                changed = self.leadership.changed() => changed.ok()?,
                discard = self.discards.recv() => return discard.map(Chore::Discard),
                _ = sweeps.tick() => {
                    if leads {
                        return Some(Chore::Sweep);
                    }
                }
            }
        }
    }

    async fn carry_out(&self, chore: Chore) {
        let command = match chore {
            Chore::Found => {
                let policy = self.policy.clone().unwrap_or_default();
                tracing::info!("founding the spool with the policy of this node");
                Command::Found {
                    cluster: rand::random(),
                    policy,
                    at: self.clock.now(),
                }
            }
            Chore::Sweep => Command::Sweep {
                at: self.clock.now(),
            },
            Chore::Discard(id) => Command::Discard { id },
        };
        if let Err(refusal) = self.proposer.propose(command).await {
            tracing::debug!(%refusal, "a chore has to wait");
        }
    }
}
