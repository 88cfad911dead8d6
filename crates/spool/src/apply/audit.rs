//! Actions of operators, each command of them once, and the log of what they have changed.

use crate::{
    Change, Outcome, Timestamp, View,
    audit::{AUDIT_AGE_MAX, AUDIT_ROWS_MAX, Action, Audited, Tally},
};

/// Actions that one sweep forgets at most, so that a sweep is never a long entry to apply.
const SWEEP_ACTIONS_MAX: usize = 5000;

/// Carries out one command of an action, unless it was carried out before: a copy of it comes to what the
/// first one came to. What changes something is noted.
pub(super) fn once<V: View>(
    view: &V,
    action: Action,
    batch: u32,
    act: impl FnOnce(&Action) -> Result<(Tally, Vec<Change>), V::Error>,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let before = view.audited(action.id)?;
    if let Some(before) = before.as_ref().filter(|before| before.batch >= batch) {
        let tally = if before.batch == batch {
            before.tally
        } else {
            Tally::default()
        };
        return Ok((Outcome::Handled(tally), Vec::new()));
    }
    let (tally, mut changes) = act(&action)?;
    if tally.changed > 0 || before.is_some() {
        let earlier = before.map_or(0, |before| before.changed);
        changes.push(Change::Audited {
            id: action.id,
            after: Some(Box::new(Audited {
                action,
                changed: earlier.saturating_add(tally.changed),
                batch,
                tally,
            })),
        });
    }
    Ok((Outcome::Handled(tally), changes))
}

/// Notes an action that was carried out by other commands.
pub(super) fn note<V: View>(view: &V, action: Action) -> Result<(Outcome, Vec<Change>), V::Error> {
    let noted = Tally {
        changed: 1,
        ..Tally::default()
    };
    once(view, action, 1, |_| Ok((noted, Vec::new())))
}

/// Forgets what was done too long ago, and the earliest of too much.
pub(super) fn sweep<V: View>(view: &V, at: Timestamp) -> Result<Vec<Change>, V::Error> {
    let until = at.before(AUDIT_AGE_MAX);
    let gone = view.actions_beyond(until, AUDIT_ROWS_MAX, SWEEP_ACTIONS_MAX)?;
    let forgotten = |id| Change::Audited { id, after: None };
    Ok(gone.into_iter().map(forgotten).collect())
}
