//! What a domain's task does while an operator has paused the domain.

use std::time::Duration;

use spool::Outbox;
use spool::policy::{Domain, Order};
use spool::ports::OutboxError;
use tokio::time::{Instant, sleep, sleep_until};

use super::{DestinationTask, Drained};
use crate::outbound::limits::PAUSE_LOOK;
use crate::outbound::resume;
use crate::outbound::worker::Parting;

impl<O: Outbox> DestinationTask<O> {
    /// For how long the domain is still paused, as far as it is worth sleeping; `None` when it is not.
    pub(super) fn pause_left(&self) -> Option<Duration> {
        let now = self.shared.clock.now();
        let destination = self.shared.outbox.destination(&self.name);
        let pause = destination.pause_at(now)?;
        let left = pause.until.map_or(PAUSE_LOOK, |until| until.since(now));
        Some(left.min(PAUSE_LOOK))
    }

    /// Starts nothing until the pause has ended. What is on its way ends, and it is looked every so often
    /// whether the primary answers.
    pub(super) async fn keep_back(&mut self, order: Order) -> Result<Drained, OutboxError> {
        tracing::info!(domain = %self.name, "paused: mail is kept back");
        self.tell(|course| course.draining_since = None);
        loop {
            let connections = self.workers.len();
            self.tell(|course| course.connections = connections);
            let Some(domain) = self.look_up_ordered(order) else {
                return Ok(Drained::Done);
            };
            let Some(left) = self.pause_left() else {
                tracing::info!(domain = %self.name, "the pause is over");
                // What was heard before it may be old.
                self.trial = None;
                return Ok(Drained::Turned);
            };
            tokio::select! {
                () = self.shared.stop.cancelled() => return Ok(Drained::Done),
                Some(parting) = self.workers.join_next() => {
                    match parting.unwrap_or_else(|error| resume(error)) {
                        Parting::Spool(OutboxError::NotLeading) => {
                            return Err(OutboxError::NotLeading);
                        }
                        Parting::Distrusted(why) => {
                            self.trip(why).await?;
                            return Ok(Drained::Held);
                        }
                        Parting::Idle | Parting::Unreachable(_) | Parting::Spool(_) => {}
                    }
                }
                Ok(()) = self.changes.changed() => {}
                () = sleep(left) => {}
                () = sleep_until(self.probe_at) => {
                    self.probe_at = Instant::now() + self.probe_interval();
                    if let Some(words) = self.objection_of(&domain).await? {
                        return Ok(Drained::Unreachable(words));
                    }
                }
            }
        }
    }

    /// Asks the primary whether it talks to us. Returns why it does not, unless the forwarder stops or the
    /// domain is resumed first.
    async fn objection_of(&self, domain: &Domain) -> Result<Option<String>, OutboxError> {
        let mut changes = self.changes.clone();
        let resumed =
            async { while self.pause_left().is_some() && changes.changed().await.is_ok() {} };
        let probe = tokio::select! {
            () = self.shared.stop.cancelled() => return Ok(None),
            () = resumed => return Ok(None),
            probe = self.shared.connect(domain) => probe,
        };
        match probe {
            Ok(connection) => {
                self.shared.note_offers(domain, &connection).await?;
                connection.quit().await;
                Ok(None)
            }
            Err(reason) => Ok(Some(reason)),
        }
    }
}
