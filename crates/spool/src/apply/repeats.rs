//! Which messages have come before, and which of them are remembered.

use crate::{
    Accept, Change, MessageId, Timestamp, View,
    unconfirmed::{Remembered, UNCONFIRMED_MAX},
};

/// Forgets the messages whose 250 has been read: the same message again is another one from now on.
pub(super) fn confirm<V: View>(view: &V, ids: &[MessageId]) -> Vec<Change> {
    let mut ids: Vec<MessageId> = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let remembered = ids
        .into_iter()
        .filter(|id| view.unconfirmed().get(*id).is_some());
    remembered.map(forgotten).collect()
}

/// The message that an acceptance repeats, as far as this very command does not confirm it.
pub(super) fn first_of<V: View>(view: &V, accept: &Accept) -> Option<MessageId> {
    let (first, remembered) = view.unconfirmed().first(accept.fingerprint?)?;
    let is_read = accept.confirmed.contains(&first);
    (!is_read && remembered.is_recent(accept.received_at)).then_some(first)
}

/// Remembers a message that is new. `changes` holds what the same command has forgotten so far.
pub(super) fn remember<V: View>(view: &V, accept: &Accept, changes: &mut Vec<Change>) {
    let Some(fingerprint) = accept.fingerprint else {
        return;
    };
    let mut gone: Vec<MessageId> = changes.iter().filter_map(forgotten_id).collect();
    // One of the same fingerprint that is still there is too old to be repeated.
    if let Some((old, _)) = view.unconfirmed().first(fingerprint)
        && !gone.contains(&old)
    {
        gone.push(old);
        changes.push(forgotten(old));
    }
    if view.unconfirmed().len() - gone.len() >= UNCONFIRMED_MAX {
        let mut ids = view.unconfirmed().iter().map(|(id, _)| id);
        let earliest = ids.find(|id| !gone.contains(id));
        changes.extend(earliest.map(forgotten));
    }
    changes.push(Change::Unconfirmed {
        id: accept.id,
        after: Some(Remembered {
            fingerprint,
            at: accept.received_at,
        }),
    });
}

/// Forgets what came too long before a moment.
pub(super) fn sweep<V: View>(view: &V, at: Timestamp) -> Vec<Change> {
    let unconfirmed = view.unconfirmed().iter();
    let old = unconfirmed.filter(|(_, remembered)| !remembered.is_recent(at));
    old.map(|(id, _)| forgotten(id)).collect()
}

const fn forgotten(id: MessageId) -> Change {
    Change::Unconfirmed { id, after: None }
}

const fn forgotten_id(change: &Change) -> Option<MessageId> {
    match change {
        Change::Unconfirmed { id, after: None } => Some(*id),
        _ => None,
    }
}
