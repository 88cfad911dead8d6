//! What is noted of a domain's primary, and that its queue is flushed.

use crate::{Change, KnownOffers, Offers, Outcome, Timestamp, View, alarm::Notice};

/// What is known already, or was found out later, stays: a proposal that comes again says nothing new. Nor
/// does one that was made before the policy changed: it may be about another primary.
pub(super) fn learn<V: View>(
    view: &V,
    domain: String,
    offers: Offers,
    policy_version: u64,
    at: Timestamp,
) -> (Outcome, Vec<Change>) {
    let in_force = view.policy().map_or(0, |policy| policy.version);
    if policy_version != 0 && policy_version != in_force {
        return (Outcome::Done, Vec::new());
    }
    let mut after = view.destination(&domain);
    let is_news = |known: KnownOffers| known.offers != offers && !at.is_late(known.since);
    if !after.learned.is_none_or(is_news) {
        return (Outcome::Done, Vec::new());
    }
    after.learned = Some(KnownOffers { offers, since: at });
    (Outcome::Done, vec![Change::Destination { domain, after }])
}

pub(super) fn note_posted<V: View>(view: &V, notice: Notice) -> Change {
    let domain = notice.domain.clone();
    let mut after = view.destination(&domain);
    after.note_posted(notice);
    Change::Destination { domain, after }
}

pub(super) fn flush<V: View>(
    view: &V,
    domain: Option<String>,
    at: Timestamp,
) -> (Outcome, Vec<Change>) {
    let domains = domain.map_or_else(|| view.domains(), |domain| vec![domain]);
    let changes = domains.into_iter().map(|domain| {
        let mut after = view.destination(&domain);
        after.flushed_at = after.flushed_at.max(at);
        Change::Destination { domain, after }
    });
    (Outcome::Done, changes.collect())
}
