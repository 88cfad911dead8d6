//! Whether there is a recipient, in domains with `recipients = "verify"`.
//!
//! ```text
//!   RCPT ─▶ Verifier ─▶ AddressBook::look_up, judge ─▶ taken, refused
//!              │ nothing is known, or it is old             ▲
//!              ▼                                            │
//!           Asker: a task a domain, one connection ──────────┘
//!              │ └─ learn ─▶ AddressBook ─▶ all nodes
//!              ▼
//!           primary
//! ```
//!
//! Every node asks for itself: what one has found out, all know a second later.

mod asker;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use smtp::ForwardPath;
use spool::{
    AddressBook, Clock, Refusal,
    policy::{Domain, WhileDown},
    recipients::{Judgement, address_of, in_dns_form, judge},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    Metrics,
    limits::{QUESTION_PATIENCE, QUESTIONS_MAX},
};
use crate::route::Routes;
use asker::{Asker, Question, Told};

/// What becomes of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Mail for him is taken.
    Taken,
    /// There is no such recipient.
    Unknown,
    /// The sender is to come again.
    Later,
}

impl From<WhileDown> for Ruling {
    fn from(unknown_while_down: WhileDown) -> Self {
        match unknown_while_down {
            WhileDown::Accept => Self::Taken,
            WhileDown::Defer => Self::Later,
        }
    }
}

/// Knows whether there is a recipient, or asks.
#[derive(Debug)]
pub(super) struct Verifier<B> {
    book: Arc<B>,
    hostname: String,
    clock: Clock,
    metrics: Metrics,
    routes: Arc<Routes>,
    askers: Mutex<Askers>,
}

/// One for each domain that was asked about since the start. They end with the verifier.
#[derive(Debug, Default)]
struct Askers {
    by_domain: HashMap<String, mpsc::Sender<Question>>,
    tasks: JoinSet<()>,
}

impl<B: AddressBook> Verifier<B> {
    pub(super) fn new(
        book: Arc<B>,
        hostname: String,
        clock: Clock,
        metrics: Metrics,
        routes: Arc<Routes>,
    ) -> Self {
        Self {
            book,
            hostname,
            clock,
            metrics,
            routes,
            askers: Mutex::default(),
        }
    }

    /// Decides on a recipient of a domain, within [`QUESTION_PATIENCE`].
    ///
    /// A refusal that need not be about him counts for him: the primary will say it again when it gets
    /// the mail, to whoever can find out why, and until then nothing is lost.
    ///
    /// # Errors
    /// The condition of the spool that speaks against a decision.
    pub(super) async fn rule(
        &self,
        domain: &Domain,
        path: &ForwardPath,
        unknown_while_down: WhileDown,
    ) -> Result<Ruling, Refusal> {
        let Some(address) = address_of(path) else {
            return Ok(Ruling::Taken);
        };
        let known = self.book.look_up(&domain.name, &address).await?;
        let destination = self.book.primary(&domain.name);
        let is_unknown = match judge(known, &destination, self.clock.now()) {
            Judgement::Take => return Ok(Ruling::Taken),
            Judgement::TakeAndAsk => {
                if address.is_ascii() {
                    self.put(domain, path, address, None);
                }
                return Ok(Ruling::Taken);
            }
            Judgement::Refuse => return Ok(Ruling::Unknown),
            Judgement::Unknowable => return Ok(unknown_while_down.into()),
            Judgement::AskOrRefuse => true,
            Judgement::Ask => false,
        };
        Ok(match self.ask(domain, path, address).await {
            Told::Valid => Ruling::Taken,
            Told::Unknown => Ruling::Unknown,
            // Nothing better was found out.
            _ if is_unknown => Ruling::Unknown,
            Told::Unproven => Ruling::Taken,
            Told::Later => Ruling::Later,
            Told::Unreachable => unknown_while_down.into(),
        })
    }

    async fn ask(&self, domain: &Domain, path: &ForwardPath, address: String) -> Told {
        // Without SMTPUTF8 no server can be asked about such a local part (RFC 6531 section 3.1).
        if !address.is_ascii() {
            return Told::Unproven;
        }
        let until = Instant::now() + QUESTION_PATIENCE;
        let (reply, told) = oneshot::channel();
        if !self.put(domain, path, address, Some(reply)) {
            return Told::Later;
        }
        match timeout_at(until, told).await {
            Ok(Ok(told)) => told,
            Ok(Err(_)) | Err(_) => Told::Later,
        }
    }

    /// Puts a question to the domain's asker. Returns whether there was room for it; one for which
    /// nobody waits leaves room for the others.
    fn put(
        &self,
        domain: &Domain,
        path: &ForwardPath,
        address: String,
        reply: Option<oneshot::Sender<Told>>,
    ) -> bool {
        let question = Question {
            domain: domain.clone(),
            path: in_dns_form(path).into_owned(),
            address,
            until: Instant::now() + QUESTION_PATIENCE,
            reply,
        };
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        let asker = askers.by_domain.get(&domain.name);
        if let Some(asker) = asker.filter(|asker| !asker.is_closed()) {
            let is_waited_for = question.reply.is_some();
            let has_room = is_waited_for || asker.capacity() > QUESTIONS_MAX / 2;
            return has_room && asker.try_send(question).is_ok();
        }
        let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
        let has_room = sender.try_send(question).is_ok();
        askers.by_domain.insert(domain.name.clone(), sender);
        let asker = Asker::new(
            Arc::clone(&self.book),
            self.hostname.clone(),
            self.clock,
            self.metrics.clone(),
            Arc::clone(&self.routes),
            questions,
        );
        askers.tasks.spawn(asker.run());
        has_room
    }
}
