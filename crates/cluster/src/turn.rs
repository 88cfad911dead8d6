//! Whose turn it is to forward: a leader's, but not while it hands leadership over.
//!
//! ```text
//!   node ────── Cluster::next_turn ──▶ Turn ──is over──▶ what is under way ends ──▶ dropped
//!                                              ▲                                      │
//!   Changer ── hand over: no turn begins ──────┘                                      ▼
//!                                                          leadership goes, or a new turn begins
//! ```
//!
//! What is under way at a slow primary when leadership goes may come twice, as the next leader waits for
//! its outcome a few seconds only. A hand-over is planned, so it can wait.

use std::{future::pending, sync::Arc};

use crate::{Cluster, signals::Signals};

/// This node may forward, in one term. Leadership is not handed over before it is dropped, or has kept
/// everyone waiting for too long.
#[derive(Debug)]
pub struct Turn {
    term: u64,
    signals: Arc<Signals>,
}

impl Turn {
    fn take(term: u64, signals: &Arc<Signals>) -> Self {
        signals.turns.begin();
        Self {
            term,
            signals: Arc::clone(signals),
        }
    }

    /// Waits until this node leads and keeps leadership.
    async fn next(signals: &Arc<Signals>) -> Self {
        let mut leadership = signals.leadership.subscribe();
        let mut hand_overs = signals.turns.hand_overs();
        loop {
            // Neither sender can go: they are in the same signals.
            let Ok(term) = leadership
                .wait_for(|now| now.leading)
                .await
                .map(|now| now.term)
            else {
                return pending().await;
            };
            drop(hand_overs.wait_for(|count| *count == 0).await);
            // Counted before it looks, as a hand-over looks after it was counted: one sees the other.
            let turn = Self::take(term, signals);
            if turn.goes_on() {
                return turn;
            }
        }
    }

    fn goes_on(&self) -> bool {
        let now = *self.signals.leadership.borrow();
        now.leading && now.term == self.term && !self.signals.turns.are_paused()
    }

    /// The term in which this node leads.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Returns when nothing more is to be begun: this node leads no more, or anew after another did,
    /// or hands leadership over.
    pub async fn is_over(&self) {
        let mut leadership = self.signals.leadership.subscribe();
        let mut hand_overs = self.signals.turns.hand_overs();
        tokio::select! {
            _ = leadership.wait_for(|now| !now.leading || now.term != self.term) => {}
            _ = hand_overs.wait_for(|count| *count > 0) => {}
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.signals.turns.end();
    }
}

impl Cluster {
    /// Waits until it is this node's turn to forward.
    pub async fn next_turn(&self) -> Turn {
        Turn::next(&self.0.signals).await
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use std::pin::pin;

    use super::*;

    fn lead(signals: &Signals, term: u64, leading: bool) {
        signals.leadership.send_modify(|now| {
            now.term = term;
            now.leading = leading;
        });
    }

    #[tokio::test]
    async fn a_turn_lasts_for_as_long_as_this_node_leads_in_its_term() {
        let signals = Arc::new(Signals::new());
        assert!(poll!(pin!(Turn::next(&signals))).is_pending());
        lead(&signals, 3, true);
        let turn = Turn::next(&signals).await;
        assert_eq!(turn.term(), 3);
        assert!(poll!(pin!(turn.is_over())).is_pending());
        lead(&signals, 5, true);
        turn.is_over().await;
        lead(&signals, 3, false);
        turn.is_over().await;
    }

    #[tokio::test]
    async fn a_hand_over_ends_the_turn_and_waits_for_what_is_under_way() {
        let signals = Arc::new(Signals::new());
        lead(&signals, 3, true);
        let turn = Turn::next(&signals).await;
        let pause = signals.turns.pause();
        turn.is_over().await;
        assert!(poll!(pin!(pause.drained())).is_pending());
        drop(turn);
        pause.drained().await;
        assert!(poll!(pin!(Turn::next(&signals))).is_pending());
        pause.drained().await;
    }

    #[tokio::test]
    async fn after_a_hand_over_that_failed_the_next_turn_begins_in_the_same_term() {
        let signals = Arc::new(Signals::new());
        lead(&signals, 3, true);
        drop(signals.turns.pause());
        assert_eq!(Turn::next(&signals).await.term(), 3);
    }
}
