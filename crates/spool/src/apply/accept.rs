//! How a message comes in: its pieces are staged, and with the last of them it is accepted.

use core::time::Duration;

use super::{departures, ledger::Ledger, repeats};
use crate::{
    Accept, Body, Change, Message, MessageId, Outcome, Recipient, Stage, Status, Timestamp, View,
    view::{Known, Staged},
};

/// A stage that nobody touched for so long belongs to a session that is gone: longer than the ten
/// minutes that a client may wait for the reply to its final dot (RFC 5321 section 4.5.3.2.6).
pub const STAGE_AGE_MAX: Duration = Duration::from_secs(3600);

/// How many stages one sweep drops at most, so that a sweep is never a long entry to apply.
pub const SWEEP_STAGES_MAX: usize = 100;

pub(super) fn stage_piece<V: View>(
    view: &V,
    index: u64,
    stage: &Stage,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    if view.known(stage.id)?.is_some() {
        return Ok((Outcome::Done, vec![Change::DropPiece(index)]));
    }
    let mut staged = view.staged(stage.id)?.unwrap_or_default();
    let count = staged.pieces.len() as u64;
    if u64::from(stage.number) < count {
        return Ok((Outcome::Done, vec![Change::DropPiece(index)]));
    }
    if u64::from(stage.number) > count {
        return Ok((Outcome::StageGone, vec![Change::DropPiece(index)]));
    }
    staged.pieces.push(index);
    staged.size += stage.piece.len() as u64;
    staged.touched_at = staged.touched_at.max(stage.at);
    Ok((
        Outcome::Done,
        vec![Change::Staged {
            id: stage.id,
            after: Some(staged),
        }],
    ))
}

pub(super) fn accept_message<V: View>(
    view: &V,
    index: u64,
    accept: Accept,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    // What was read before this message came is forgotten before anything else: a client that read
    // its 250 and sends the same again means another message.
    let mut changes = repeats::confirm(view, &accept.confirmed);
    let id = accept.id;
    let carried = !accept.tail.is_empty();
    let drop_tail = carried.then_some(Change::DropPiece(index));
    if let Some(known) = view.known(id)? {
        changes.extend(drop_tail);
        let outcome = match known {
            Known::Repeat { first, .. } => Outcome::Repeated(first),
            Known::Queued(_) | Known::Departed(_) => Outcome::Accepted,
        };
        return Ok((outcome, changes));
    }
    if let Some(first) = repeats::first_of(view, &accept) {
        changes.extend(drop_tail);
        drop_stage(view, id, &mut changes)?;
        // A copy of this proposal that comes later, when the first is confirmed, is still no message.
        departures::note_repeat(view, id, first, accept.received_at, &mut changes);
        return Ok((Outcome::Repeated(first), changes));
    }
    let staged = view.staged(id)?;
    let was_staged = staged.is_some();
    let Staged {
        mut pieces, size, ..
    } = staged.unwrap_or_default();
    let whole = pieces.len() as u64 == u64::from(accept.staged)
        && size + accept.tail.len() as u64 == accept.size;
    if !whole {
        changes.extend(drop_tail);
        drop_stage(view, id, &mut changes)?;
        return Ok((Outcome::StageGone, changes));
    }
    if carried {
        pieces.push(index);
    }
    repeats::remember(view, &accept, &mut changes);
    changes.extend(was_staged.then_some(Change::Staged { id, after: None }));
    let mut ledger = Ledger::new(view);
    spool_message(queued(index, accept, pieces), &mut ledger, &mut changes);
    ledger.write_to(&mut changes);
    Ok((Outcome::Accepted, changes))
}

pub(super) fn spool_message<V: View>(
    message: Message,
    ledger: &mut Ledger<'_, V>,
    changes: &mut Vec<Change>,
) {
    ledger.recount(None, Some(&message));
    changes.push(Change::Known {
        id: message.id,
        before: None,
        after: Some(Known::Queued(message.sequence)),
    });
    changes.push(Change::Message {
        before: None,
        after: Some(Box::new(message)),
    });
}

pub(super) fn queued(index: u64, accept: Accept, pieces: Vec<u64>) -> Message {
    let pending = |(recipient, domain): (smtp::Recipient, String)| Recipient {
        path: recipient.path,
        dsn: recipient.dsn,
        domain,
        status: Status::Pending,
        host: String::new(),
        replayed_at: None,
        owed: None,
    };
    Message {
        id: accept.id,
        sequence: index,
        received_at: accept.received_at,
        reverse_path: accept.reverse_path,
        body_type: accept.body_type,
        smtputf8: accept.smtputf8,
        dsn: accept.dsn,
        recipients: accept.recipients.into_iter().map(pending).collect(),
        body: Body {
            pieces,
            size: accept.size,
            digest: accept.digest,
        },
        trace: accept.trace,
        client: accept.client,
        authentication: accept.authentication,
        attempts: 0,
        attempted_at: None,
        hold: None,
        tries: Vec::new(),
        renewed_at: None,
        delay_told_at: None,
    }
}

pub(super) fn discard<V: View>(
    view: &V,
    id: MessageId,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let mut changes = Vec::new();
    drop_stage(view, id, &mut changes)?;
    Ok((Outcome::Done, changes))
}

fn drop_stage<V: View>(view: &V, id: MessageId, changes: &mut Vec<Change>) -> Result<(), V::Error> {
    if let Some(staged) = view.staged(id)? {
        changes.extend(staged.pieces.into_iter().map(Change::DropPiece));
        changes.push(Change::Staged { id, after: None });
    }
    Ok(())
}

/// Drops what sessions have left behind that are gone.
pub(super) fn sweep<V: View>(
    view: &V,
    at: Timestamp,
    changes: &mut Vec<Change>,
) -> Result<(), V::Error> {
    for id in view.stages_before(at.before(STAGE_AGE_MAX), SWEEP_STAGES_MAX)? {
        drop_stage(view, id, changes)?;
    }
    Ok(())
}
