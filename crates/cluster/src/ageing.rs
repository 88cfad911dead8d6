//! Mail that grows old: what expires soon is counted, what is too old is given up, and what was refused too long ago
//! is dropped.
//!
//! ```text
//!   each node    the front of each queue, up to the first message that is young enough ─▶ figures
//!   the leader   the same ─▶ Expire ─▶ log
//!                now and then, all messages, if any is rejected ─▶ Lapse ─▶ log
//! ```
//!
//! A queue stands in order of arrival, so where nothing is too old one row is read.

mod lapsing;
mod pace;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use spool::{
    Ageing, Clock, Command, Expire, Timestamp, apply::EXPIRE_MAX, batch, outage::EXPIRY_NOTICE,
};
use tokio::{sync::watch, time::interval};
use tokio_util::sync::CancellationToken;

use lapsing::Lapsing;
use pace::{Going, Pace};

use crate::{
    limits,
    propose::Proposer,
    status::Leadership,
    store::{Aged, Tables},
};

/// A domain's messages that expire within 72 hours, if its primary is up until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// How many; of very many not all are counted.
    pub messages: u64,
    /// When the first expires.
    pub first: Timestamp,
}

/// What each domain's counting has come to.
pub(crate) type Counted = Arc<Mutex<BTreeMap<String, Expiring>>>;

/// Looks after mail that grows old until stopped.
pub(crate) struct Watcher {
    pub(crate) tables: Arc<Tables>,
    pub(crate) proposer: Proposer,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) clock: Clock,
    pub(crate) counted: Counted,
}

impl Watcher {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = interval(limits::AGEING_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut counted_at: Option<Instant> = None;
        let mut warned: BTreeMap<String, Instant> = BTreeMap::new();
        let mut spared: BTreeMap<String, Instant> = BTreeMap::new();
        let mut lapsing = Lapsing::new();
        let mut pace = Pace::new();
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if self.may_expire(&mut pace) && self.leadership.borrow().leading {
                let expired = stop.run_until_cancelled(self.expire_all(&mut spared)).await;
                report(
                    expired.unwrap_or(Ok(())),
                    "mail that is too old was not found",
                );
                let lapsed = stop.run_until_cancelled(lapsing.look(&self));
                report(
                    lapsed.await.unwrap_or(Ok(())),
                    "mail that was refused long ago was not found",
                );
            }
            if counted_at.is_none_or(|at| at.elapsed() >= limits::EXPIRING_INTERVAL) {
                counted_at = Some(Instant::now());
                report(
                    self.count_all().await,
                    "mail that expires soon was not counted",
                );
                self.warn(&mut warned);
            }
        }
    }

    /// Whether the clock has gone steadily for long enough that mail may be given up by it.
    fn may_expire(&self, pace: &mut Pace) -> bool {
        let going = pace.look(self.clock.now(), Instant::now());
        if let Going::Jumped(by) = going {
            tracing::warn!(
                by_seconds = by.as_secs(),
                "the clock has jumped: no mail is given up for its age within the next hour; set the clock if it is wrong"
            );
        }
        going == Going::Steadily
    }

    /// Domains that have mail to be delivered.
    fn domains(&self) -> Vec<String> {
        let figures = self.tables.figures();
        let domains = figures.destinations.iter();
        let with_mail = domains.filter(|(_, destination)| destination.totals.undelivered() > 0);
        with_mail.map(|(domain, _)| domain.clone()).collect()
    }

    /// Looks through each domain's mail; not at once again where much was received long ago and is spared all the
    /// same: each of it is read to know so.
    async fn expire_all(&self, spared: &mut BTreeMap<String, Instant>) -> io::Result<()> {
        spared.retain(|_, at| at.elapsed() < limits::SPARED_REST);
        for domain in self.domains() {
            if !spared.contains_key(&domain) && self.expire(&domain).await? {
                spared.insert(domain, Instant::now());
            }
        }
        Ok(())
    }

    /// Returns whether so much as a whole page was spared.
    async fn expire(&self, domain: &str) -> io::Result<bool> {
        let at = self.clock.now();
        let mut after = 0;
        let mut much_is_spared = false;
        loop {
            let read = self.read(domain, at, move |tables, domain, ageing| {
                let expired = ageing.expired();
                let aged = tables.aged(domain, after, expired, EXPIRE_MAX)?;
                let may_expire = |aged: &&Aged| {
                    aged.counts_from <= expired && (ageing.is_at_rest() || !aged.is_claimed)
                };
                let mut expiring: Vec<&Aged> = aged.iter().filter(may_expire).collect();
                let fitting = batch::fitting(expiring.iter().map(|aged| aged.recipients));
                let last = if fitting < expiring.len() {
                    expiring.truncate(fitting);
                    expiring.last().copied()
                } else {
                    aged.last()
                };
                let sequences = expiring.iter().map(|aged| aged.sequence).collect();
                Ok((last.map(|last| (last.sequence, aged.len())), sequences))
            });
            let (last, sequences): (Option<(u64, usize)>, Vec<u64>) = read.await?;
            let Some((last, count)) = last else {
                return Ok(much_is_spared);
            };
            after = last;
            if sequences.is_empty() {
                much_is_spared |= count >= EXPIRE_MAX;
                continue;
            }
            let messages = sequences.len();
            let expire = Expire {
                domain: domain.to_owned(),
                at,
                sequences,
            };
            if let Err(refusal) = self.proposer.propose(Command::Expire(expire)).await {
                tracing::debug!(%refusal, "mail that is too old has to wait");
                return Ok(false);
            }
            tracing::warn!(
                domain,
                messages,
                "mail was not delivered in time and is given up: see `layover queue list --state rejected`"
            );
        }
    }

    async fn count_all(&self) -> io::Result<()> {
        let at = self.clock.now();
        let mut counted = BTreeMap::new();
        for domain in self.domains() {
            let read = self.read(&domain, at, |tables, domain, ageing| {
                let until = ageing.expiring(EXPIRY_NOTICE);
                let mut aged = tables.aged(domain, 0, until, limits::EXPIRING_MAX)?;
                aged.retain(|aged| aged.counts_from <= until);
                let first = aged.iter().map(|aged| aged.counts_from).min();
                Ok(first.map(|first| Expiring {
                    messages: aged.len() as u64,
                    first: ageing.expiry(first).at,
                }))
            });
            if let Some(expiring) = read.await? {
                counted.insert(domain, expiring);
            }
        }
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = counted;
        Ok(())
    }

    /// Warns of each domain's mail that expires soon, once a day.
    fn warn(&self, warned: &mut BTreeMap<String, Instant>) {
        warned.retain(|_, at| at.elapsed() < limits::EXPIRING_WARN_INTERVAL);
        if !self.leadership.borrow().leading {
            return;
        }
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for (domain, expiring) in counted.iter() {
            if warned.contains_key(domain) {
                continue;
            }
            warned.insert(domain.clone(), Instant::now());
            tracing::warn!(
                domain,
                messages = expiring.messages,
                first_unix_ms = expiring.first.0,
                "mail expires within 72 hours unless its primary takes it"
            );
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        domain: &str,
        at: Timestamp,
        read: impl FnOnce(&Tables, &str, &Ageing) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (tables, domain) = (Arc::clone(&self.tables), domain.to_owned());
        let read = move || {
            let ageing = tables.ageing(&domain, at)?;
            read(&tables, &domain, &ageing)
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(io::Error::other)?
    }
}

fn report(done: io::Result<()>, what: &str) {
    if let Err(error) = done {
        tracing::warn!(%error, "{what}");
    }
}
