//! One message through one connection.

use sha2::{Digest as _, Sha256};
use smtp::client::{Awaiting, Failure, Opinion, Output, Verdict};
use smtp::{Envelope, Reply};
use spool::ports::OutboxError;
use spool::{Due, Message, Outbox};

use crate::outbound::connection::{Broken, Connection};
use crate::outbound::limits::{LEASE_MARGIN, UNSENT_BEFORE_DOT_MAX, WRITE_MAX};
use crate::outbound::queue::Queue;
use crate::outbound::words::is_about_system;

/// Why a delivery ended without verdicts. Its connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Aborted {
    /// The connection broke before the primary had said anything about the message.
    #[error("{0}")]
    Unheard(Broken),
    /// The primary said that it goes away: 421, which speaks of the server and not of the message,
    /// and by which it has taken nothing (RFC 5321 section 3.8).
    #[error("{0}")]
    TurnedAway(Broken),
    /// The primary's mail system takes no mail at all now, as it has said twice: of the message, and when it
    /// was asked.
    #[error("the server takes no mail now: {0}")]
    Shut(Reply),
    /// The connection broke while the message was on its way; the primary does not have it.
    #[error("{0}")]
    Underway(Broken),
    /// The connection broke behind the final dot: the primary may have the message.
    #[error("{0}")]
    InDoubt(Broken),
    /// The body is not what was accepted.
    #[error("the stored body does not match its digest")]
    Damaged,
    /// The spool did not give the body.
    #[error("{0}")]
    Spool(OutboxError),
    /// This node may not lead any more, and must not hand anything over.
    #[error("the leader's lease is too short for the final dot")]
    LeaseShort,
}

impl Connection {
    /// Offers a message for some of its recipients and carries it over. The verdicts are in the order of
    /// `recipients`. In front of the final dot it waits for a place in the queue; for none where whoever calls
    /// this goes on only when the result is recorded.
    ///
    /// # Errors
    /// Why there are no verdicts.
    pub(super) async fn deliver(
        &mut self,
        outbox: &impl Outbox,
        queue: Option<&Queue>,
        due: &Due,
        recipients: &[u32],
    ) -> Result<Vec<Verdict>, Aborted> {
        let message = &due.message;
        // An RSET may be on its way; the next message follows its reply.
        match self.advance().await {
            Ok(Output::Ready) => {}
            Ok(_) => return Err(Aborted::Unheard(Broken::Ended)),
            Err(broken) => return Err(Aborted::Unheard(broken)),
        }
        self.session.deliver(envelope(message, recipients));
        loop {
            match self
                .advance()
                .await
                .map_err(|broken| self.aborted(broken))?
            {
                Output::SendBody => self.send_body(outbox, message).await?,
                Output::ConfirmFinalDot => {
                    if let Some(queue) = queue {
                        queue.take_place(due).await;
                    }
                    self.confirm(outbox)?;
                }
                Output::Completed(verdicts) => {
                    let shut = self.shut_after(&verdicts).await;
                    return shut.map_or(Ok(verdicts), Err);
                }
                _ => return Err(Aborted::Unheard(Broken::Ended)),
            }
        }
    }

    /// Asks whether the primary takes no mail at all now, as one does whose disk is full; if so, returns its reply.
    ///
    /// # Errors
    /// It did not answer; the connection is of no more use.
    pub(super) async fn shut(&mut self) -> Result<Option<Reply>, Broken> {
        Ok(match self.ask_for_any().await? {
            Opinion::Later(reply) if is_about_system(&reply) => Some(reply),
            _ => None,
        })
    }

    /// Why a primary that has put a message off is to be left alone, if it is: it would put off each that follows,
    /// too. It may be this message alone that it has no room for, so it is asked.
    async fn shut_after(&mut self, verdicts: &[Verdict]) -> Option<Aborted> {
        let puts_off =
            |verdict: &Verdict| matches!(verdict, Verdict::Deferred(r) if is_about_system(r));
        if self.session.is_closed() || verdicts.is_empty() || !verdicts.iter().all(puts_off) {
            return None;
        }
        match self.shut().await {
            Ok(shut) => shut.map(Aborted::Shut),
            Err(broken) => Some(Aborted::TurnedAway(broken)),
        }
    }

    /// What a connection that broke says about the message, by the reply that did not come.
    pub(super) fn aborted(&self, broken: Broken) -> Aborted {
        if matches!(broken, Broken::Session(Failure::Closing(_))) {
            return Aborted::TurnedAway(broken);
        }
        match self.awaiting {
            Some(Awaiting::Recipient | Awaiting::Data | Awaiting::Chunk) => {
                Aborted::Underway(broken)
            }
            Some(Awaiting::FinalDot) => Aborted::InDoubt(broken),
            _ => Aborted::Unheard(broken),
        }
    }

    async fn send_body(&mut self, outbox: &impl Outbox, message: &Message) -> Result<(), Aborted> {
        // MAIL and DATA may have been answered in one packet; the message is on its way now.
        self.awaiting = Some(Awaiting::Data);
        let mut hasher = Sha256::new();
        let mut size = 0;
        self.session.send_body(&message.trace);
        for piece in &message.body.pieces {
            let octets = outbox
                .piece(message.id, *piece)
                .await
                .map_err(Aborted::Spool)?;
            hasher.update(&octets);
            size += octets.len() as u64;
            for chunk in octets.chunks(WRITE_MAX) {
                self.session.send_body(chunk);
                if self.session.outgoing().len() >= WRITE_MAX {
                    self.send().await.map_err(Aborted::Underway)?;
                }
                while self.session.awaits_chunk() {
                    self.carry(Awaiting::Chunk)
                        .await
                        .map_err(Aborted::Underway)?;
                }
                if !self.session.wants_body() {
                    return Ok(());
                }
            }
        }
        if size != message.body.size || hasher.finalize()[..] != message.body.digest.0 {
            return Err(Aborted::Damaged);
        }
        self.session.end_body();
        if self.session.outgoing().len() > UNSENT_BEFORE_DOT_MAX {
            self.send().await.map_err(Aborted::Underway)?;
        }
        Ok(())
    }

    /// The last moment at which a delivery can be called off without a trace. A primary that has
    /// read the final dot, or the last chunk, owns the message, so only a node that surely leads may send it: another
    /// leader would deliver the message again.
    fn confirm(&mut self, outbox: &impl Outbox) -> Result<(), Aborted> {
        if outbox.lease().is_none_or(|lease| lease < LEASE_MARGIN) {
            return Err(Aborted::LeaseShort);
        }
        self.session.send_final_dot();
        self.awaiting = Some(Awaiting::FinalDot);
        Ok(())
    }
}

/// The part of a message's envelope that concerns the recipients to be tried.
fn envelope(message: &Message, recipients: &[u32]) -> Envelope {
    let recipients = recipients
        .iter()
        .filter_map(|index| message.recipients.get(*index as usize))
        .map(|recipient| smtp::Recipient {
            path: recipient.path.clone(),
            dsn: recipient.dsn.clone(),
        });
    Envelope {
        reverse_path: message.reverse_path.clone(),
        recipients: recipients.collect(),
        body_type: message.body_type,
        declared_size: Some(message.trace.len() as u64 + message.body.size),
        smtputf8: message.smtputf8,
        dsn: message.dsn.clone(),
    }
}
