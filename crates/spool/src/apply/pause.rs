//! Domains whose mail is kept back.

use super::{Change, Outcome, Timestamp, View, audit, recovery};
use crate::{
    audit::{Action, Tally},
    destination::{Destination, Pause},
};

const CHANGED: Tally = Tally {
    changed: 1,
    unaffected: 0,
    held: 0,
    absent: 0,
};

const UNAFFECTED: Tally = Tally {
    changed: 0,
    unaffected: 1,
    held: 0,
    absent: 0,
};

/// Pauses a domain until a moment, or for ever. One that is paused gets the new end and reason.
pub(super) fn pause<V: View>(
    view: &V,
    domain: String,
    until: Option<Timestamp>,
    action: Action,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    audit::once(view, action, 1, |action| {
        let mut after = view.destination(&domain);
        let since = after.pause_at(action.at).map(|pause| pause.since);
        after.paused = Some(Pause {
            since: since.unwrap_or(action.at),
            until,
            by: action.by.clone(),
            reason: action.reason.clone(),
        });
        Ok((CHANGED, vec![Change::Destination { domain, after }]))
    })
}

/// Ends what keeps a domain's mail back: a pause, and a recovery that is guarded.
pub(super) fn resume<V: View>(
    view: &V,
    domain: String,
    action: Action,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    audit::once(view, action, 1, |action| {
        let before = view.destination(&domain);
        let mut after = before.clone();
        if after.pause_at(action.at).is_some() {
            after.paused = None;
        }
        recovery::end_guard(&mut after, action.at);
        if after == before {
            return Ok((UNAFFECTED, Vec::new()));
        }
        Ok((CHANGED, vec![Change::Destination { domain, after }]))
    })
}

/// Forgets pauses that have ended by themselves. `changes` holds what the same sweep does to the domains'
/// figures so far.
pub(super) fn sweep<V: View>(view: &V, at: Timestamp, changes: &mut Vec<Change>) {
    for domain in view.domains() {
        let before = view.destination(&domain);
        if before.paused.is_none() || before.pause_at(at).is_some() {
            continue;
        }
        let noted = changes.iter_mut().find_map(|change| match change {
            Change::Destination { domain: own, after } if *own == domain => Some(after),
            _ => None,
        });
        if let Some(after) = noted {
            after.paused = None;
        } else {
            let after = Destination {
                paused: None,
                ..before
            };
            changes.push(Change::Destination { domain, after });
        }
    }
}
