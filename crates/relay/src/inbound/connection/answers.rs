//! The session's questions, put to policy and spool.

use std::sync::Arc;

use bytes::Bytes;
use smtp::{EnhancedCode, Envelope, ForwardPath, Reply, ReversePath, server::Question};
use spool::{
    Accept, Authentication, Client, Fingerprint, Intake, MessageId, Policy, Refusal, Timestamp,
    Visitor,
    policy::Domain,
    policy::{NotOurs, Recipients},
};
use tokio::time::Instant;
use tracing::{debug, info};

use super::Connection;
use crate::inbound::{
    arrival::Arrived,
    authentication::Told,
    etrn,
    limits::{BODY_RESERVE_MAX, POLICIES_PER_RECIPIENT_MAX},
    offered::Declared,
    rates::Deed,
    received::Received,
    recipients::Ruling,
    refusal,
    refused::Reason,
};

/// Who is meant by the postmaster of this host, with its name or without (RFC 5321 section 4.5.1).
static OWN_POSTMASTER: ForwardPath = ForwardPath::Postmaster;

impl<I: Intake> Connection<I> {
    pub(super) async fn answer(&mut self, question: Question) {
        match question {
            Question::Sender {
                reverse_path,
                declared_size,
                body_type,
                ..
            } => {
                let declared = Declared {
                    size: declared_size.unwrap_or(0),
                    body_type,
                    beyond_ascii: !reverse_path.is_ascii(),
                };
                let answer = match self.may_send() {
                    Ok(()) => self.sender(&reverse_path, declared),
                    refused => refused,
                };
                self.session.answer_sender(answer);
            }
            Question::Recipient(path) => {
                let answer = match self.may_name(&path) {
                    Ok(()) => self.recipient(&path).await,
                    refused => refused,
                };
                let answer = self.weighed(answer);
                self.session.answer_recipient(answer);
            }
            Question::Etrn(node) => {
                let reply = etrn::reply(&self.shared, self.peer.ip(), &node).await;
                self.session.answer_etrn(&reply);
            }
            Question::Message(envelope) => {
                let reply = self.message(envelope).await;
                if reply.is_positive() {
                    self.guesses.forget();
                }
                self.pace.bear_fruit();
                self.session.answer_message(&reply);
            }
        }
    }

    fn may_send(&self) -> Result<(), Reply> {
        if self.guest.may(Deed::Message) {
            return Ok(());
        }
        self.guest.refuse(Reason::Rate);
        Err(refusal::too_many_messages(&self.shared.config.hostname))
    }

    /// Whether the client has named too many recipients lately, or too many that there are not. While that is
    /// so it finds out about nobody; but a postmaster can always be reached.
    fn may_name(&self, path: &ForwardPath) -> Result<(), Reply> {
        let may = self.guest.may(Deed::Recipient) && !self.guest.has_spent(Deed::Unknown);
        if may || path.is_postmaster() {
            return Ok(());
        }
        self.shared.metrics.recipients.deferred.inc();
        Err(refusal::too_many_recipients())
    }

    /// What a recipient is answered, unless it was one guess too many.
    fn weighed(&mut self, answer: Result<(), Reply>) -> Result<(), Reply> {
        if answer.is_ok() {
            self.pace.bear_fruit();
        }
        if self.guest.is_trusted() || !self.guesses.are_too_many(&answer, self.crowd.is_short()) {
            return answer;
        }
        self.guest.refuse(Reason::Recipients);
        Err(refusal::too_many_guesses(&self.shared.config.hostname))
    }

    fn sender(&mut self, path: &ReversePath, declared: Declared) -> Result<(), Reply> {
        if let Err(cause) = self.shared.intake.ready() {
            debug!(%cause, "sender put off");
            return Err(refusal::reply(&cause, &self.shared.config.hostname));
        }
        let id = MessageId::new(self.shared.clock.now().0, rand::random());
        self.arrival = self.shared.arrival(&self.guest, id);
        let size = usize::try_from(declared.size).unwrap_or(usize::MAX);
        self.arrival.body.reserve(size.min(BODY_RESERVE_MAX));
        self.evaluation = None;
        self.domains.clear();
        self.body_refused = false;
        self.declared = declared;
        self.sender = format!("<{path}>");
        self.reverse_path = path.clone();
        self.inquire();
        Ok(())
    }

    /// Has the block lists of the policy asked about the client, unless they have been.
    fn inquire(&mut self) {
        if self.guest.is_trusted() {
            return;
        }
        if let Some(policy) = self.shared.intake.policy() {
            let (lists, before) = (&self.shared.block_lists, self.inquiry.take());
            self.inquiry = lists.inquire(&policy, self.peer.ip(), before);
        }
    }

    /// The block list of a policy that names the client. A postmaster can always be reached.
    async fn listed_by(&self, policy: &Policy, path: &ForwardPath) -> Option<String> {
        let inquiry = self
            .inquiry
            .as_ref()
            .filter(|inquiry| inquiry.is_by(policy));
        match inquiry {
            Some(inquiry) if !path.is_postmaster() => inquiry.listed().await,
            _ => None,
        }
    }

    async fn recipient(&mut self, path: &ForwardPath) -> Result<(), Reply> {
        self.inquire();
        let decided = self.domain_of(path).await;
        let recipients = &self.shared.metrics.recipients;
        match decided {
            Ok(domain) => {
                recipients.accepted.inc();
                self.domains.push(domain);
                if self.domains.len() == 1 {
                    self.evaluate();
                    self.ask_name();
                }
                Ok(())
            }
            Err(reply) => {
                if reply.is_transient() {
                    recipients.deferred.inc();
                } else {
                    recipients.rejected.inc();
                }
                if refusal::is_of_unknown(&reply) {
                    self.guest.may(Deed::Unknown);
                }
                debug!(from = %self.sender, to = %path, %reply, "recipient refused");
                Err(reply)
            }
        }
    }

    /// Begins to find out who sends the message, now that it is wanted. Whom this node trusts is not
    /// asked for.
    fn evaluate(&mut self) {
        let policy = self.shared.intake.policy();
        let Some(policy) = policy.filter(|_| !self.guest.is_trusted()) else {
            return;
        };
        let helo = self.session.helo().map_or("", |helo| &helo.name);
        let client = (self.peer.ip(), self.guest.evaluations());
        let sender = &self.reverse_path;
        let begun = self
            .shared
            .authenticator
            .begin(&policy, client, helo, sender);
        if let Some((evaluation, evidence)) = begun {
            self.evaluation = Some(evaluation);
            self.arrival.gather(evidence);
        }
    }

    /// Begins to ask what the client is called, unless that was done for an earlier message.
    fn ask_name(&mut self) {
        if self.name.is_none() {
            self.name = self.shared.names.ask(self.peer.ip(), self.guest.names());
        }
    }

    /// The policy's domain of a recipient for whom mail is taken. If another policy has come into force
    /// while the primary was asked, that one decides.
    async fn domain_of(&self, path: &ForwardPath) -> Result<String, Reply> {
        let intake = &self.shared.intake;
        for _ in 0..POLICIES_PER_RECIPIENT_MAX {
            let policy = intake.policy().ok_or_else(refusal::no_policy)?;
            let decided = self.domain_by(&policy, path).await;
            if intake
                .policy()
                .is_some_and(|now| Arc::ptr_eq(&now, &policy))
            {
                return decided;
            }
        }
        Err(refusal::not_verified())
    }

    /// Decides by a policy. A block list comes before a sentry, which remembers who comes, and a sentry before
    /// the question to the primary, so that whom they send away makes this node ask nothing.
    async fn domain_by(&self, policy: &Policy, path: &ForwardPath) -> Result<String, Reply> {
        let path = match self.is_own_postmaster(policy, path) {
            true => &OWN_POSTMASTER,
            false => path,
        };
        let domain = policy
            .domain_of(path)
            .map_err(|NotOurs| refusal::not_ours())?;
        if !domain.has(path) {
            return Err(refusal::unknown());
        }
        if let Some(reply) = self.objection_of_primary(&domain.name, self.declared.to(path)) {
            return Err(reply);
        }
        if let Some(zone) = self.listed_by(policy, path).await {
            return Err(refusal::listed(self.peer.ip(), &zone));
        }
        if !self.is_admitted(domain, path).await {
            return Err(refusal::primary_is_up());
        }
        if let Recipients::Verify { unknown_while_down } = domain.recipients {
            let verifier = &self.shared.verifier;
            match verifier.rule(domain, path, unknown_while_down).await {
                Ok(Ruling::Taken) => {}
                Ok(Ruling::Unknown) => return Err(refusal::unknown()),
                Ok(Ruling::Later) => return Err(refusal::not_verified()),
                Err(cause) => {
                    return Err(refusal::reply(&cause, &self.shared.config.hostname));
                }
            }
        }
        if !self.has_room(domain, path) {
            return Err(refusal::quota_reached());
        }
        Ok(domain.name.clone())
    }

    /// Whether a recipient is this host's own postmaster, by its name, and in no domain of the policy.
    fn is_own_postmaster(&self, policy: &Policy, path: &ForwardPath) -> bool {
        path.is_postmaster_of(&self.shared.config.hostname) && policy.domain_of(path).is_err()
    }

    /// Whether the message may join what is queued of a domain's mail. What is under way in other sessions is not
    /// counted yet.
    fn has_room(&self, domain: &Domain, path: &ForwardPath) -> bool {
        let quota = if path.is_postmaster() {
            domain.quota.of_postmaster()
        } else {
            domain.quota
        };
        let totals = || self.shared.intake.primary(&domain.name).totals;
        !quota.is_set() || quota.has_room(&totals(), self.declared.size)
    }

    /// Why a domain's primary is known not to take a message.
    fn objection_of_primary(&self, domain: &str, message: Declared) -> Option<Reply> {
        message.objection(self.shared.intake.offers(domain)?)
    }

    /// Asks the sentry of a domain, if it has one. A postmaster can always be reached, and whom this node
    /// trusts is let in.
    async fn is_admitted(&self, domain: &Domain, path: &ForwardPath) -> bool {
        if !domain.sentry || path.is_postmaster() || self.guest.is_trusted() {
            return true;
        }
        let visitor = Visitor::of(&self.reverse_path, path, self.peer.ip());
        let now = self.shared.clock.now();
        self.shared.intake.admit(&domain.name, visitor, now).await
    }

    async fn message(&mut self, envelope: Envelope) -> Reply {
        let end_of_data = Instant::now();
        let id = self.arrival.id();
        let recipients = envelope.recipients.len();
        let received_at = self.shared.clock.now();
        self.arrival.stage_last_pieces(self.shared.clock).await;
        let octets = self.arrival.octets();
        let mut trace = self.trace(&envelope, received_at, None);
        if let Some(reply) = self.objection_to_size(octets + trace.len() as u64) {
            self.arrival.give_up();
            self.shared.metrics.messages.rejected.inc();
            let (peer, from) = (self.peer, &self.sender);
            info!(
                target: "mail", %id, %peer, %from, octets, %reply,
                "refused: larger than a primary takes"
            );
            return reply;
        }
        let mut arrived = self.arrival.finish();
        let told = self.origin(&mut arrived).await;
        if arrived.is_ok() {
            let of = (&envelope, received_at, octets);
            trace = self.telling_more(trace, of, told.as_ref()).await;
        }
        let authentication = told.map(|told| told.authentication);
        let origin = authentication.as_ref().map(Authentication::to_string);
        // The reply leaves only after this returned: once a client has read 250 the message is
        // ours (RFC 5321 section 6.1). A crash one line earlier merely makes it send again.
        let stored = match arrived {
            Ok(arrived) => {
                self.store(envelope, arrived, (trace, authentication), received_at)
                    .await
            }
            Err(refusal) => Err(refusal),
        };
        match stored {
            Ok(told) => {
                self.arrival.accepted();
                self.receipts.tell(told);
                if told == id {
                    self.shared.metrics.accepted(octets, end_of_data.elapsed());
                    info!(
                        target: "mail",
                        %id,
                        peer = %self.peer,
                        from = %self.sender,
                        recipients,
                        octets,
                        tls = self.tls.as_deref().unwrap_or("none"),
                        origin = origin.as_deref().unwrap_or("not looked at"),
                        "received"
                    );
                } else {
                    self.shared.metrics.repeated(end_of_data.elapsed());
                    let (peer, from) = (self.peer, &self.sender);
                    info!(target: "mail", id = %told, repeat = %id, %peer, %from, "repeat recognised");
                }
                let text = format!("Ok: queued as {told}");
                Reply::new(250, EnhancedCode::new(2, 0, 0), text)
            }
            Err(cause) => {
                self.arrival.give_up();
                self.shared.metrics.messages.deferred.inc();
                let (peer, from) = (self.peer, &self.sender);
                info!(target: "mail", %id, %peer, %from, recipients, %cause, "put off");
                refusal::reply(&cause, &self.shared.config.hostname)
            }
        }
    }

    /// What is told of a message of so many octets that the primary of some recipient would not take.
    /// Nothing else is looked at: the recipients were accepted.
    fn objection_to_size(&self, size: u64) -> Option<Reply> {
        let message = Declared {
            size,
            ..Declared::default()
        };
        let mut domains = self.domains.iter();
        domains.find_map(|domain| self.objection_of_primary(domain, message))
    }

    /// The field that will stand in front of the message in any case, with the client's name if it is known.
    fn trace(&self, envelope: &Envelope, at: Timestamp, name: Option<&str>) -> Bytes {
        let received = Received {
            helo: self.session.helo(),
            peer: self.peer,
            name,
            hostname: &self.shared.config.hostname,
            id: self.arrival.id(),
            tls: self.tls.as_deref(),
            smtputf8: envelope.smtputf8,
            recipients: &envelope.recipients,
            at,
        };
        received.field()
    }

    /// Who sent the message that has arrived, if that was to be found out.
    async fn origin(&mut self, arrived: &mut Result<Arrived, Refusal>) -> Option<Told> {
        let evaluation = self.evaluation.take()?;
        let gathered = arrived.as_mut().ok()?.gathered.take()?;
        let policy = self.shared.intake.policy();
        let authenticator = &self.shared.authenticator;
        authenticator
            .finish(evaluation, gathered, policy.as_deref(), &self.reverse_path)
            .await
    }

    /// The fields in front of a message of so many octets, with what was found out about its client and its
    /// sender, unless it became too large by that for a primary: it is no reason to refuse one.
    async fn telling_more(
        &self,
        mut trace: Bytes,
        (envelope, at, octets): (&Envelope, Timestamp, u64),
        told: Option<&Told>,
    ) -> Bytes {
        let fits = |longer: &Bytes| {
            let length = octets + longer.len() as u64;
            self.objection_to_size(length).is_none()
        };
        if let Some(name) = &self.name {
            let name = name.told().await;
            let named = self.trace(envelope, at, name.as_deref());
            trace = Some(named).filter(fits).unwrap_or(trace);
        }
        if let Some(told) = told {
            let longer = Bytes::from([told.field.as_bytes(), &trace].concat());
            trace = Some(longer).filter(fits).unwrap_or(trace);
        }
        trace
    }

    async fn store(
        &mut self,
        envelope: Envelope,
        arrived: Arrived,
        (trace, authentication): (Bytes, Option<Authentication>),
        received_at: Timestamp,
    ) -> Result<MessageId, Refusal> {
        let helo = self
            .session
            .helo()
            .map(|helo| helo.name.clone())
            .unwrap_or_default();
        let fingerprint = Fingerprint::of(&envelope, arrived.sent.0, &arrived.sent.1);
        let domains = core::mem::take(&mut self.domains);
        let policy = self.shared.intake.policy();
        let recipients = envelope.recipients.into_iter().map(|mut recipient| {
            if (policy.as_ref()).is_some_and(|now| self.is_own_postmaster(now, &recipient.path)) {
                recipient.path = OWN_POSTMASTER.clone();
            }
            recipient
        });
        let recipients = recipients.zip(domains).collect();
        let accept = Accept {
            id: self.arrival.id(),
            received_at,
            reverse_path: envelope.reverse_path,
            body_type: envelope.body_type,
            smtputf8: envelope.smtputf8,
            dsn: envelope.dsn,
            recipients,
            staged: arrived.staged,
            tail: arrived.tail,
            size: arrived.size,
            digest: arrived.digest,
            trace,
            client: Client {
                address: self.peer,
                helo,
                tls: self.tls.clone(),
            },
            authentication,
            fingerprint: Some(fingerprint),
            confirmed: self.receipts.take_read(),
        };
        self.shared.intake.accept(accept).await
    }

    /// The session has found a reason to refuse the body that is arriving.
    pub(super) fn refuse_body(&mut self) {
        self.body_refused = true;
        self.pace.refuse_body();
        self.arrival.give_up();
        self.shared.metrics.messages.rejected.inc();
        let from = &self.sender;
        info!(target: "mail", peer = %self.peer, %from, "refused: too big, malformed, or a loop");
    }
}
