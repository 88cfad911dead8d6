//! Mail that was refused for good, and that nobody has looked after.

use super::{departures, ledger::Ledger};
use crate::{Change, Footprint, Lapse, Outcome, View};

/// How many messages one command drops at most, so that it is never a long entry to apply.
pub const LAPSE_MAX: usize = 500;

/// Drops what has been kept long enough. What an operator has tried again or held meanwhile is not.
pub(super) fn lapse<V: View>(view: &V, lapse: Lapse) -> Result<(Outcome, Vec<Change>), V::Error> {
    let Lapse { at, mut sequences } = lapse;
    let keeping = departures::keeping(view);
    let mut ledger = Ledger::new(view);
    let mut changes = Vec::new();
    sequences.sort_unstable();
    sequences.dedup();
    for sequence in sequences.into_iter().take(LAPSE_MAX) {
        let message = view.message(sequence)?;
        let Some(message) = message.filter(|message| message.has_lapsed(&keeping, at)) else {
            continue;
        };
        let before = Footprint::of(&message);
        ledger.recount(Some(&before), None);
        departures::leave(view, message, at, &mut ledger, &mut changes);
        changes.push(Change::Message {
            before: Some(before),
            after: None,
        });
    }
    ledger.write_to(&mut changes);
    Ok((Outcome::Done, changes))
}
