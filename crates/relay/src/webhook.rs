//! Tells the policy's webhook when an alarm begins or ends, while this node leads.
//!
//! ```text
//!   the alarms that there are ─┐
//!                              ├─▶ what is not posted yet ─▶ POST ─▶ Outbox::note_posted
//!   what the webhook knows ────┘                                          │
//!           ▲                     replicated state                        │
//!           └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! Each change is posted until the webhook takes it, and not again by this leader. Another leader finds in
//! its own state what was taken; only what was not recorded in time does it post again. Nobody waits for any
//! of this.

pub mod limits;
mod metrics;
mod post;
#[cfg(test)]
mod tests;

use core::convert::Infallible;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use spool::alarm::{self, Notice, Turn};
use spool::policy::{Policy, Webhook};
use spool::{Clock, Outbox};
use tokio::time::{Instant, sleep, sleep_until};

use crate::outbound::tls::Connectors;
use crate::webhook::limits::{CHANGES_MIN, Pace};
use crate::webhook::post::post;

pub use metrics::Metrics;

/// Who tells.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's id.
    pub node: u64,
    /// How it is known to the Internet.
    pub hostname: String,
    /// The cluster's name.
    pub cluster: String,
    /// How patient it is; [`Pace::STANDARD`] but in tests.
    pub pace: Pace,
}

/// How far a change has come.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// How often the webhook did not take it.
    failures: u32,
    /// Whether it is to be recorded only.
    is_over: bool,
    /// When it goes on.
    next: Instant,
}

/// What tells.
struct Teller<'a, O> {
    outbox: &'a O,
    config: &'a Config,
    clock: Clock,
    metrics: &'a Metrics,
    connectors: Connectors,
    /// Of what is not recorded yet.
    progress: BTreeMap<Notice, Progress>,
    /// Who was told last.
    webhook: Option<Webhook>,
}

/// Tells the policy's webhook of each change, for as long as it is polled.
pub async fn tell<O: Outbox>(
    outbox: &O,
    config: &Config,
    clock: Clock,
    metrics: &Metrics,
) -> Infallible {
    let mut teller = Teller {
        outbox,
        config,
        clock,
        metrics,
        connectors: Connectors::new(),
        progress: BTreeMap::new(),
        webhook: None,
    };
    let mut seen = 0;
    loop {
        let next = teller.go_on().await;
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            now = outbox.changed_since(seen) => {
                seen = now;
                // Much changes while mail flows, and alarms seldom.
                sleep(CHANGES_MIN).await;
            }
            () = due => {}
        }
    }
}

impl<O: Outbox> Teller<'_, O> {
    /// Posts and records what is due. Returns when something is due again, if anything is left.
    async fn go_on(&mut self) -> Option<Instant> {
        let policy = self.outbox.policy()?;
        let webhook = policy.webhook.clone()?;
        if self.webhook.as_ref() != Some(&webhook) {
            // How often another one failed says nothing.
            self.progress.retain(|_, progress| progress.is_over);
            self.webhook = Some(webhook.clone());
        }
        let unposted = self.unposted(&policy);
        self.progress
            .retain(|notice, _| unposted.contains_key(notice));
        for (notice, words) in unposted {
            let now = Instant::now();
            let mut progress = *self.progress.entry(notice.clone()).or_insert(Progress {
                failures: 0,
                is_over: false,
                next: now,
            });
            if progress.next <= now {
                self.post(&webhook, &notice, &words, &mut progress).await;
                self.record(&notice, &mut progress).await;
                self.progress.insert(notice, progress);
            }
        }
        self.progress.values().map(|progress| progress.next).min()
    }

    /// What the webhook does not know yet, and what is said of it.
    fn unposted(&self, policy: &Arc<Policy>) -> BTreeMap<Notice, String> {
        let mut unposted = BTreeMap::new();
        for (domain, destination) in self.outbox.destinations() {
            // One that has left the policy raises none.
            let alarms = match policy.domain(&domain) {
                Some(_) => alarm::of_destination(&domain, &destination),
                None => Vec::new(),
            };
            for notice in destination.unposted(&domain, &alarms) {
                let raised = alarms.iter().find(|alarm| {
                    notice.turn == Turn::Raised && alarm.name == notice.name.as_str()
                });
                let words = raised.map_or_else(
                    || format!("The alarm {} of {domain} is over.", notice.name),
                    |alarm| alarm.words.clone(),
                );
                unposted.insert(notice, words);
            }
        }
        unposted
    }

    async fn post(&self, webhook: &Webhook, notice: &Notice, words: &str, progress: &mut Progress) {
        if progress.is_over {
            return;
        }
        let pace = self.config.pace;
        let Notice { name, domain, .. } = notice;
        let (turn, host) = (notice.turn.word(), &webhook.host);
        let body = self.body(notice, words);
        match post(webhook, &self.connectors, body, pace.post).await {
            Ok(()) => {
                tracing::info!(target: "alarm", name, domain, turn, host, "the webhook was told");
                self.metrics.count("told");
                progress.is_over = true;
            }
            Err(error) => {
                progress.failures += 1;
                progress.next = Instant::now() + pace.wait_after(progress.failures);
                self.metrics.count("failed");
                tracing::warn!(
                    target: "alarm", name, domain, turn, host, %error, failures = progress.failures,
                    "the webhook was not told"
                );
                if progress.failures >= pace.tries_max {
                    self.metrics.count("given-up");
                    tracing::error!(
                        target: "alarm", name, domain, turn, host,
                        "the webhook is not told any more: look after it, or [alarms] webhook in the policy"
                    );
                    progress.is_over = true;
                }
            }
        }
    }

    /// Has it recorded on all nodes that a change needs no post any more.
    async fn record(&self, notice: &Notice, progress: &mut Progress) {
        if !progress.is_over {
            return;
        }
        if let Err(error) = self.outbox.note_posted(notice.clone()).await {
            tracing::debug!(target: "alarm", %error, "that the webhook was told was not recorded");
        }
        // Until it shows in what is read, or for the next try.
        progress.next = Instant::now() + self.config.pace.record_retry;
    }

    /// What is posted. Its keys are those of `layover --json status`, and a promise: more may come, none
    /// goes (docs/operations.md).
    fn body(&self, notice: &Notice, words: &str) -> String {
        json!({
            "name": notice.name,
            "domain": notice.domain,
            "state": notice.turn.word(),
            "since_ms": notice.since.0,
            "sent_ms": self.clock.now().0,
            "text": words,
            "node": self.config.node,
            "hostname": self.config.hostname,
            "cluster": self.config.cluster,
        })
        .to_string()
    }
}
