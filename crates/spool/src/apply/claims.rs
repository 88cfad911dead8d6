//! Who is delivering what.
//!
//! A leader claims messages before it delivers them. A later leader finds the claims in its own
//! state, as they precede its first entry in the log, and so knows what may be on its way already.
//! A claim ends with the place in the queue that it was made on: when a report moves the message.

use crate::{Change, Claims, Outcome, Place, View};

/// Marks what is queued. A term takes over what earlier ones have claimed; when it may do so is its
/// leader's affair.
pub(super) fn claim<V: View>(view: &V, claims: Claims) -> Result<(Outcome, Vec<Change>), V::Error> {
    let term = claims.term;
    change(view, claims, |claimed_by| {
        claimed_by.is_none_or(|by| by < term).then_some(Some(term))
    })
}

/// Takes the marks of this very term away.
pub(super) fn release<V: View>(
    view: &V,
    claims: Claims,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let term = claims.term;
    change(view, claims, |claimed_by| {
        (claimed_by == Some(term)).then_some(None)
    })
}

fn change<V: View>(
    view: &V,
    claims: Claims,
    next: impl Fn(Option<u64>) -> Option<Option<u64>>,
) -> Result<(Outcome, Vec<Change>), V::Error> {
    let mut changes = Vec::with_capacity(claims.sequences.len());
    for sequence in claims.sequences {
        if let Some(place) = view.place(&claims.domain, sequence)?
            && let Some(claimed_by) = next(place.claimed_by)
        {
            changes.push(Change::Claimed {
                domain: claims.domain.clone(),
                sequence,
                after: Place {
                    claimed_by,
                    ..place
                },
            });
        }
    }
    Ok((Outcome::Done, changes))
}
