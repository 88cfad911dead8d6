//! How a domain's task finds out that its primary is back, and whether it is to be believed.

use std::sync::Arc;
use std::time::Duration;

use spool::guard::{Recovery, Standing, Step};
use spool::policy::{Domain, Order};
use spool::ports::OutboxError;
use spool::{Outbox, Reachability, Timestamp, alarm};
use tokio::time::Instant;

use super::DestinationTask;
use crate::outbound::connection::Connection;
use crate::outbound::contact::tell_alarm;
use crate::outbound::readiness::Unready;
use crate::outbound::scout::lasting;
use crate::outbound::supply::Supply;
use crate::outbound::trial::OpenTrial;

impl<O: Outbox> DestinationTask<O> {
    /// What a probe comes to: the inner error says in words why the primary is not ready.
    ///
    /// # Errors
    /// What it offers could not be recorded.
    pub(super) async fn weigh(
        &mut self,
        domain: &Domain,
        probed: Result<Connection, Unready>,
    ) -> Result<Result<(), String>, OutboxError> {
        self.tell(|course| course.probing = false);
        let is_reached = !matches!(probed, Err(Unready::Silent(_)));
        let lasts = lasting(domain.probe_interval);
        let outbox = &self.shared.outbox;
        outbox.note_reach(&self.name, is_reached, lasts);
        let connection = match probed {
            Ok(connection) => connection,
            Err(Unready::Silent(words)) => {
                self.hesitates_since = None;
                return Ok(Err(words));
            }
            Err(Unready::Hesitant(words)) => {
                let since = *self.hesitates_since.get_or_insert_with(Instant::now);
                let is_over = since.elapsed() >= self.shared.config.timeouts.hesitation;
                return Ok(if is_over { Ok(()) } else { Err(words) });
            }
        };
        self.shared.note_offers(domain, &connection).await?;
        connection.quit().await;
        Ok(Ok(()))
    }

    /// Records that the primary is down, unless its return was recorded just now. Returns how long that
    /// is put off.
    pub(super) async fn record_down(&mut self) -> Result<Option<Duration>, OutboxError> {
        let Some(words) = self.unrecorded.take() else {
            return Ok(None);
        };
        let recorded = self.recorded();
        let age = self.age(recorded.since);
        let put_off = self.shared.config.timeouts.steady.saturating_sub(age);
        if !recorded.is_down() && !put_off.is_zero() {
            self.unrecorded = Some(words);
            return Ok(Some(put_off));
        }
        self.told_why_at = Instant::now();
        self.observe(Reachability::Down(words)).await?;
        Ok(None)
    }

    /// How long ago something was. Clocks of leaders differ.
    fn age(&self, since: Timestamp) -> Duration {
        let now = self.shared.clock.now();
        Duration::from_millis(now.0.abs_diff(since.0))
    }

    /// Records that the primary is up, where it was recorded down; before that, that it is on trial: no
    /// leader is to find it up and believe it.
    pub(super) async fn come_back(&mut self, domain: &Domain) -> Result<(), OutboxError> {
        tracing::info!(domain = %self.name, "primary is up");
        let unrecorded = self.unrecorded.take();
        self.hesitates_since = None;
        let recorded = self.recorded();
        let is_guarded = domain.recovery_guard && recorded.totals.undelivered() > 0;
        if !recorded.is_down() {
            let Some(words) = unrecorded.filter(|_| is_guarded && recorded.guard.is_none()) else {
                return Ok(());
            };
            // Only what is down can be on trial.
            self.observe(Reachability::Down(words)).await?;
        }
        if is_guarded {
            self.recover(Step::Begun).await?;
        }
        self.observe(Reachability::Up).await
    }

    /// Begins or ends a trial, as is recorded and as the primary has answered. Returns whether it has
    /// failed, and nothing is to be sent.
    pub(super) async fn attend_trial(
        &mut self,
        domain: &Domain,
        supply: &Supply<O>,
    ) -> Result<bool, OutboxError> {
        let recorded = self.recorded();
        let begun_at = match recorded.guard {
            Some(guard) if guard.tripped.is_some() => return Ok(true),
            Some(guard) if domain.recovery_guard => Some(guard.begun_at),
            Some(guard) => {
                // The policy was changed while the recovery was recorded, or the domain was out of it.
                let begun_at = guard.begun_at;
                self.recover(Step::Passed { begun_at }).await?;
                None
            }
            None => None,
        };
        if self.trial.as_ref().map(|trial| trial.begun_at) != begun_at {
            // An operator has resumed, or the policy wants no guard any more.
            if let Some(trial) = self.trial.take() {
                trial.call_off();
            }
            self.trial = begun_at.map(|begun_at| Arc::new(OpenTrial::new(begun_at)));
        }
        let Some(trial) = self.trial.clone() else {
            return Ok(false);
        };
        let standing = match trial.standing() {
            Standing::Open if trial.is_outlived() || supply.is_answered(trial.put_off()) => {
                trial.conclude()
            }
            standing => standing,
        };
        if let Standing::Failed(why) = &standing
            && self.workers.is_empty()
        {
            // Else a worker ends and says so.
            self.trip(why.clone()).await?;
            return Ok(true);
        }
        if standing == Standing::Passed {
            trial.call_off();
            let begun_at = trial.begun_at;
            self.recover(Step::Passed { begun_at }).await?;
            tracing::info!(domain = %self.name, "primary is itself again: its recovery is guarded no more");
            self.trial = None;
        }
        Ok(false)
    }

    /// Records that the primary has failed its trial.
    pub(super) async fn trip(&mut self, why: String) -> Result<(), OutboxError> {
        let Some(trial) = self.trial.take() else {
            return Ok(());
        };
        self.note_error(&why);
        let begun_at = trial.begun_at;
        self.recover(Step::Tripped { begun_at, why }).await
    }

    async fn recover(&self, step: Step) -> Result<(), OutboxError> {
        let recovery = Recovery {
            domain: self.name.clone(),
            at: self.shared.clock.now(),
            step,
        };
        self.shared.outbox.recover(recovery).await
    }

    /// Waits while the domain is held back. Returns false when the forwarder stops or the policy does
    /// not let this task go on.
    pub(super) async fn wait_until_resumed(&mut self, order: Order) -> bool {
        let shared = self.shared.clone();
        let mut is_told = false;
        loop {
            let recorded = self.recorded();
            if recorded.held_back().is_none() {
                if is_told {
                    // What stalled has met the primary as it was before somebody looked at it.
                    while self.workers.try_join_next().is_some() {}
                    tell_alarm(&self.name, alarm::RECOVERY_GUARD, &recorded);
                }
                return true;
            }
            if !core::mem::replace(&mut is_told, true) {
                self.tell(|course| course.draining_since = None);
                tell_alarm(&self.name, alarm::RECOVERY_GUARD, &recorded);
            }
            if self.look_up_ordered(order).is_none() {
                return false;
            }
            tokio::select! {
                () = shared.stop.cancelled() => return false,
                () = self.changed() => {}
            }
        }
    }
}
