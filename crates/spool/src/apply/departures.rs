//! Messages that leave, and what is remembered of them.

use super::ledger::Ledger;
use crate::{
    Change, Footprint, Message, MessageId, Outcome, Retained, Timestamp, View,
    history::{DEPARTED_AGE_MAX, HISTORY_ROWS_MAX},
    policy::Keeping,
    view::Known,
};

/// How many ids one sweep forgets at most; above what can leave between two sweeps.
pub const SWEEP_DEPARTED_MAX: usize = 100_000;

/// How many bodies one command gives up at most, so that it is never a long entry to apply.
pub const RELINQUISH_MAX: usize = 1000;

/// Decides whether a message stays: as long as one recipient is to be tried, or to be told of, or to be shown to
/// the postmaster because he was refused and nobody can be told.
pub(super) fn settle<V: View>(
    view: &V,
    before: Footprint,
    after: Message,
    at: Timestamp,
    ledger: &mut Ledger<'_, V>,
    changes: &mut Vec<Change>,
) {
    let after = if after.is_settled() {
        ledger.recount(Some(&before), None);
        leave(view, after, at, ledger, changes);
        None
    } else {
        ledger.recount(Some(&before), Some(&after));
        Some(after)
    };
    changes.push(Change::Message {
        before: Some(before),
        after: after.map(Box::new),
    });
}

/// Takes a message out of the spool and remembers it. Whoever calls this writes the change of the message
/// itself.
pub(super) fn leave<V: View>(
    view: &V,
    message: Message,
    at: Timestamp,
    ledger: &mut Ledger<'_, V>,
    changes: &mut Vec<Change>,
) {
    changes.push(Change::Known {
        id: message.id,
        before: Some(Known::Queued(message.sequence)),
        after: Some(Known::Departed(at)),
    });
    ledger.history().rows += 1;
    let keeping = keeping(view);
    // What was deleted is gone for good, also for those who had got it.
    let has_somebody_got_it = message.was_delivered(Timestamp(0), None);
    let is_kept =
        !keeping.retain_delivered.is_zero() && message.is_settled() && has_somebody_got_it;
    if is_kept {
        let retained = Retained {
            pieces: message.body.pieces.clone(),
            trace: message.trace.clone(),
            size: message.body.size,
        };
        ledger.history().keep(&retained);
        changes.push(Change::Retained {
            at,
            id: message.id,
            after: Some(retained),
        });
    } else {
        changes.extend(message.body.pieces.iter().copied().map(Change::DropPiece));
    }
    if is_kept || !keeping.history.is_zero() {
        let message = Box::new(message.remembered());
        changes.push(Change::Departure { at, message });
    }
}

/// Gives up the bodies of messages that left before a moment.
pub(super) fn relinquish<V: View>(
    view: &V,
    until: Timestamp,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let mut ledger = Ledger::new(view);
    let mut changes = Vec::new();
    for (at, id, retained) in view.retained_before(until, RELINQUISH_MAX)? {
        ledger.history().give_up(&retained);
        changes.extend(retained.pieces.into_iter().map(Change::DropPiece));
        let after = None;
        changes.push(Change::Retained { at, id, after });
    }
    ledger.write_to(&mut changes);
    Ok((Outcome::Done, changes))
}

/// Notes that an id is that of a message which came before.
pub(super) fn note_repeat<V: View>(
    view: &V,
    id: MessageId,
    first: MessageId,
    at: Timestamp,
    changes: &mut Vec<Change>,
) {
    let mut ledger = Ledger::new(view);
    ledger.history().rows += 1;
    changes.push(Change::Known {
        id,
        before: None,
        after: Some(Known::Repeat { first, at }),
    });
    ledger.write_to(changes);
}

/// Forgets what left too long ago, and the earliest of what is too much.
pub(super) fn sweep<V: View>(view: &V, at: Timestamp) -> Result<Vec<Change>, V::Error> {
    let until = at.before(keeping(view).remembered());
    let mut gone = view.departed_before(until, SWEEP_DEPARTED_MAX)?;
    let excess = view.history().rows.saturating_sub(HISTORY_ROWS_MAX);
    let excess = usize::try_from(excess)
        .unwrap_or(usize::MAX)
        .min(SWEEP_DEPARTED_MAX);
    if gone.len() < excess {
        gone = view.departed_before(at.before(DEPARTED_AGE_MAX), excess)?;
    }
    // What is kept goes first, and what is remembered of it after that.
    if let Some((kept, ..)) = view.retained_before(Timestamp(u64::MAX), 1)?.first() {
        gone.retain(|(left_at, _)| left_at < kept);
    }
    let mut ledger = Ledger::new(view);
    let mut changes = Vec::with_capacity(gone.len() + 1);
    for (left_at, id) in gone {
        let rows = &mut ledger.history().rows;
        *rows = rows.saturating_sub(1);
        changes.push(Change::Known {
            id,
            before: Some(Known::Departed(left_at)),
            after: None,
        });
    }
    ledger.write_to(&mut changes);
    Ok(changes)
}

pub(super) fn keeping<V: View>(view: &V) -> Keeping {
    let policy = view.policy();
    policy.map_or(Keeping::NOTHING, |policy| policy.policy.keeping)
}
