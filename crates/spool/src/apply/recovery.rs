//! How a guarded recovery goes on.

use super::outages::note_ended;
use crate::{
    Change, Destination, Outage, Timestamp, View,
    guard::{Guard, Recovery, Step, Tripped},
    words::bounded,
};

/// Takes a step, unless it is a late one: of a recovery that is over, or a copy of one taken before.
pub(super) fn recover<V: View>(view: &V, recovery: Recovery) -> Vec<Change> {
    let Recovery { domain, at, step } = recovery;
    let before = view.destination(&domain);
    let mut after = before.clone();
    match step {
        Step::Begun => begin(&mut after, at),
        Step::Passed { begun_at } => {
            if on_trial(&mut after, begun_at).is_some() {
                after.guard = None;
            }
        }
        Step::Tripped { begun_at, why } => {
            if let Some(guard) = on_trial(&mut after, begun_at) {
                let why = bounded(why);
                guard.tripped = Some(Tripped { at, why });
            }
        }
    }
    if after == before {
        return Vec::new();
    }
    vec![Change::Destination { domain, after }]
}

/// Only a primary that is down can come back. One that failed its trial and was down again meanwhile
/// stays held: nobody has looked yet.
fn begin(destination: &mut Destination, at: Timestamp) {
    if destination.is_down() && destination.held_back().is_none() {
        destination.guard = Some(Box::new(Guard {
            begun_at: at,
            tripped: None,
        }));
    }
}

fn on_trial(destination: &mut Destination, begun_at: Timestamp) -> Option<&mut Guard> {
    let guard = destination.guard.as_deref_mut();
    guard.filter(|guard| guard.begun_at == begun_at && guard.tripped.is_none())
}

/// An operator lets a domain's mail go without a trial: ends a recovery that began before. What the trial has
/// put off is due now.
pub(super) fn end_guard<V: View>(
    view: &V,
    domain: &str,
    destination: &mut Destination,
    at: Timestamp,
    changes: &mut Vec<Change>,
) -> Result<(), V::Error> {
    let begun_before = |guard: &Guard| guard.begun_at <= at;
    if destination.guard.as_deref().is_some_and(begun_before) {
        drop_guard(view, domain, destination, at, changes)?;
        destination.flushed_at = destination.flushed_at.max(at);
    }
    Ok(())
}

/// Forgets a recovery. Where it has kept mail back, that time was an outage.
pub(super) fn drop_guard<V: View>(
    view: &V,
    domain: &str,
    destination: &mut Destination,
    at: Timestamp,
    changes: &mut Vec<Change>,
) -> Result<(), V::Error> {
    if let Some(tripped) = destination.held_back() {
        let outage = Outage {
            since: tripped.at,
            until: at,
        };
        note_ended(view, domain, outage, changes)?;
    }
    destination.guard = None;
    Ok(())
}
