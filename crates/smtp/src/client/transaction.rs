//! One message's way through MAIL, RCPT and DATA.

use crate::client::verdict::{Answered, Verdict};
use crate::{Envelope, Extensions, Recipient, Reply};

/// The replies of one transaction, as they come in.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    envelope: Envelope,
    /// Whether all commands up to DATA go out together (RFC 2920), and chunks without waiting.
    pub(super) pipelined: bool,
    /// Whether the body goes by BDAT (RFC 3030).
    pub(super) chunked: bool,
    /// The reply to MAIL, when it was not positive.
    refusal: Option<Reply>,
    /// For each recipient that was answered: `None` accepted, or the verdict on him.
    answers: Vec<Option<Verdict>>,
}

impl Transaction {
    pub(super) const fn new(envelope: Envelope, extensions: &Extensions) -> Self {
        Self {
            envelope,
            pipelined: extensions.pipelining,
            chunked: extensions.chunking,
            refusal: None,
            answers: Vec::new(),
        }
    }

    pub(super) const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Takes the reply to MAIL. Returns whether the sender was accepted.
    pub(super) fn answer_mail(&mut self, reply: Reply) -> bool {
        let accepted = reply.is_positive();
        if !accepted {
            self.refusal = Some(reply);
        }
        accepted
    }

    /// Takes the reply to the next RCPT.
    pub(super) fn answer_recipient(&mut self, reply: Reply) {
        let answer = if reply.is_positive() {
            None
        } else {
            Some(Verdict::of(Answered::Recipient, reply))
        };
        self.answers.push(answer);
    }

    /// The recipient whose RCPT is to be sent, or to be answered, next.
    pub(super) fn next_recipient(&self) -> Option<&Recipient> {
        self.envelope.recipients.get(self.answers.len())
    }

    /// Whether the message has anyone to go to: MAIL and at least one RCPT were accepted.
    pub(super) fn has_recipients(&self) -> bool {
        self.refusal.is_none() && self.answers.iter().any(Option::is_none)
    }

    /// The verdicts, when no reply beyond RCPT counts.
    pub(super) fn conclude_refused(self, otherwise: &Reply) -> Vec<Verdict> {
        self.conclude(Answered::Transaction, otherwise)
    }

    /// The verdicts: those refused at RCPT keep theirs, the rest share the last reply.
    pub(super) fn conclude(self, answered: Answered, last: &Reply) -> Vec<Verdict> {
        let count = self.envelope.recipients.len();
        if let Some(refusal) = self.refusal {
            return vec![Verdict::of(Answered::Transaction, refusal); count];
        }
        let shared = Verdict::of(answered, last.clone());
        let mut verdicts: Vec<Verdict> = self
            .answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| shared.clone()))
            .collect();
        verdicts.resize(count, shared);
        verdicts
    }
}
