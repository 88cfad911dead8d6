//! Which policy is in force.

use std::sync::Arc;

use super::recovery::drop_guard;
use crate::{
    Adopt, Change, Destination, Outcome, Reachability, Timestamp, View, notice,
    policy::{Document, InForce, Policy, PolicyErrors},
};

/// The version of the policy that a cluster is founded with.
const FIRST_VERSION: u64 = 1;

pub(super) fn found<V: View>(
    view: &V,
    cluster: u128,
    policy: Document,
    at: Timestamp,
) -> (Outcome, Vec<Change>) {
    if view.policy().is_some() {
        return (Outcome::Done, Vec::new());
    }
    match InForce::read(FIRST_VERSION, at, String::new(), policy) {
        Ok(policy) => {
            let policy = Arc::new(policy);
            (Outcome::Done, vec![Change::Founded { cluster, policy }])
        }
        Err(errors) => not_understood(&errors),
    }
}

/// A policy that is in force already has been adopted, whoever by.
pub(super) fn adopt<V: View>(view: &V, adopt: Adopt) -> Result<(Outcome, Vec<Change>), V::Error> {
    let Some(before) = view.policy() else {
        return Ok((Outcome::Overtaken(0), Vec::new()));
    };
    if before.document == adopt.policy {
        return Ok((Outcome::Adopted(before.version), Vec::new()));
    }
    if before.version != adopt.replaces {
        return Ok((Outcome::Overtaken(before.version), Vec::new()));
    }
    let version = before.version + 1;
    match InForce::read(version, adopt.at, adopt.by, adopt.policy) {
        Ok(after) => {
            let mut changes = changed(view, &before.policy, &after)?;
            changes.push(Change::Adopted(Arc::new(after)));
            Ok((Outcome::Adopted(version), changes))
        }
        Err(errors) => Ok(not_understood(&errors)),
    }
}

/// What was learned of a primary is not known of another one: of each domain that has other hosts now, or
/// none, it is forgotten what they offer, and noted by which policy, so that nothing counts that they refused
/// under an earlier one. Also of a domain of which nothing is known: it may be on its way. A domain that is to
/// recover without a guard loses the one that it has. Reports that no smarthost takes any more have no primary that
/// could be down.
fn changed<V: View>(view: &V, before: &Policy, after: &InForce) -> Result<Vec<Change>, V::Error> {
    let mut changes = Vec::new();
    for domain in before.queues() {
        let known = view.destination(&domain.name);
        let now = after.policy.domain(&domain.name);
        if now.is_none() && known == Destination::default() {
            continue;
        }
        let mut next = known.clone();
        if now.is_none_or(|now| now.primary != domain.primary) {
            next.learned = None;
            next.starttls = None;
            next.moved_by = after.version;
            next.moved_at = None;
        }
        // Whoever says another thing about TLS has looked at it.
        if now.is_some_and(|now| now.tls != domain.tls) {
            next.starttls = None;
        }
        if now.is_none() && domain.name == notice::QUEUE {
            next.reachability = Reachability::Up;
        }
        if now.is_some_and(|now| !now.recovery_guard) {
            drop_guard(view, &domain.name, &mut next, after.since, &mut changes)?;
        }
        if next != known {
            changes.push(Change::Destination {
                domain: domain.name.clone(),
                after: next,
            });
        }
    }
    Ok(changes)
}

fn not_understood(errors: &PolicyErrors) -> (Outcome, Vec<Change>) {
    let first = errors.iter().next().map(ToString::to_string);
    (
        Outcome::NotUnderstood(first.unwrap_or_default()),
        Vec::new(),
    )
}
