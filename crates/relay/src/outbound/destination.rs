//! One domain's task: waits for a primary that is down, and empties the queue of one that is up.
//!
//! ```text
//!   recorded down ─▶ probing ───ready───▶ draining ──nothing left──▶ end
//!                       ▲                   │  │ ▲
//!                       └── no host talks ──┘  │ └─ resumed
//!                                              └─ failed its trial ─▶ held
//! ```
//!
//! A domain that an operator has paused does not drain: its task keeps the window as it is, starts nothing,
//! and looks every so often whether the primary answers.
//!
//! A primary that is down changes no message: its messages stay in the window for a moment, then in the spool.
//!
//! The policy may change at any time. Workers end when it says something else of the domain than when
//! they began, with the message that is on its way; new ones begin with what it says now.
//!
//! That a primary comes and goes is recorded only so often (`STEADY`): what is found out between is acted on
//! here and forgotten, unless a trial is to follow.
//!
//! Where the domain has a sentry, draining does not end, and a worker without a message connects every
//! so often: senders are sent to the primary only while it answers. What is recorded are changes, so
//! one that comes and goes costs an entry of the log for each probe at most.

mod pause;
mod probing;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

use spool::policy::{Domain, Order};
use spool::ports::OutboxError;
use spool::{Course, Destination, Outbox, Reachability};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::outbound::limits::STORAGE_RETRY;
use crate::outbound::queue::Queue;
use crate::outbound::report::Settled;
use crate::outbound::supply::Supply;
use crate::outbound::trial::OpenTrial;
use crate::outbound::worker::{Parting, Worker};
use crate::outbound::{Shared, resume};

/// The task of one domain.
#[derive(Debug)]
pub(super) struct DestinationTask<O> {
    shared: Arc<Shared<O>>,
    name: String,
    changes: watch::Receiver<u64>,
    results: mpsc::Sender<Settled>,
    workers: JoinSet<Parting>,
    /// What the policy said of the domain when it was last looked at.
    route: watch::Sender<Option<Arc<Domain>>>,
    /// Why a worker could not connect, and how much had been delivered by then. No further
    /// connection is tried until more has.
    refused: Option<(String, u64)>,
    /// When the primary is asked next whether it answers, if nothing is sent to it meanwhile.
    probe_at: Instant,
    /// When it was last recorded why the primary is down.
    told_why_at: Instant,
    /// What the primary says while it is back and not believed yet.
    trial: Option<Arc<OpenTrial>>,
    /// Why the primary is down, while that is not recorded yet.
    unrecorded: Option<String>,
    /// Since when the primary talks and is not ready.
    hesitates_since: Option<Instant>,
}

/// Why draining ended.
enum Drained {
    /// Nothing is left and there is no sentry, or the forwarder stops, or the policy does not let this
    /// task go on.
    Done,
    /// An operator has paused the domain, or that has ended.
    Turned,
    /// The primary has failed its trial.
    Held,
    /// None of the primary's hosts talks to us.
    Unreachable(String),
}

/// What draining acts on next.
enum Action {
    Stop,
    Look,
    Probe,
    Parted(Result<Parting, JoinError>),
}

impl<O: Outbox> DestinationTask<O> {
    pub(super) fn new(
        shared: Arc<Shared<O>>,
        name: String,
        changes: watch::Receiver<u64>,
        results: mpsc::Sender<Settled>,
    ) -> Self {
        Self {
            shared,
            name,
            changes,
            results,
            workers: JoinSet::new(),
            route: watch::Sender::new(None),
            refused: None,
            // What an earlier leader knew may be old.
            probe_at: Instant::now(),
            told_why_at: Instant::now(),
            trial: None,
            unrecorded: None,
            hesitates_since: None,
        }
    }

    /// Runs until nothing is left to deliver (with a sentry, for as long as this node leads), or the policy
    /// knows the domain no longer, or has another order for it: a window keeps the one that it was made
    /// with.
    ///
    /// # Errors
    /// This node leads no longer; all of the forwarder stops then.
    pub(super) async fn run(mut self) -> Result<(), OutboxError> {
        let Some(domain) = self.look_up() else {
            return Ok(());
        };
        if !domain.sentry {
            self.probe_at += self.look_interval(&domain);
        }
        // The window outlives outages: its results may still be on their way to the spool, and a
        // new one would read their messages again.
        let queue = Arc::new(Queue::new(domain.order));
        let mut supply = Supply::new(self.shared.clone(), self.name.clone(), queue.clone());
        let ended = self.serve(domain.order, &queue, &mut supply).await;
        if ended.is_err() {
            self.shared.stop.cancel();
        }
        // What has not started goes back at once. Workers end by themselves once the forwarder stops, or
        // the policy has changed. What they put back follows.
        supply.give_back().await;
        while self.workers.join_next().await.is_some() {}
        supply.give_back().await;
        self.all_reported(&queue).await;
        self.shared.config.progress.forget(&self.name);
        ended
    }

    /// Waits until the spool knows every result: the domain's next window must not find there what has
    /// left. When the forwarder stops there is none.
    async fn all_reported(&self, queue: &Queue) {
        while !queue.is_empty() {
            tokio::select! {
                () = queue.attention() => {}
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    async fn serve(
        &mut self,
        order: Order,
        queue: &Arc<Queue>,
        supply: &mut Supply<O>,
    ) -> Result<(), OutboxError> {
        let mut down = self.recorded().is_down();
        // What an earlier leader knew may be old, so the first probe does not wait.
        let mut wait = Duration::ZERO;
        loop {
            if !self.wait_until_resumed(order).await
                || (down && !self.wait_until_up(order, wait, supply).await?)
            {
                return Ok(());
            }
            let ended = if self.pause_left().is_some() {
                self.keep_back(order).await?
            } else {
                self.drain(order, queue, supply).await?
            };
            match ended {
                Drained::Done => return Ok(()),
                Drained::Turned | Drained::Held => down = false,
                Drained::Unreachable(words) => {
                    tracing::warn!(domain = %self.name, reason = %words, "primary is down");
                    queue.begin_slowly();
                    self.note_error(&words);
                    self.unrecorded = Some(words);
                    down = true;
                    wait = self.probe_interval();
                }
            }
        }
    }

    /// What all nodes know of the domain.
    fn recorded(&self) -> Destination {
        self.shared.outbox.destination(&self.name)
    }

    fn note_error(&self, words: &str) {
        let at = self.shared.clock.now();
        self.tell(|course| course.last_error = Some((at, words.to_owned())));
    }

    fn tell(&self, change: impl FnOnce(&mut Course)) {
        self.shared.config.progress.change(&self.name, change);
    }

    /// What the policy says of the domain now. Workers that go by something else end.
    fn look_up(&mut self) -> Option<Arc<Domain>> {
        let policy = self.shared.outbox.policy();
        let now = policy.as_ref().and_then(|policy| policy.domain(&self.name));
        let changed = self.route.send_if_modified(|known| {
            let changed = known.as_deref() != now;
            if changed {
                *known = now.cloned().map(Arc::new);
            }
            changed
        });
        if changed {
            // That was another primary.
            self.refused = None;
        }
        self.route.borrow().clone()
    }

    /// The same, as long as this task's window fits it.
    fn look_up_ordered(&mut self, order: Order) -> Option<Arc<Domain>> {
        self.look_up().filter(|domain| domain.order == order)
    }

    /// Whether the policy says something else of the domain than when it was last looked at.
    fn is_outdated(&self) -> bool {
        let policy = self.shared.outbox.policy();
        let now = policy.as_ref().and_then(|policy| policy.domain(&self.name));
        self.route.borrow().as_deref() != now
    }

    async fn observe(&self, reachability: Reachability) -> Result<(), OutboxError> {
        self.shared.observe(&self.name, reachability).await
    }

    async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The forwarder is gone, and stops this task.
            std::future::pending::<()>().await;
        }
    }

    /// Delivers until nothing is left or the primary does not talk to us any more.
    async fn drain(
        &mut self,
        order: Order,
        queue: &Arc<Queue>,
        supply: &mut Supply<O>,
    ) -> Result<Drained, OutboxError> {
        self.refused = None;
        let since = self.shared.clock.now();
        self.tell(|course| course.draining_since = Some(since));
        loop {
            // A sentry's task is woken by everybody's mail, and there is mostly none of its own.
            if !supply.is_exhausted() {
                self.refill(supply).await?;
            }
            let Some(domain) = self.look_up_ordered(order) else {
                break;
            };
            if self.pause_left().is_some() {
                return Ok(Drained::Turned);
            }
            if self.attend_trial(&domain, supply).await? {
                return Ok(Drained::Held);
            }
            self.start_workers(queue, &domain);
            let connections = self.workers.len();
            self.tell(|course| course.connections = connections);
            if self.workers.is_empty() && supply.is_exhausted() && !domain.sentry {
                return Ok(Drained::Done);
            }
            match self.next_action(queue, supply).await {
                Action::Look => {}
                Action::Probe => {
                    self.probe_at = Instant::now() + self.look_interval(&domain);
                    let probe = self.worker(queue, &domain).probe();
                    self.workers.spawn(probe);
                }
                Action::Stop => break,
                Action::Parted(parting) => {
                    let parting = parting.unwrap_or_else(|error| resume(error));
                    if let Some(drained) = self.part(queue, parting).await? {
                        self.tell(|course| course.connections = 0);
                        return Ok(drained);
                    }
                }
            }
        }
        Ok(Drained::Done)
    }

    /// Reads ahead. A store that fails to answer is asked again, until the node gives up on it.
    async fn refill(&self, supply: &mut Supply<O>) -> Result<(), OutboxError> {
        loop {
            // A claim may take as long as the quorum does.
            let refilled = tokio::select! {
                refilled = supply.refill() => refilled,
                () = self.shared.stop.cancelled() => return Ok(()),
            };
            match refilled {
                Ok(()) => return Ok(()),
                Err(OutboxError::NotLeading) => return Err(OutboxError::NotLeading),
                Err(error) => {
                    tracing::error!(domain = %self.name, %error, "the queue could not be read");
                    tokio::select! {
                        () = sleep(STORAGE_RETRY) => {}
                        () = self.shared.stop.cancelled() => return Ok(()),
                    }
                }
            }
        }
    }

    fn start_workers(&mut self, queue: &Arc<Queue>, domain: &Arc<Domain>) {
        if self
            .refused
            .as_ref()
            .is_some_and(|(_, delivered)| *delivered == queue.delivered())
        {
            return;
        }
        let connections_max = domain.connections as usize;
        let on_trial = self.trial.is_some();
        let wanted = queue.workers_wanted(self.workers.len(), connections_max, on_trial);
        for _ in 0..wanted {
            let worker = self.worker(queue, domain);
            self.workers.spawn(worker.run());
        }
    }

    fn worker(&self, queue: &Arc<Queue>, domain: &Arc<Domain>) -> Worker<O> {
        Worker {
            shared: self.shared.clone(),
            queue: queue.clone(),
            domain: domain.clone(),
            route: self.route.subscribe(),
            results: self.results.clone(),
            trial: self.trial.clone(),
        }
    }

    async fn next_action(&mut self, queue: &Queue, supply: &Supply<O>) -> Action {
        // Where workers are at it, they find out.
        let probes = self.workers.is_empty();
        // One that has refused a connection gets no more of them.
        let stalls_at = queue.stalls_at().filter(|_| self.refused.is_none());
        let stalled = sleep_until(stalls_at.unwrap_or_else(Instant::now));
        tokio::select! {
            () = self.shared.stop.cancelled() => Action::Stop,
            Some(parting) = self.workers.join_next() => Action::Parted(parting),
            () = queue.attention() => Action::Look,
            Ok(()) = self.changes.changed() => Action::Look,
            () = sleep(supply.until_due()) => Action::Look,
            () = sleep_until(self.probe_at), if probes => Action::Probe,
            () = stalled, if stalls_at.is_some() => {
                queue.widen_if_stalled();
                Action::Look
            }
        }
    }

    /// A worker has ended. Returns why draining does, once that is certain.
    async fn part(
        &mut self,
        queue: &Queue,
        parting: Parting,
    ) -> Result<Option<Drained>, OutboxError> {
        match parting {
            Parting::Idle => self.heard_of(),
            Parting::Distrusted(why) => {
                self.trip(why).await?;
                return Ok(Some(Drained::Held));
            }
            Parting::Spool(OutboxError::NotLeading) => return Err(OutboxError::NotLeading),
            Parting::Spool(error) => {
                tracing::error!(domain = %self.name, %error, "a message could not be read");
                sleep(STORAGE_RETRY).await;
            }
            Parting::Unreachable(words) => {
                tracing::debug!(domain = %self.name, reason = %words, "no connection");
                self.note_error(&words);
                queue.halve_connections();
                // The count tells whether the primary has taken anything since the first refusal.
                let first = self.refused.take().map(|(_, delivered)| delivered);
                self.refused = Some((words, first.unwrap_or_else(|| queue.delivered())));
            }
        }
        if !self.workers.is_empty() {
            return Ok(None);
        }
        // A primary that took mail over other connections after it had refused one is busy, not
        // down; a new connection will tell.
        let refused = self.refused.take();
        Ok(refused
            .filter(|(_, delivered)| *delivered == queue.delivered())
            .map(|(words, _)| Drained::Unreachable(words)))
    }
}
