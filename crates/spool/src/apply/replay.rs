//! Messages that are delivered again.
//!
//! A replayed message takes its old place in the order of arrival, so that it leaves as it once came.

use std::collections::BTreeSet;

use super::{
    ledger::Ledger,
    report::{Due, kept_claims},
};
use crate::{Change, Footprint, Message, MessageId, Outcome, Replay, Timestamp, View, view::Known};

/// How many messages one command replays at most, so that it is never a long entry to apply.
pub const REPLAY_MAX: usize = 500;

pub(super) fn replay<V: View>(
    view: &V,
    replay: &Replay,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let mut ledger = Ledger::new(view);
    let mut changes = Vec::new();
    let mut replayed = 0;
    let ids: BTreeSet<MessageId> = replay.ids.iter().take(REPLAY_MAX).copied().collect();
    for id in ids {
        let is_replayed = match view.known(id)? {
            Some(Known::Departed(left_at)) => {
                bring_back(view, id, left_at, replay, &mut ledger, &mut changes)?
            }
            Some(Known::Queued(sequence)) => match view.message(sequence)? {
                Some(before) => reopen(view, before, replay, &mut ledger, &mut changes)?,
                None => false,
            },
            Some(Known::Repeat { .. }) | None => false,
        };
        replayed += u64::from(is_replayed);
    }
    ledger.write_to(&mut changes);
    Ok((Outcome::Replayed(replayed), changes))
}

/// Puts a message back that has left, if its body is kept. Returns whether it is, or was, replayed.
fn bring_back<V: View>(
    view: &V,
    id: MessageId,
    left_at: Timestamp,
    replay: &Replay,
    ledger: &mut Ledger<'_, V>,
    changes: &mut Vec<Change>,
) -> Result<bool, V::Error> {
    let Some(before) = view.departure(left_at, id)? else {
        return Ok(false);
    };
    let mut after = before.clone();
    let retained = view.retained(left_at, id)?;
    let Some(retained) = retained.filter(|_| after.reopen(replay)) else {
        return Ok(before.was_replayed(replay));
    };
    let totals = ledger.history();
    totals.rows = totals.rows.saturating_sub(1);
    totals.give_up(&retained);
    changes.push(Change::Retained {
        at: left_at,
        id,
        after: None,
    });
    changes.push(Change::Known {
        id,
        before: Some(Known::Departed(left_at)),
        after: Some(Known::Queued(after.sequence)),
    });
    after.body.pieces = retained.pieces;
    after.trace = retained.trace;
    ledger.recount(None, Some(&after));
    ledger.revise(after.domains());
    changes.push(Change::Message {
        before: None,
        after: Some(Box::new(after)),
    });
    Ok(true)
}

/// Has a message delivered again to those who have got it, while others still wait for it. What a leader
/// has claimed of it stays claimed.
fn reopen<V: View>(
    view: &V,
    before: Message,
    replay: &Replay,
    ledger: &mut Ledger<'_, V>,
    changes: &mut Vec<Change>,
) -> Result<bool, V::Error> {
    let mut after = before.clone();
    if !after.reopen(replay) {
        return Ok(before.was_replayed(replay));
    }
    let mut kept = kept_claims(view, Due::of(&after).collect(), 0)?;
    let before = Footprint::of(&before);
    ledger.recount(Some(&before), Some(&after));
    ledger.revise(after.domains());
    changes.push(Change::Message {
        before: Some(before),
        after: Some(Box::new(after)),
    });
    changes.append(&mut kept);
    Ok(true)
}
