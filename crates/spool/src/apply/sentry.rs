//! Who has come to a sentry, and how often.

use crate::{
    Change, Timestamp, View, Visitor, Visits,
    sentry::{Patience, SWEEP_VISITORS_MAX, VISITORS_MAX, VISITS_PER_COMMAND_MAX, is_recent},
};

/// Notes visits. Whoever was away for the longest is forgotten for a new visitor, once there are too
/// many.
pub(super) fn visit<V: View>(view: &V, visits: Visits) -> Vec<Change> {
    let Visits { at, mut visitors } = visits;
    visitors.truncate(VISITS_PER_COMMAND_MAX);
    visitors.sort_unstable();
    visitors.dedup();
    let known = view.visitors();
    let mut new = 0;
    let mut changes = Vec::with_capacity(visitors.len());
    for visitor in &visitors {
        let before = known.get(*visitor);
        if let Some(after) = Patience::after(before, at) {
            new += usize::from(before.is_none());
            changes.push(Change::Visitor {
                visitor: *visitor,
                after: Some(after),
            });
        }
    }
    let excess = (known.len() + new).saturating_sub(VISITORS_MAX);
    let by_last_visit = known.by_last_visit().map(|(_, visitor)| visitor);
    let absent = by_last_visit.filter(|visitor| visitors.binary_search(visitor).is_err());
    changes.extend(absent.take(excess).map(forgotten));
    changes
}

/// Forgets who has been away for too long.
pub(super) fn sweep<V: View>(view: &V, at: Timestamp) -> Vec<Change> {
    let by_last_visit = view.visitors().by_last_visit();
    let gone = by_last_visit.filter(|(last, _)| !is_recent(*last, at));
    let gone = gone.map(|(_, visitor)| visitor).take(SWEEP_VISITORS_MAX);
    gone.map(forgotten).collect()
}

const fn forgotten(visitor: Visitor) -> Change {
    Change::Visitor {
        visitor,
        after: None,
    }
}
