//! Who sent a message, as far as that can be found out when it is accepted: SPF, DKIM and DMARC.
//!
//! ```text
//!   first recipient ──▶ Evaluation: SPF is asked for at once
//!   octets ──▶ Screen ─┬─ smtp::forged ── fields that claim to be ours are taken out
//!                      └─ Evidence ── header, hashes of the body ─▶ Gathered
//!   end of data ──▶ Evaluation::finish ─▶ Told: results for the spool, a field for the primary
//! ```
//!
//! Nothing is refused by it, and nothing is waited for while the DNS does not answer.

mod dkim;
mod dmarc;
mod evidence;
mod field;
mod findings;
mod own_ids;
mod screen;
mod spf;
#[cfg(test)]
mod tests;
mod turns;

use std::{net::IpAddr, sync::Arc};

use mail_auth::MessageAuthenticator;
use smtp::ReversePath;
use spool::{Authentication, Finding, Policy};
use tokio::{
    join,
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::{
    Metrics,
    limits::{EVALUATION_PATIENCE, EVALUATIONS_MAX, LONG_HEADERS_MAX, SPF_TIMEOUT},
};
use crate::{dns::Dns, route::Routes};
use dkim::Header;
pub(super) use evidence::{Evidence, Gathered};
use findings::Findings;
pub(super) use own_ids::OwnIds;
pub(super) use screen::{Before, Screen};
use spf::{Claim, Spf};
pub(super) use turns::Places;
use turns::Turns;

/// What all sessions have in common for it.
#[derive(Debug)]
pub(super) struct Authenticator {
    dns: Arc<Dns>,
    hostname: Arc<str>,
    metrics: Metrics,
    /// Places for all evaluations that ask the DNS.
    places: Arc<Places>,
    /// Places for long headers.
    long_headers: Arc<Semaphore>,
}

/// One message's, from its first recipient on.
pub(super) struct Evaluation {
    authenticator: MessageAuthenticator,
    claim: Claim,
    spf: AbortOnDropHandle<Option<Spf>>,
    turns: Turns,
}

/// What is told of it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) authentication: Authentication,
    /// With its final CRLF; empty when nothing was found that anybody could go by.
    pub(super) field: String,
}

impl Authenticator {
    pub(super) fn new(dns: Arc<Dns>, hostname: &str, metrics: Metrics) -> Self {
        Self {
            dns,
            hostname: hostname.into(),
            metrics,
            places: Arc::new(Places::new(EVALUATIONS_MAX)),
            long_headers: Arc::new(Semaphore::new(LONG_HEADERS_MAX)),
        }
    }

    /// The names under which results are told while a policy is in force.
    pub(super) fn own_ids(&self, policy: Option<&Policy>, routes: &Arc<Routes>) -> OwnIds {
        OwnIds {
            hostname: Arc::clone(&self.hostname),
            shared: policy.and_then(|policy| policy.authentication.id.clone()),
            routes: Arc::clone(routes),
        }
    }

    /// Says that mail may come, so that by then it is known whether the DNS answers.
    pub(super) fn prepare(&self, policy: Option<&Policy>) {
        if policy.is_some_and(|policy| policy.authentication.evaluate) {
            self.dns.wanted();
        }
    }

    /// Begins to find out who sends a message that a client is about to send, and asks for SPF meanwhile,
    /// at one of the client's places. `None` while the policy does not want it, or the DNS does not answer.
    pub(super) fn begin(
        &self,
        policy: &Policy,
        (client, places): (IpAddr, Arc<Places>),
        helo: &str,
        sender: &ReversePath,
    ) -> Option<(Evaluation, Evidence)> {
        if !policy.authentication.evaluate {
            return None;
        }
        let resolver = self.dns.resolver();
        let resolver = resolver
            .inspect_err(|error| debug!(%error, "the message is not evaluated"))
            .ok()?;
        let authenticator = MessageAuthenticator(resolver);
        let claim = Claim::new(client, helo, sender, &self.hostname);
        let turns = Turns {
            of_client: places,
            of_all: Arc::clone(&self.places),
        };
        let spf = {
            let (authenticator, claim) = (authenticator.clone(), claim.clone());
            let turns = turns.clone();
            tokio::spawn(async move {
                let asking = async {
                    let _turn = turns.spf().await;
                    claim.check(&authenticator).await
                };
                timeout(SPF_TIMEOUT, asking).await.ok()
            })
        };
        let evaluation = Evaluation {
            authenticator,
            claim,
            spf: AbortOnDropHandle::new(spf),
            turns,
        };
        Some((evaluation, Evidence::new(Arc::clone(&self.long_headers))))
    }

    /// Finds out the rest, which takes no longer than [`EVALUATION_PATIENCE`]. `None` when the DNS has
    /// ceased to answer meanwhile.
    pub(super) async fn finish(
        &self,
        evaluation: Evaluation,
        gathered: Gathered,
        policy: Option<&Policy>,
        sender: &ReversePath,
    ) -> Option<Told> {
        if !self.dns.is_answering() {
            return None;
        }
        let deadline = Instant::now() + EVALUATION_PATIENCE;
        let helo = evaluation.claim.helo.clone();
        // A task of its own: what others wrote to read what strangers wrote is not to end a session.
        let judging = tokio::spawn(evaluation.judge(gathered, deadline));
        let findings = AbortOnDropHandle::new(judging).await.ok()?;
        if findings.lack_an_answer() {
            self.dns.doubt();
        }
        self.count(&findings);
        let shared = policy.and_then(|policy| policy.authentication.id.as_deref());
        let id = shared.unwrap_or(&self.hostname);
        let field = if findings.are_none(sender) {
            String::new()
        } else {
            field::field(id, &findings, sender, &helo)
        };
        Some(Told {
            authentication: findings.authentication(),
            field,
        })
    }

    fn count(&self, findings: &Findings) {
        self.metrics.authenticated("spf", findings.spf);
        self.metrics.authenticated("dmarc", findings.dmarc.finding);
        for checked in &findings.dkim {
            self.metrics.authenticated("dkim", checked.finding);
        }
        if findings.dkim.is_empty() {
            self.metrics.authenticated("dkim", Finding::None);
        }
    }
}

impl Evaluation {
    async fn judge(self, gathered: Gathered, deadline: Instant) -> Findings {
        let Self {
            authenticator,
            claim,
            spf,
            turns,
        } = self;
        let header = Header::read(&gathered);
        // Without a turn the time is over, and whatever is asked for now comes too late.
        let _turn = timeout_at(deadline, turns.rest()).await;
        let spf = timeout_at(deadline, spf);
        let (spf, outputs) = match &header {
            Ok(header) => join!(spf, header.verify(&authenticator, deadline)),
            Err(_) => (spf.await, Vec::new()),
        };
        let spf = spf.ok().and_then(Result::ok).flatten();
        let spf = spf.unwrap_or_else(|| claim.unanswered());
        let (dkim, dmarc) = match &header {
            Ok(header) => {
                let claimed = (&claim, &spf);
                let message = &header.message;
                let dmarc =
                    dmarc::check(&authenticator, message, &outputs, claimed, deadline).await;
                (header.checked(&outputs), dmarc)
            }
            Err(unreadable) => (unreadable.checked(), unreadable.dmarc()),
        };
        Findings {
            spf: claim.finding(&spf),
            spf_helo: findings::of_spf(&spf.helo),
            dkim,
            dmarc,
        }
    }
}
