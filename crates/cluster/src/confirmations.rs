//! What clients of this node have read, on its way to the other nodes.
//!
//! ```text
//!   Intake::confirm ──▶ waiting ──┬──▶ the next Accept of this node carries it
//!                         ▲       └──▶ after 10 ms: a Confirm of its own
//!                         └── put back when the Accept was refused
//! ```
//!
//! Under load everything travels with messages that are proposed anyway. What is lost here (the node
//! dies, or too much waits) is forgotten by every node within the hour.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use spool::{Command, MessageId};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{limits, propose::Proposer};

/// Messages whose 250 was read, and since when that waits to be told.
#[derive(Debug, Default)]
pub(crate) struct Confirmations {
    waiting: Mutex<VecDeque<(Instant, MessageId)>>,
    came: Notify,
}

impl Confirmations {
    pub(crate) fn add(&self, id: MessageId) {
        self.push([id]);
    }

    /// Takes all that wait, for a command that carries them.
    pub(crate) fn take(&self) -> Vec<MessageId> {
        self.waiting().drain(..).map(|(_, id)| id).collect()
    }

    /// Gives back what a command should have carried and may not have.
    pub(crate) fn put_back(&self, ids: Vec<MessageId>) {
        self.push(ids);
    }

    fn push(&self, ids: impl IntoIterator<Item = MessageId>) {
        let now = Instant::now();
        let mut waiting = self.waiting();
        let was_empty = waiting.is_empty();
        waiting.extend(ids.into_iter().map(|id| (now, id)));
        // The earliest goes first: its client is the likeliest to have done what it was going to do.
        let excess = waiting.len().saturating_sub(limits::CONFIRMATIONS_MAX);
        waiting.drain(..excess);
        let has_begun = was_empty && !waiting.is_empty();
        drop(waiting);
        if has_begun {
            self.came.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(Instant, MessageId)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no message has carried away what came first; returns all that wait.
    ///
    /// They go on waiting: a message that is accepted while they are told carries them once more, so
    /// that it never reaches the log before them.
    async fn left_behind(&self) -> Vec<MessageId> {
        loop {
            let first = self.waiting().front().map(|(since, _)| *since);
            match first {
                None => self.came.notified().await,
                Some(since) if since.elapsed() >= limits::CONFIRM_AFTER => {
                    return self.waiting().iter().map(|(_, id)| *id).collect();
                }
                Some(since) => sleep_until(since + limits::CONFIRM_AFTER).await,
            }
        }
    }

    /// Every node knows of these.
    fn forget(&self, told: Vec<MessageId>) {
        let told: BTreeSet<MessageId> = told.into_iter().collect();
        self.waiting().retain(|(_, id)| !told.contains(id));
    }
}

/// Tells the other nodes what no message has carried to them, until stopped.
pub(crate) async fn tell(
    confirmations: Arc<Confirmations>,
    proposer: Proposer,
    stop: CancellationToken,
) {
    let telling = async {
        loop {
            let ids = confirmations.left_behind().await;
            let confirm = Command::Confirm { ids: ids.clone() };
            match proposer.propose(confirm).await {
                Ok(_) => confirmations.forget(ids),
                Err(refusal) => {
                    tracing::debug!(%refusal, count = ids.len(), "confirmations have to wait");
                    sleep(limits::CONFIRM_AGAIN_AFTER).await;
                }
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    fn ids(range: std::ops::Range<u128>) -> Vec<MessageId> {
        range.map(MessageId).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_message_carries_away_is_left_behind_ten_milliseconds_later() {
        let confirmations = Confirmations::default();
        let began = Instant::now();
        let nothing = tokio::time::timeout(limits::CONFIRM_AFTER * 9, confirmations.left_behind());
        assert!(nothing.await.is_err());
        let left = async {
            let left = confirmations.left_behind().await;
            (left, began.elapsed())
        };
        let clients = async {
            sleep(SOON).await;
            confirmations.add(MessageId(1));
            sleep(SOON).await;
            assert_eq!(confirmations.take(), ids(1..2), "a message carries it");
            sleep(SOON).await;
            confirmations.add(MessageId(2));
            sleep(SOON).await;
            confirmations.add(MessageId(3));
        };
        let ((left, at), ()) = tokio::join!(left, clients);
        assert_eq!(left, ids(2..4));
        assert_eq!(at, limits::CONFIRM_AFTER * 10 + SOON * 3);
        confirmations.add(MessageId(4));
        confirmations.forget(left);
        assert_eq!(confirmations.take(), ids(4..5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_back_is_told_again_and_no_more_than_its_limit_waits() {
        let confirmations = Confirmations::default();
        let many = limits::CONFIRMATIONS_MAX as u128;
        confirmations.put_back(ids(0..many));
        confirmations.add(MessageId(many));
        assert_eq!(confirmations.left_behind().await, ids(1..many + 1));
        assert_eq!(confirmations.take(), ids(1..many + 1));
    }
}
