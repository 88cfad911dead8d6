//! How a domain's task waits for a primary that is down.

use std::time::Duration;

use rand::random_range;
use spool::destination::NO_ROUTE;
use spool::policy::{Domain, Order};
use spool::ports::OutboxError;
use spool::{Outbox, Reachability, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};

use super::DestinationTask;
use crate::outbound::limits::STORAGE_RETRY;
use crate::outbound::refresh::pause_of;
use crate::outbound::supply::Supply;

impl<O: Outbox> DestinationTask<O> {
    /// How long to wait for the next probe.
    pub(super) fn probe_interval(&self) -> Duration {
        let route = self.route.borrow();
        let interval = route
            .as_ref()
            .map_or(STORAGE_RETRY, |domain| domain.probe_interval);
        spread(interval)
    }

    /// How often a primary is asked whether it answers while nothing is to be sent to it, but all that waits has been put
    /// off. A sentry wants to know as soon as a probe does.
    pub(super) fn look_interval(&self, domain: &Domain) -> Duration {
        if domain.sentry {
            return self.probe_interval();
        }
        spread(pause_of(domain, self.shared.config.timeouts.refresh))
    }

    /// A worker has talked to the primary just now.
    pub(super) fn heard_of(&mut self) {
        let Some(domain) = self.route.borrow().clone() else {
            return;
        };
        if !domain.sentry {
            self.probe_at = Instant::now() + self.look_interval(&domain);
        }
    }

    /// Probes until the primary answers. Returns false when the forwarder stops or the policy does not
    /// let this task go on.
    pub(super) async fn wait_until_up(
        &mut self,
        order: Order,
        wait: Duration,
        supply: &mut Supply<O>,
    ) -> Result<bool, OutboxError> {
        let mut flushed_at = self.recorded().flushed_at;
        let shared = self.shared.clone();
        let mut next = Instant::now() + wait;
        let mut is_restarted = false;
        let patience = shared.config.timeouts.claims.max(self.probe_interval() * 2);
        // Many domains may have lost one primary, and are not to give back at one moment.
        let lay_down_at = Instant::now() + patience.mul_f64(random_range(1.0..=1.5));
        let mut is_laid_down = false;
        self.tell(|course| course.draining_since = None);
        loop {
            let unrecorded = self.record_down().await?;
            tokio::select! {
                () = shared.stop.cancelled() => return Ok(false),
                () = sleep_until(next) => {}
                () = sleep(unrecorded.unwrap_or_default()), if unrecorded.is_some() => continue,
                () = sleep_until(lay_down_at), if !is_laid_down => {
                    supply.lay_down().await;
                    is_laid_down = true;
                    continue;
                }
                flushed = self.hurried(flushed_at) => flushed_at = flushed,
            }
            let Some(domain) = self.look_up_ordered(order) else {
                return Ok(false);
            };
            self.tell(|course| course.probing = true);
            let began = Instant::now();
            // A probe that hangs need not, once there is a sign of life. One that was begun for it runs to its
            // end: signs may come faster than a slow primary answers.
            let heeded = if is_restarted {
                Timestamp(u64::MAX)
            } else {
                flushed_at
            };
            let probe = tokio::select! {
                () = shared.stop.cancelled() => return Ok(false),
                flushed = self.hurried(heeded) => {
                    self.tell(|course| course.probing = false);
                    flushed_at = flushed;
                    is_restarted = true;
                    next = Instant::now();
                    continue;
                }
                probe = shared.probed(&domain) => probe,
            };
            is_restarted = false;
            match self.weigh(&domain, probe).await? {
                Ok(()) => {
                    self.come_back(&domain).await?;
                    self.probe_at = Instant::now() + self.probe_interval();
                    return Ok(true);
                }
                Err(reason) => {
                    tracing::debug!(domain = %self.name, reason, "primary is still down");
                    self.note_error(&reason);
                    self.observe_reason(reason).await?;
                    // Counted from its beginning: one that took its time makes nobody wait longer.
                    next = began + self.probe_interval();
                }
            }
        }
    }

    /// Records why the primary is still down, where that is another reason now: who mends it is not to look in the wrong
    /// place. At once where it has become a matter of the route, or is one no more: it is for someone else to
    /// mend. Else now and then, as several hosts may have different reasons in turn.
    async fn observe_reason(&mut self, reason: String) -> Result<(), OutboxError> {
        let destination = self.shared.outbox.destination(&self.name);
        let Reachability::Down(recorded) = destination.reachability else {
            return Ok(());
        };
        let is_routeless = [&reason, &recorded]
            .iter()
            .any(|why| why.starts_with(NO_ROUTE));
        let is_told = self.told_why_at.elapsed() < self.shared.config.timeouts.refresh;
        if is_same(&reason, &recorded) || (is_told && !is_routeless) {
            return Ok(());
        }
        tracing::info!(domain = %self.name, reason, "primary is still down, and why is another reason now");
        self.told_why_at = Instant::now();
        self.observe(Reachability::Down(reason)).await
    }

    /// Returns when there is a reason to probe at once: the domain was flushed after a moment, or the
    /// policy has changed. Returns when it was last flushed.
    async fn hurried(&mut self, earlier: Timestamp) -> Timestamp {
        loop {
            let flushed_at = self.recorded().flushed_at;
            if flushed_at > earlier || self.is_outdated() {
                return flushed_at;
            }
            self.changed().await;
        }
    }
}

/// Whether two reasons say the same but for numbers: sessions, times, and addresses that take turns.
fn is_same(reason: &str, other: &str) -> bool {
    let words = |reason: &str| reason.replace(|c: char| c.is_ascii_digit(), "");
    words(reason) == words(other)
}

/// An interval or up to a tenth less, so that probes of many domains to one host do not stay in step, and none
/// comes later than the policy says.
fn spread(interval: Duration) -> Duration {
    interval.mul_f64(random_range(0.9..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_probe_comes_later_than_the_policy_says() {
        let interval = Duration::from_mins(5);
        let waits: Vec<Duration> = (0..1000).map(|_| spread(interval)).collect();
        assert!(waits.iter().all(|wait| *wait <= interval));
        assert!(waits.iter().all(|wait| *wait >= interval * 9 / 10));
        assert!(waits.iter().min() < waits.iter().max());
    }
}
