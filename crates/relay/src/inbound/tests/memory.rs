//! A spool that is a map.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use spool::{
    Accept, AddressBook, Destination, Intake, Learned, MessageId, Offers, Policy, Reachability,
    Refusal, Stage, Timestamp, Totals, Visitor, policy::Domain, recipients::News,
};
use tokio::sync::Notify;

/// What has happened to the spool.
#[derive(Debug, Default)]
pub(in crate::inbound) struct Memory {
    pub(super) policy: Option<Arc<Policy>>,
    /// Comes into force when a recipient is looked up.
    pub(super) next_policy: Option<Arc<Policy>>,
    pub(super) has_looked_up: AtomicBool,
    /// What primaries offer, by domain.
    pub(super) offers: Mutex<HashMap<String, Offers>>,
    pub(super) not_ready: Option<Refusal>,
    /// It takes nothing any more.
    pub(super) is_lost: AtomicBool,
    pub(super) refuse_stage: Option<Refusal>,
    pub(super) refuse_accept: Option<Refusal>,
    /// A commit waits for this.
    pub(super) hold_accept: Option<Arc<Notify>>,
    pub(super) pieces: Mutex<HashMap<MessageId, Vec<Bytes>>>,
    pub(super) accepted: Mutex<Vec<(Accept, Vec<u8>)>>,
    pub(super) discarded: Mutex<Vec<MessageId>>,
    /// Every message is this one again.
    pub(super) repeat_of: Option<MessageId>,
    pub(super) confirmed: Mutex<Vec<MessageId>>,
    pub(super) refuse_flush: Option<Refusal>,
    /// Messages that wait for each domain.
    pub(super) waiting: u64,
    pub(super) flushed: Mutex<Vec<String>>,
    /// What stands in every domain's queue.
    pub(super) queued: Totals,
    /// Whether all primaries are.
    pub(super) down: bool,
    /// Whom a sentry lets in.
    pub(super) admitted: Vec<Visitor>,
    /// What is known of recipients, by address.
    pub(super) recipients: HashMap<String, Learned>,
}

impl Memory {
    /// One that takes mail for example.com.
    pub(super) fn new() -> Self {
        Self::for_domains(&["example.com"])
    }

    /// One that takes mail for these domains.
    pub(in crate::inbound) fn for_domains(names: &[&str]) -> Self {
        let domain = |name: &&str| {
            format!("[[domain]]\nname = \"{name}\"\nprimary = [\"127.0.0.1:2526\"]\n")
        };
        let policy: String = names.iter().map(domain).collect();
        Self {
            policy: Some(Arc::new(Policy::parse(&policy).unwrap())),
            ..Self::default()
        }
    }

    /// The primary of a domain tells what it offers.
    pub(in crate::inbound) fn learn(&self, domain: &str, offers: Offers) {
        self.offers
            .lock()
            .unwrap()
            .insert(domain.to_owned(), offers);
    }

    /// Envelope and body of every accepted message.
    pub(super) fn messages(&self) -> Vec<(String, Vec<u8>)> {
        let accepted = self.accepted.lock().unwrap();
        let line = |accept: &Accept| {
            let recipients = accept
                .recipients
                .iter()
                .map(|(recipient, _)| format!(" <{}>", recipient.path));
            format!(
                "<{}>{}",
                accept.reverse_path,
                recipients.collect::<String>()
            )
        };
        accepted
            .iter()
            .map(|(accept, body)| (line(accept), body.clone()))
            .collect()
    }
}

impl AddressBook for Memory {
    async fn look_up(&self, _: &str, address: &str) -> Result<Option<Learned>, Refusal> {
        self.has_looked_up.store(true, Ordering::SeqCst);
        Ok(self.recipients.get(address).copied())
    }

    fn primary(&self, _: &str) -> Destination {
        let reachability = if self.down {
            Reachability::Down("refused".to_owned())
        } else {
            Reachability::Up
        };
        Destination {
            reachability,
            totals: self.queued,
            ..Destination::default()
        }
    }

    fn learn(&self, _: &Domain, _: String, _: News) {}
}

impl Intake for Memory {
    fn policy(&self) -> Option<Arc<Policy>> {
        let next = self.next_policy.as_ref();
        let next = next.filter(|_| self.has_looked_up.load(Ordering::SeqCst));
        next.or(self.policy.as_ref()).cloned()
    }

    fn offers(&self, domain: &str) -> Option<Offers> {
        self.offers.lock().unwrap().get(domain).copied()
    }

    fn ready(&self) -> Result<(), Refusal> {
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(Refusal::StorageFailed);
        }
        self.not_ready.clone().map_or(Ok(()), Err)
    }

    async fn admit(&self, domain: &str, visitor: Visitor, _: Timestamp) -> bool {
        assert_eq!(domain, "example.com");
        self.admitted.contains(&visitor)
    }

    async fn stage(&self, stage: Stage) -> Result<(), Refusal> {
        let mut pieces = self.pieces.lock().unwrap();
        let staged = pieces.entry(stage.id).or_default();
        assert_eq!(staged.len(), stage.number as usize);
        if let (Some(refusal), 1..) = (&self.refuse_stage, stage.number) {
            return Err(refusal.clone());
        }
        staged.push(stage.piece);
        Ok(())
    }

    async fn accept(&self, accept: Accept) -> Result<MessageId, Refusal> {
        if let Some(hold) = &self.hold_accept {
            hold.notified().await;
        }
        if let Some(refusal) = &self.refuse_accept {
            return Err(refusal.clone());
        }
        let mut body = self
            .pieces
            .lock()
            .unwrap()
            .remove(&accept.id)
            .unwrap_or_default()
            .concat();
        body.extend_from_slice(&accept.tail);
        assert_eq!(body.len() as u64, accept.size);
        assert_eq!(Sha256::digest(&body)[..], accept.digest.0);
        let id = self.repeat_of.unwrap_or(accept.id);
        self.accepted.lock().unwrap().push((accept, body));
        Ok(id)
    }

    fn confirm(&self, id: MessageId) {
        self.confirmed.lock().unwrap().push(id);
    }

    async fn flush(&self, domain: &str) -> Result<u64, Refusal> {
        if let Some(refusal) = &self.refuse_flush {
            return Err(refusal.clone());
        }
        self.flushed.lock().unwrap().push(domain.to_owned());
        Ok(self.waiting)
    }

    fn discard(&self, id: MessageId) {
        self.pieces.lock().unwrap().remove(&id);
        self.discarded.lock().unwrap().push(id);
    }
}
