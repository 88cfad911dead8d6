//! What operators do with messages and domains, and the log of it.

use spool::{Action, Audited, Command, Handling, MessageId, Outcome, Tally, Timestamp, Verb};
use tokio::time::timeout;

use crate::{Cluster, RequestError, limits, store::Tables};

impl Cluster {
    /// An action that begins now.
    #[must_use]
    pub fn action(&self, by: String, what: String, reason: String) -> Action {
        let at = self.0.clock.now();
        Action {
            id: MessageId::new(at.0, rand::random()).0,
            at,
            by,
            what,
            reason,
        }
    }

    /// Does something with messages, at most
    /// [`HANDLED_PER_COMMAND_MAX`](spool::audit::HANDLED_PER_COMMAND_MAX) of them. `batch` counts an
    /// action's commands from 1; one follows when the one before it was answered.
    ///
    /// # Errors
    /// No quorum answered in time; it may be done all the same.
    pub async fn handle(
        &self,
        verb: Verb,
        action: &Action,
        batch: u32,
        ids: Vec<MessageId>,
    ) -> Result<Tally, RequestError> {
        let action = action.clone();
        self.ask_tally(Command::Handle(Handling {
            verb,
            action,
            batch,
            ids,
        }))
        .await
    }

    /// Keeps a domain's mail back until a moment, or for ever.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub async fn pause(
        &self,
        domain: String,
        until: Option<Timestamp>,
        action: Action,
    ) -> Result<Tally, RequestError> {
        self.ask_tally(Command::Pause {
            domain,
            until,
            action,
        })
        .await
    }

    /// Lets a domain's mail go again, that was paused or that a recovery holds back. Nothing else is changed.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub async fn resume(&self, domain: String, action: Action) -> Result<Tally, RequestError> {
        self.ask_tally(Command::Resume { domain, action }).await
    }

    /// Notes in the audit log what an operator has done by other commands.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub async fn note(&self, action: Action) -> Result<(), RequestError> {
        self.ask_tally(Command::Note(action)).await.map(drop)
    }

    /// What operators have done, in order of time: what comes behind the action with id `after` and began
    /// no earlier than `since`, at most `limit`. Start with 0.
    ///
    /// # Errors
    /// The store failed.
    pub async fn actions(
        &self,
        since: Timestamp,
        after: u128,
        limit: usize,
    ) -> Result<Vec<Audited>, RequestError> {
        let from = MessageId::new(since.0, 0).0.max(after.saturating_add(1));
        let limit = limit.min(limits::READ_MESSAGES_MAX);
        self.read(move |tables| tables.actions(from, limit)).await
    }

    /// The last place in the order of arrival that a message of this node's spool can have. It is read with the
    /// messages, as consensus tells only a moment later how far they are applied.
    ///
    /// # Errors
    /// The store failed.
    pub async fn last_sequence(&self) -> Result<u64, RequestError> {
        let applied = self.read(Tables::applied).await?;
        Ok(applied.map_or(0, |applied| applied.index))
    }

    async fn ask_tally(&self, command: Command) -> Result<Tally, RequestError> {
        let proposed = self.0.proposer.propose(command);
        match timeout(limits::REQUEST_TIMEOUT, proposed).await {
            Ok(Ok(Outcome::Handled(tally))) => Ok(tally),
            Ok(Ok(_) | Err(_)) | Err(_) => Err(RequestError::NoQuorum),
        }
    }
}
