//! Mail that waits long: whoever has sent it is owed a notice, once.
//!
//! A queue stands in order of arrival, so what is late stands at its front. The leader walks over each, and
//! remembers how far it has come: a message is read once, however long it waits. What operators have released or
//! had delivered again stands in its old place, so it begins anew when they have done something.

use std::{collections::BTreeMap, io, sync::Arc};

use spool::{
    Clock, Command, Delay, batch,
    notice::{self, DELAY_MAX},
    policy::Reports,
};
use tokio::{sync::watch, time::interval};
use tokio_util::sync::CancellationToken;

use crate::{limits, propose::Proposer, status::Leadership, store::Tables};

/// Looks for mail that is late, until stopped.
pub(crate) struct Delays {
    pub(crate) tables: Arc<Tables>,
    pub(crate) proposer: Proposer,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) clock: Clock,
}

/// How far the walks have come under one policy.
#[derive(Default)]
struct Walks {
    policy_version: u64,
    domains: BTreeMap<String, Walk>,
}

/// How far one domain's has.
#[derive(Clone, Copy, Default)]
struct Walk {
    /// The last place that was looked at.
    after: u64,
    /// Of the domain, when the walk began.
    revision: u64,
}

impl Delays {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = interval(limits::DELAYS_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut walks = Walks::default();
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if !self.leadership.borrow().leading {
                walks = Walks::default();
                continue;
            }
            let looked = stop.run_until_cancelled(self.look(&mut walks)).await;
            if let Some(Err(error)) = looked {
                tracing::warn!(%error, "mail that is late was not found");
            }
        }
    }

    async fn look(&self, walks: &mut Walks) -> io::Result<()> {
        let Some((version, reports)) = self.reports() else {
            return Ok(());
        };
        if walks.policy_version != version {
            *walks = Walks {
                policy_version: version,
                ..Walks::default()
            };
        }
        if reports.delay_notice_after.is_zero() {
            return Ok(());
        }
        let queues = self.queues();
        walks
            .domains
            .retain(|domain, _| queues.contains_key(domain));
        for (domain, revision) in queues {
            let walk = walks.domains.entry(domain.clone()).or_default();
            if walk.revision != revision {
                *walk = Walk { after: 0, revision };
            }
            self.walk(&domain, walk, &reports).await?;
        }
        Ok(())
    }

    /// How senders are told by the policy in force, and its version.
    fn reports(&self) -> Option<(u64, Reports)> {
        let figures = self.tables.figures();
        let in_force = figures.policy.as_ref()?;
        Some((in_force.version, in_force.policy.reports.clone()))
    }

    /// Domains that have mail to be delivered, with their revisions. Nobody is told of reports.
    fn queues(&self) -> BTreeMap<String, u64> {
        let figures = self.tables.figures();
        let domains = figures.destinations.iter();
        let with_mail = domains.filter(|(domain, destination)| {
            destination.totals.undelivered() > 0 && *domain != notice::QUEUE
        });
        with_mail
            .map(|(domain, destination)| (domain.clone(), destination.revision))
            .collect()
    }

    /// Goes on to the first message that is not late yet.
    async fn walk(&self, domain: &str, walk: &mut Walk, reports: &Reports) -> io::Result<()> {
        loop {
            let at = self.clock.now();
            let (tables, name) = (Arc::clone(&self.tables), domain.to_owned());
            let (after, how) = (walk.after, reports.clone());
            let read = move || tables.late(&name, after, &how, at, DELAY_MAX);
            let read = tokio::task::spawn_blocking(read).await;
            let late = read.map_err(io::Error::other)??;
            let fitting = batch::fitting(late.messages.iter().map(|(_, recipients)| *recipients));
            let told = late.messages.get(..fitting).unwrap_or_default();
            let sequences: Vec<u64> = told.iter().map(|(sequence, _)| *sequence).collect();
            let last = match sequences.last() {
                Some(last) if fitting < late.messages.len() => *last,
                _ => late.last,
            };
            let messages = sequences.len();
            if messages > 0 {
                let delay = Command::Delay(Delay { at, sequences });
                if let Err(refusal) = self.proposer.propose(delay).await {
                    tracing::debug!(%refusal, "senders of late mail have to wait");
                    return Ok(());
                }
                tracing::info!(
                    domain,
                    messages,
                    "senders are to be told that their mail waits"
                );
            }
            walk.after = last;
            if !late.has_more {
                return Ok(());
            }
        }
    }
}
