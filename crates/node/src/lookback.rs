//! What this node has seen of the queues since its start, in memory: how much waited in the last day, and how
//! outages have ended.
//!
//! All nodes remember when an outage began and ended. How much mail waited at its end, and how long that took to
//! leave, changes nothing that the spool does, so it is no part of what nodes agree on.

mod day;
mod endings;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cluster::Cluster;
use spool::{Clock, Destination, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use day::{MINUTES, Sample, minute_of};
pub(crate) use endings::{Drain, Ending};

use day::Day;
use endings::Endings;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was seen.
#[derive(Debug)]
pub(crate) struct Lookback {
    begun_at: Timestamp,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    day: Day,
    domains: BTreeMap<String, Endings>,
}

impl Lookback {
    /// One that has seen nothing before this moment.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            begun_at: now,
            seen: Mutex::default(),
        }
    }

    /// Looks, until the token is cancelled.
    pub(crate) async fn run(&self, cluster: &Cluster, clock: Clock, stop: CancellationToken) {
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.look(&cluster.destinations(), clock.now());
        }
    }

    fn look(&self, destinations: &[(String, Destination)], now: Timestamp) {
        let mut seen = self.seen();
        let totals = destinations.iter().map(|(_, own)| &own.totals);
        let waiting = totals.map(|totals| totals.waiting + totals.deferred).sum();
        seen.day.look(waiting, now);
        let mut before = std::mem::take(&mut seen.domains);
        for (name, destination) in destinations {
            let mut endings = before.remove(name).unwrap_or_default();
            endings.look(destination, now);
            seen.domains.insert(name.clone(), endings);
        }
    }

    /// Since when it looks.
    pub(crate) const fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    /// How much mail waited in the minutes of the last day, the earliest first.
    pub(crate) fn day(&self) -> Vec<Sample> {
        self.seen().day.samples()
    }

    /// How a domain's outage ended that began at a moment; `None` when that was not seen.
    pub(crate) fn ending(&self, domain: &str, since: Timestamp) -> Option<Ending> {
        let seen = self.seen();
        seen.domains.get(domain).and_then(|own| own.of(since))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
