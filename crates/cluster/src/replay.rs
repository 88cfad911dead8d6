//! Having delivered messages delivered again: the primary has lost them.
//!
//! ```text
//!   flush ─▶ log ─▶ applied here: nothing is overlooked that left before
//!     ▼
//!   what has left since ─┐
//!   what waits for others┴▶ in order of arrival ─▶ Replay, so many at a time ─▶ log
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use spool::{Command, Message, MessageId, Outcome, Replay, Timestamp, apply::REPLAY_MAX, batch};
use tokio::time::{sleep, timeout};

use crate::{Cluster, RequestError, limits};

/// How far a replay has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Messages that are to be delivered again.
    pub messages: u64,
    /// Messages that can not be: their bodies are gone.
    pub gone: u64,
    /// Messages that were found and not dealt with yet.
    pub left: u64,
}

/// A replay under way. It goes on as [`Replaying::step`] is called.
#[derive(Debug)]
pub struct Replaying {
    cluster: Cluster,
    wish: Replay,
    stage: Stage,
    /// By their places in the order of arrival. A few octets each, of as many as are kept at most.
    found: BTreeMap<u64, Found>,
    told: Replayed,
    /// Since when no batch is taken; `None` when the last one was.
    failing_since: Option<Instant>,
}

/// One that is to be delivered again.
#[derive(Clone, Copy, Debug)]
struct Found {
    id: MessageId,
    recipients: u32,
}

impl Found {
    fn of(message: &Message) -> Self {
        Self {
            id: message.id,
            recipients: u32::try_from(message.recipients.len()).unwrap_or(u32::MAX),
        }
    }
}

#[derive(Debug)]
enum Stage {
    Flush,
    /// Looking through what has left, behind this one.
    Departed(Timestamp, MessageId),
    /// Looking through what waits, behind this place.
    Queued(u64),
    Putting(VecDeque<Found>),
    Done,
}

impl Cluster {
    /// Prepares to have messages delivered again that were delivered at a moment or later, in one domain or
    /// in all.
    #[must_use]
    pub fn replay(&self, since: Timestamp, domain: Option<String>) -> Replaying {
        Replaying {
            cluster: self.clone(),
            wish: Replay {
                since,
                domain,
                at: self.0.clock.now(),
                ids: Vec::new(),
            },
            stage: Stage::Flush,
            found: BTreeMap::new(),
            told: Replayed::default(),
            failing_since: None,
        }
    }
}

impl Replaying {
    /// Goes a step further. Returns how far it has come; `None` when nothing is left to do.
    ///
    /// # Errors
    /// No quorum answered for long, or the store failed; what was told before is replayed.
    pub async fn step(&mut self) -> Result<Option<Replayed>, RequestError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Flush => {
                self.flush().await?;
                Stage::Departed(self.wish.since, MessageId(0))
            }
            Stage::Departed(at, id) => self.look_at_departed((at, id)).await?,
            Stage::Queued(after) => self.look_at_queued(after).await?,
            Stage::Putting(ids) => self.put_back(ids).await?,
            Stage::Done => return Ok(None),
        };
        Ok(Some(self.told))
    }

    /// Returns when this node has applied a command of this very moment.
    async fn flush(&self) -> Result<(), RequestError> {
        let Replay { domain, at, .. } = &self.wish;
        let tables = &self.cluster.0.tables;
        // A domain that gets its first message behind the command is not flushed by it.
        let flushed: Vec<String> = match domain {
            Some(domain) => vec![domain.clone()],
            None => tables.figures().destinations.keys().cloned().collect(),
        };
        self.cluster.flush(domain.clone()).await?;
        let is_flushed = |_: &u64| {
            let figures = tables.figures();
            let mut destinations = flushed.iter().map(|name| figures.destinations.get(name));
            destinations.all(|known| known.is_some_and(|known| known.flushed_at >= *at))
        };
        let mut changes = tables.changes();
        let applied = timeout(limits::REQUEST_TIMEOUT, changes.wait_for(is_flushed)).await;
        applied.map_or(Err(RequestError::NoQuorum), |_| Ok(()))
    }

    async fn look_at_departed(
        &mut self,
        after: (Timestamp, MessageId),
    ) -> Result<Stage, RequestError> {
        let read = self
            .cluster
            .read(move |tables| tables.departures(after, limits::REPLAY_READ_MAX));
        let departures = read.await?;
        let Some(last) = departures.last() else {
            return Ok(Stage::Queued(0));
        };
        let next = Stage::Departed(last.at, last.id);
        for departure in departures {
            // One of which nothing is remembered was never kept either.
            let Some(message) = departure.message.filter(|message| self.is_meant(message)) else {
                continue;
            };
            if departure.is_kept {
                self.found.insert(message.sequence, Found::of(&message));
            } else {
                self.told.gone += 1;
            }
        }
        self.told.left = self.found.len() as u64;
        Ok(next)
    }

    async fn look_at_queued(&mut self, after: u64) -> Result<Stage, RequestError> {
        let messages = self
            .cluster
            .messages(after, limits::REPLAY_READ_MAX)
            .await?;
        let Some(last) = messages.last().map(|message| message.sequence) else {
            let ids = std::mem::take(&mut self.found).into_values();
            return Ok(Stage::Putting(ids.collect()));
        };
        for message in messages {
            if self.is_meant(&message) {
                self.found.insert(message.sequence, Found::of(&message));
            }
        }
        self.told.left = self.found.len() as u64;
        Ok(Stage::Queued(last))
    }

    fn is_meant(&self, message: &Message) -> bool {
        message.was_delivered(self.wish.since, self.wish.domain.as_deref())
    }

    /// Proposes the next batch. One that was not taken is tried again, also through an election: a copy of it
    /// replays nothing twice, another replay would.
    async fn put_back(&mut self, mut ids: VecDeque<Found>) -> Result<Stage, RequestError> {
        let most = ids.iter().take(REPLAY_MAX);
        let fitting = batch::fitting(most.map(|found| found.recipients as usize));
        let next: Vec<MessageId> = ids.iter().take(fitting).map(|found| found.id).collect();
        if next.is_empty() {
            return Ok(Stage::Done);
        }
        let wanted = next.len();
        let command = Command::Replay(Replay {
            ids: next,
            ..self.wish.clone()
        });
        let proposer = &self.cluster.0.proposer;
        let proposed = timeout(limits::REQUEST_TIMEOUT, proposer.propose(command)).await;
        let Ok(Ok(Outcome::Replayed(replayed))) = proposed else {
            let since = *self.failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= limits::REPLAY_PATIENCE {
                return Err(RequestError::NoQuorum);
            }
            sleep(limits::PROPOSE_AGAIN_AFTER).await;
            return Ok(Stage::Putting(ids));
        };
        self.failing_since = None;
        ids.drain(..wanted);
        self.told.messages += replayed;
        self.told.gone += (wanted as u64).saturating_sub(replayed);
        self.told.left = ids.len() as u64;
        Ok(Stage::Putting(ids))
    }
}
