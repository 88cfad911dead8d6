//! Deliveries out, while this node leads.
//!
//! ```text
//!   Forwarder ──▶ destination (one task a domain) ──▶ worker (one connection) ──▶ primary
//!                   │ supply: reads the outbox            │
//!                   └────────▶ queue: window ─────────────┤
//!                                  ▲                      ▼
//!                                  └──────────────────  report ──▶ Outbox::report
//! ```
//!
//! Beside them one task writes the reports that senders are owed (`notices`), and one takes them to the senders' own
//! hosts while there is no smarthost (`courier`).
//!
//! Only the outbox knows what is queued; all that is here is forgotten when leadership goes.

mod account;
mod acquaintances;
mod belief;
mod claims;
pub(crate) mod connection;
mod contact;
mod courier;
pub(crate) mod dane;
mod dead_ends;
mod delivery;
mod destination;
mod distrust;
mod fitness;
mod hand_in;
mod leftovers;
mod lessons;
pub mod limits;
mod metrics;
mod notices;
mod open;
mod origin;
mod places;
pub(crate) mod probe;
mod progress;
pub(crate) mod protection;
mod queue;
mod readiness;
mod refresh;
mod report;
mod scout;
mod stream;
mod supply;
pub(crate) mod tls;
mod transaction;
mod trial;
pub mod window;
mod words;
mod worker;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use spool::ports::OutboxError;
use spool::{Clock, Outbox, notice};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::outbound::acquaintances::Acquaintances;
use crate::outbound::courier::Courier;
use crate::outbound::destination::DestinationTask;
use crate::outbound::distrust::Distrust;
use crate::outbound::limits::{CHANGES_MIN, REPORT_GRACE, STOP_GRACE, Timeouts, UNREPORTED_MAX};
use crate::outbound::refresh::refresh;
use crate::outbound::report::{Settled, report};
use crate::outbound::tls::Connectors;
use crate::route::Routes;

pub use leftovers::Leftovers;
pub use metrics::Metrics;
pub use places::Places;
pub use probe::{Step, probe};
pub use progress::Progress;
pub use scout::scout;

/// What the forwarder is told about its node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The term in which this node leads: its claims are made in it.
    pub term: u64,
    /// What EHLO says.
    pub hostname: String,
    /// Where mail goes.
    pub routes: Arc<Routes>,
    /// Where connections take their places.
    pub places: Places,
    /// How patient deliveries are; [`Timeouts::STANDARD`] but in tests.
    pub timeouts: Timeouts,
    /// Where it is told how the domains are getting on.
    pub progress: Progress,
    /// What the forwarder before this one could not record.
    pub leftovers: Leftovers,
}

/// What all tasks of one forwarder share.
#[derive(Debug)]
struct Shared<O> {
    outbox: Arc<O>,
    config: Config,
    clock: Clock,
    metrics: Metrics,
    connectors: Connectors,
    distrust: Distrust,
    acquaintances: Acquaintances,
    /// Until when what earlier leaders have claimed is left to them.
    doubt_ends: Instant,
    /// No new message is started once this is cancelled.
    stop: CancellationToken,
}

/// Delivers what is due, for as long as this node leads.
#[derive(Debug)]
pub struct Forwarder<O> {
    shared: Arc<Shared<O>>,
    /// One task for each domain that has something to deliver, whose primary is down or on trial, or
    /// which has a sentry; and the one that writes reports, by the name of no domain.
    domains: JoinSet<(String, Result<(), OutboxError>)>,
    active: HashSet<String>,
    changes: watch::Sender<u64>,
    results: mpsc::Sender<Settled>,
}

/// What the forwarder acts on next.
enum Action {
    Stop,
    Changed(u64),
    Ended(Result<(String, Result<(), OutboxError>), JoinError>),
    Unreportable(Result<Result<(), OutboxError>, JoinError>),
}

impl<O: Outbox> Forwarder<O> {
    /// Runs until `stop` is cancelled or this node leads no longer. Deliveries under way are
    /// ended and recorded first, where that is still possible, and what was only claimed is given
    /// back, so that the next leader waits for nothing.
    ///
    /// # Errors
    /// Why the outbox does not take results any more. [`OutboxError::NotLeading`] is an ordinary
    /// end: someone else delivers.
    pub async fn run(
        outbox: Arc<O>,
        config: Config,
        clock: Clock,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Result<(), OutboxError> {
        // A forwarder before this one may have led in the same term, and have ended because a report
        // took too long. It may be in the log all the same, and what was claimed looks like ours.
        match stop.run_until_cancelled(outbox.settle(config.term)).await {
            Some(settled) => settled?,
            None => return Ok(()),
        }
        let leftovers = config.leftovers.clone();
        let recorded = leftovers.report(&*outbox, config.term);
        match stop.run_until_cancelled(recorded).await {
            Some(recorded) => recorded?,
            None => return Ok(()),
        }
        let (results, unreported) = mpsc::channel(UNREPORTED_MAX);
        let connectors = Connectors::new();
        let stop = stop.child_token();
        let mut reporter = JoinSet::new();
        reporter.spawn(report(outbox.clone(), config.term, unreported, leftovers));
        let shared = Arc::new(Shared {
            doubt_ends: Instant::now() + config.timeouts.in_doubt,
            outbox,
            config,
            clock,
            metrics,
            connectors,
            distrust: Distrust::default(),
            acquaintances: Acquaintances::default(),
            stop,
        });
        let forwarder = Self {
            shared: Arc::clone(&shared),
            domains: JoinSet::new(),
            active: HashSet::new(),
            changes: watch::Sender::new(0),
            results,
        };
        let ended = tokio::select! {
            ended = forwarder.supervise(reporter) => ended,
            never = refresh(&shared) => match never {},
        };
        shared.config.progress.clear();
        ended
    }

    async fn supervise(
        mut self,
        mut reporter: JoinSet<Result<(), OutboxError>>,
    ) -> Result<(), OutboxError> {
        let shared = Arc::clone(&self.shared);
        self.domains
            .spawn(async move { (String::new(), notices::write(&shared).await) });
        let mut seen = 0;
        let ended = loop {
            self.start_domains();
            match self.next_action(seen, &mut reporter).await {
                Action::Stop => break Ok(()),
                Action::Changed(now) => {
                    seen = now;
                    self.changes.send_replace(now);
                }
                Action::Ended(Ok((domain, Ok(())))) => {
                    self.active.remove(&domain);
                }
                Action::Ended(Ok((_, Err(error)))) => break Err(error),
                Action::Unreportable(Ok(ended)) => break ended,
                Action::Ended(Err(error)) | Action::Unreportable(Err(error)) => resume(error),
            }
        };
        self.end(ended, reporter).await
    }

    async fn next_action(
        &mut self,
        seen: u64,
        reporter: &mut JoinSet<Result<(), OutboxError>>,
    ) -> Action {
        let changed = async {
            let now = self.shared.outbox.changed_since(seen).await;
            sleep(CHANGES_MIN).await;
            now
        };
        tokio::select! {
            () = self.shared.stop.cancelled() => Action::Stop,
            Some(ended) = reporter.join_next() => Action::Unreportable(ended),
            Some(ended) = self.domains.join_next() => Action::Ended(ended),
            now = changed => Action::Changed(now),
        }
    }

    /// Starts a task for each domain that needs one and has none.
    fn start_domains(&mut self) {
        for domain in self.wanted() {
            if self.active.contains(&domain) {
                continue;
            }
            if self.is_routed(&domain) {
                self.start_domain(domain);
            } else if domain == notice::QUEUE && courier::is_wanted(&self.shared) {
                self.start_courier(domain);
            }
        }
    }

    fn start_domain(&mut self, domain: String) {
        self.active.insert(domain.clone());
        let task = DestinationTask::new(
            self.shared.clone(),
            domain.clone(),
            self.changes.subscribe(),
            self.results.clone(),
        );
        self.domains
            .spawn(async move { (domain, task.run().await) });
    }

    fn start_courier(&mut self, domain: String) {
        self.active.insert(domain.clone());
        let courier = Courier::new(self.shared.clone(), self.changes.subscribe());
        self.domains
            .spawn(async move { (domain, courier.run().await) });
    }

    fn wanted(&self) -> Vec<String> {
        let destinations = self.shared.outbox.destinations().into_iter();
        let busy = destinations.filter(|(_, destination)| {
            !destination.is_believed() || destination.totals.undelivered() > 0
        });
        let mut wanted: Vec<String> = busy.map(|(domain, _)| domain).collect();
        if let Some(policy) = self.shared.outbox.policy() {
            let watched = policy.domains.iter().filter(|domain| domain.sentry);
            wanted.extend(watched.map(|domain| domain.name.clone()));
        }
        wanted
    }

    /// Whether the policy still knows the domain. Mail of one that it no longer knows waits.
    fn is_routed(&self, domain: &str) -> bool {
        self.shared
            .outbox
            .policy()
            .is_some_and(|policy| policy.domain(domain).is_some())
    }

    /// Ends what is under way. A message whose final dot is out gets its verdict also when this
    /// node leads no longer: the next leader waits for it. When nothing can be recorded any more,
    /// nothing more should be delivered either.
    async fn end(
        mut self,
        mut ended: Result<(), OutboxError>,
        mut reporter: JoinSet<Result<(), OutboxError>>,
    ) -> Result<(), OutboxError> {
        self.shared.stop.cancel();
        if !self.results.is_closed() {
            let joined = timeout(STOP_GRACE, self.join_domains(&mut ended)).await;
            if joined.is_err() {
                tracing::warn!("deliveries did not end in time and were broken off");
            }
        }
        self.domains.shutdown().await;
        drop(self.results);
        match timeout(REPORT_GRACE, reporter.join_next()).await {
            Ok(Some(Ok(reported))) => ended.and(reported),
            Ok(Some(Err(error))) => resume(error),
            Ok(None) => ended,
            Err(_) => {
                tracing::warn!("the last results could not be recorded in time: possible repeats");
                ended
            }
        }
    }

    async fn join_domains(&mut self, ended: &mut Result<(), OutboxError>) {
        while let Some(joined) = self.domains.join_next().await {
            match joined {
                Ok((_, result)) if ended.is_ok() => *ended = result,
                Ok(_) => {}
                Err(error) => resume(error),
            }
        }
    }
}

/// Passes a task's panic on. Tasks are aborted only after everything else has ended.
fn resume(error: JoinError) -> ! {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => unreachable!("no task is aborted while it is waited for: {error}"),
    }
}
