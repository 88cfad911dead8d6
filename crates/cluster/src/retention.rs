//! Bodies of delivered messages: kept for a while, given up when their time is over or a disk lacks room.
//!
//! The leader decides for all, so that any node can take part in a replay. What goes is what was delivered
//! first; mail that waits is never touched.

use std::{io, sync::Arc, time::Instant};

use openraft::async_runtime::watch::WatchReceiver as _;
use spool::{Clock, Command, Timestamp, apply::RELINQUISH_MAX, history::RETAINED_MAX};
use tokio::{sync::watch, time::interval};
use tokio_util::sync::CancellationToken;

use crate::{
    limits, propose::Proposer, raft::RaftMetricsWatch, space::Space, status::Leadership,
    store::Tables,
};

/// Bodies were given up since a disk lacked room.
#[derive(Clone, Copy)]
struct GivenUp {
    at: Instant,
    /// Octets that were lacking then.
    lacking_bytes: u64,
}

impl GivenUp {
    /// Octets that are lacking now and not made up for yet: what was given up is not free at once.
    fn still_lacking(last: Option<Self>, lacking_bytes: u64) -> u64 {
        match last.filter(|last| last.at.elapsed() < limits::RELINQUISH_REST) {
            None => lacking_bytes,
            Some(last) => {
                let grown = lacking_bytes.saturating_sub(last.lacking_bytes);
                // A disk's figure is never quite still.
                if grown < limits::RELINQUISH_BYTES_MIN {
                    0
                } else {
                    grown
                }
            }
        }
    }
}

/// Gives up what is kept no longer, until stopped.
pub(crate) struct Retention {
    pub(crate) tables: Arc<Tables>,
    pub(crate) proposer: Proposer,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) raft: RaftMetricsWatch,
    pub(crate) space: Arc<Space>,
    pub(crate) clock: Clock,
}

impl Retention {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = interval(limits::RETENTION_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut given_up: Option<GivenUp> = None;
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if !self.leadership.borrow().leading || self.tables.figures().history.retained == 0 {
                continue;
            }
            let look = self.look(&mut given_up);
            if let Some(Err(error)) = stop.run_until_cancelled(look).await {
                tracing::warn!(%error, "what is kept of delivered mail was not read");
            }
        }
    }

    async fn look(&self, given_up: &mut Option<GivenUp>) -> io::Result<()> {
        let policy = self.tables.figures().policy.clone();
        let keeping = policy
            .map(|policy| policy.policy.keeping)
            .unwrap_or_default();
        let over = self.clock.now().before(keeping.retain_delivered);
        self.give_up_until(over).await?;
        self.give_up_excess().await?;
        let others = {
            let metrics = self.raft.borrow_watched();
            let nodes = metrics.membership_config.nodes();
            nodes.map(|(id, _)| *id).collect::<Vec<u64>>()
        };
        let silence = limits::MEMBER_SILENCE_MAX;
        let room = self.space.worst(others.into_iter(), silence);
        let lacking = GivenUp::still_lacking(*given_up, room.lacking_bytes);
        if lacking > 0 {
            *given_up = Some(GivenUp {
                at: Instant::now(),
                lacking_bytes: room.lacking_bytes,
            });
        }
        if room.is_short {
            if lacking > 0 {
                tracing::warn!("a disk is short of room: no body of delivered mail is kept");
            }
            return self.give_up_until(Timestamp(u64::MAX)).await;
        }
        if lacking > 0 {
            let octets = lacking.saturating_mul(2);
            self.give_up_octets(octets.max(limits::RELINQUISH_BYTES_MIN))
                .await?;
        }
        Ok(())
    }

    /// Gives up all that left before a moment.
    async fn give_up_until(&self, until: Timestamp) -> io::Result<()> {
        while !self.kept_before(until, 1).await?.is_empty() {
            if !self.relinquish(until).await {
                break;
            }
        }
        Ok(())
    }

    /// Gives up what is too much, whatever its age.
    async fn give_up_excess(&self) -> io::Result<()> {
        loop {
            let excess = self
                .tables
                .figures()
                .history
                .retained
                .saturating_sub(RETAINED_MAX);
            let excess = usize::try_from(excess)
                .unwrap_or(usize::MAX)
                .min(RELINQUISH_MAX);
            let kept = self.kept_before(Timestamp(u64::MAX), excess).await?;
            let Some((last, _)) = kept.last() else {
                return Ok(());
            };
            if !self.relinquish(behind(*last)).await {
                return Ok(());
            }
        }
    }

    /// Gives up bodies of so many octets in all, or a few more.
    async fn give_up_octets(&self, octets: u64) -> io::Result<()> {
        let mut given_up = 0_u64;
        while given_up < octets {
            let kept = self
                .kept_before(Timestamp(u64::MAX), RELINQUISH_MAX)
                .await?;
            let mut until = None;
            for (left_at, size) in kept {
                if given_up >= octets {
                    break;
                }
                given_up += size;
                until = Some(behind(left_at));
            }
            let Some(until) = until else { break };
            if !self.relinquish(until).await {
                break;
            }
        }
        if given_up > 0 {
            tracing::warn!(
                octets = given_up,
                "a disk has little room: bodies of mail that was delivered first are given up before their time"
            );
        }
        Ok(())
    }

    /// When the first of what is kept left, and its octets.
    async fn kept_before(
        &self,
        until: Timestamp,
        limit: usize,
    ) -> io::Result<Vec<(Timestamp, u64)>> {
        let tables = Arc::clone(&self.tables);
        let read = move || tables.retained_before(until, limit);
        let kept = tokio::task::spawn_blocking(read).await;
        let kept = kept.map_err(io::Error::other)??.into_iter();
        Ok(kept.map(|(at, _, retained)| (at, retained.size)).collect())
    }

    /// Returns whether it was done.
    async fn relinquish(&self, until: Timestamp) -> bool {
        let done = self.proposer.propose(Command::Relinquish { until }).await;
        if let Err(refusal) = &done {
            tracing::debug!(%refusal, "bodies that are kept no longer have to wait");
        }
        done.is_ok()
    }
}

/// The moment up to which what left at a moment goes, too.
const fn behind(left_at: Timestamp) -> Timestamp {
    Timestamp(left_at.0.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_become_lacking_meanwhile_is_given_up_while_the_rest_becomes_free() {
        let last = Some(GivenUp {
            at: Instant::now(),
            lacking_bytes: 1 << 30,
        });
        assert_eq!(GivenUp::still_lacking(None, 5), 5);
        assert_eq!(GivenUp::still_lacking(last, 1 << 30), 0);
        assert_eq!(GivenUp::still_lacking(last, 1 << 20), 0);
        assert_eq!(GivenUp::still_lacking(last, 3 << 30), 2 << 30);
    }
}
