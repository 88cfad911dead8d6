//! Writes the reports that senders are owed, one after the other.
//!
//! What is owed stands in the spool, and that it was told goes into the spool in one entry with the report. So a
//! leader that ends in between has told nothing, and the next one writes another report.

use bytes::Bytes;
use rand::random;
use sha2::{Digest as _, Sha256};
use smtp::{ForwardPath, Mailbox, ReversePath, dsn};
use spool::ports::OutboxError;
use spool::{
    Accept, Client, Digest, Message, MessageId, Notify, Outbox, Owed, Policy, Timestamp, notice,
};
use tokio::time::sleep;

use crate::outbound::Shared;
use crate::outbound::limits::{OWED_READ_MAX, REPORT_PACE, REPORTS_LOOK, STORAGE_RETRY};
use crate::report::limits::RECIPIENTS_MAX;
use crate::report::{Composed, Notice, compose};

/// Writes reports until the forwarder stops.
///
/// # Errors
/// Why the spool does not take them any more.
pub(super) async fn write<O: Outbox>(shared: &Shared<O>) -> Result<(), OutboxError> {
    let writing = async {
        let mut seen = 0;
        loop {
            match write_owed(shared).await {
                Ok(()) => {}
                Err(OutboxError::NotLeading) => return Err(OutboxError::NotLeading),
                Err(error) => {
                    tracing::error!(%error, "senders could not be told what they are owed");
                    sleep(STORAGE_RETRY).await;
                    continue;
                }
            }
            seen = shared.outbox.changed_since(seen).await;
            sleep(REPORTS_LOOK).await;
        }
    };
    let ended = shared.stop.run_until_cancelled(writing).await;
    ended.unwrap_or(Ok(()))
}

/// Writes all that is owed now.
async fn write_owed<O: Outbox>(shared: &Shared<O>) -> Result<(), OutboxError> {
    let mut after = 0;
    loop {
        let owed = shared.outbox.owed(after, OWED_READ_MAX).await?;
        let (Some(last), Some(policy)) = (owed.last(), shared.outbox.policy()) else {
            return Ok(());
        };
        after = last.message.sequence;
        for owed in &owed {
            for recipients in owed.recipients.chunks(RECIPIENTS_MAX) {
                tell(shared, &policy, owed, recipients).await?;
                sleep(REPORT_PACE).await;
            }
        }
    }
}

/// Writes one report, and has it spooled.
async fn tell<O: Outbox>(
    shared: &Shared<O>,
    policy: &Policy,
    owed: &Owed,
    recipients: &[u32],
) -> Result<(), OutboxError> {
    let message = &*owed.message;
    // Nothing is ever owed to nobody.
    let ReversePath::Mailbox(sender) = &message.reverse_path else {
        return Ok(());
    };
    let head = head_of(&*shared.outbox, message).await?;
    let at = shared.clock.now();
    let id = MessageId::new(at.0, random());
    let hostname = &shared.config.hostname;
    let composed = compose(&Notice {
        message,
        kind: owed.kind,
        recipients,
        head: head.as_deref(),
        hostname,
        postmaster: policy.reports.postmaster.as_deref(),
        tried_until: message.counts_from().after(policy.keeping.max_age),
        id,
        at,
    });
    let to = ForwardPath::Mailbox(sender.clone());
    // Mail for one of our own domains goes to its primary, as all of its mail does.
    let queue = policy
        .domain_of(&to)
        .map_or(notice::QUEUE, |domain| &domain.name);
    let report = spooled(composed, id, at, (to, queue), hostname);
    let notify = Notify {
        id: message.id,
        kind: owed.kind,
        recipients: recipients.to_vec(),
        at,
        report: Box::new(report),
    };
    shared.outbox.notify(notify).await?;
    shared.metrics.count_report(owed.kind);
    log(message, id, sender, owed.kind, recipients.len());
    Ok(())
}

/// The octets that a message begins with; `None` when they are not to be had now. A report does without.
async fn head_of(outbox: &impl Outbox, message: &Message) -> Result<Option<Bytes>, OutboxError> {
    let Some(first) = message.body.pieces.first() else {
        return Ok(Some(Bytes::new()));
    };
    match outbox.piece(message.id, *first).await {
        Ok(octets) => Ok(Some(octets)),
        Err(error @ (OutboxError::PieceMissing { .. } | OutboxError::PieceUnreadable { .. })) => {
            tracing::warn!(id = %message.id, %error, "a report goes without the message's header");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A report as a message: from nobody, so that nobody is told of what becomes of it (RFC 3464 section 2).
fn spooled(
    composed: Composed,
    id: MessageId,
    at: Timestamp,
    (to, queue): (ForwardPath, &str),
    hostname: &str,
) -> Accept {
    let tail = Bytes::from(composed.octets);
    Accept {
        id,
        received_at: at,
        reverse_path: ReversePath::Null,
        body_type: composed.body_type,
        smtputf8: composed.smtputf8,
        dsn: dsn::PerMessage::default(),
        recipients: vec![(to.into(), queue.to_owned())],
        staged: 0,
        size: tail.len() as u64,
        digest: Digest(Sha256::digest(&tail).into()),
        tail,
        trace: Bytes::new(),
        client: Client::nobody(hostname),
        authentication: None,
        fingerprint: None,
        confirmed: Vec::new(),
    }
}

fn log(message: &Message, report: MessageId, to: &Mailbox, kind: notice::Kind, recipients: usize) {
    let kind = match kind {
        notice::Kind::Failed => "failed",
        notice::Kind::Delayed => "delayed",
        notice::Kind::Relayed => "relayed",
    };
    tracing::info!(
        target: "mail",
        id = %message.id,
        %report,
        %to,
        kind,
        recipients,
        "sender is told"
    );
}
