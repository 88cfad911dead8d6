//! Notes whether a primary offers STARTTLS.

use crate::{Change, Outcome, SeenStarttls, Starttls, View, words::bounded};

/// Of a primary that never offered it nothing is known. What is known already, was found out later, or was
/// found out under another policy, says nothing new, as with what else it offers.
pub(super) fn note<V: View>(view: &V, seen: SeenStarttls) -> (Outcome, Vec<Change>) {
    let in_force = view.policy().map_or(0, |policy| policy.version);
    let mut after = view.destination(&seen.domain);
    let is_news = after.starttls.as_ref().map_or(seen.is_offered, |known| {
        known.is_offered != seen.is_offered && !seen.at.is_late(known.since)
    });
    if !is_news || seen.policy_version != in_force {
        return (Outcome::Done, Vec::new());
    }
    after.starttls = Some(Box::new(Starttls {
        is_offered: seen.is_offered,
        since: seen.at,
        host: bounded(seen.host),
    }));
    let domain = seen.domain;
    (Outcome::Done, vec![Change::Destination { domain, after }])
}
