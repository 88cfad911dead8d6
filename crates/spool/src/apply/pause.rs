//! Domains whose mail is kept back.

use super::{audit, outages::note_ended, recovery};
use crate::{
    Change, Outcome, Timestamp, View,
    audit::{Action, Tally},
    destination::{Destination, Pause},
    outage::{Outage, ended_pause},
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
        let mut changes = Vec::new();
        if let Some(ended) = ended_pause(&after, action.at) {
            note_ended(view, &domain, ended, &mut changes)?;
        }
        let since = after.pause_at(action.at).map(|pause| pause.since);
        after.paused = Some(Box::new(Pause {
            since: since.unwrap_or(action.at),
            until,
            by: action.by.clone(),
            reason: action.reason.clone(),
        }));
        changes.push(Change::Destination { domain, after });
        Ok((CHANGED, changes))
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
        let mut changes = Vec::new();
        if let Some(pause) = before.pause_at(action.at) {
            let ended = Outage {
                since: pause.since,
                until: action.at,
            };
            note_ended(view, &domain, ended, &mut changes)?;
            after.paused = None;
        }
        recovery::end_guard(view, &domain, &mut after, action.at, &mut changes)?;
        if after == before {
            return Ok((UNAFFECTED, Vec::new()));
        }
        changes.push(Change::Destination { domain, after });
        Ok((CHANGED, changes))
    })
}

/// Turns pauses that have ended by themselves into outages. `changes` holds what the same sweep does to the domains'
/// figures so far.
pub(super) fn sweep<V: View>(
    view: &V,
    at: Timestamp,
    changes: &mut Vec<Change>,
) -> Result<(), V::Error> {
    for domain in view.domains() {
        let before = view.destination(&domain);
        let Some(ended) = ended_pause(&before, at) else {
            continue;
        };
        note_ended(view, &domain, ended, changes)?;
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
    Ok(())
}
