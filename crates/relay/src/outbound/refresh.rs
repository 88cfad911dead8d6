//! Looks after idle primaries: whether they are there, and what they offer.
//!
//! There is nothing to send to primaries that are up and get their mail from the senders, so nobody
//! would talk to them before they go down, which is when it matters what they take. Each is asked now
//! and then. One that does not answer, and not either when it is asked once more, is recorded as down: who asks
//! for its state is told so, and the domain's own task waits for it from then on.

use core::convert::Infallible;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use spool::policy::{Domain, Policy, Tls};
use spool::{Outbox, Reachability};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::outbound::limits::{
    CHANGES_MIN, FIRST_LOOK_AGAIN, IDLE_LOOKS_MAX, REFRESH_PROBES, STORAGE_RETRY,
};
use crate::outbound::{Shared, resume};

/// Asks each idle primary in turn, for as long as it is polled: at once, as what an earlier leader knew may be old, and
/// one that is new in the policy was never asked; and from then on every few probe intervals.
pub(super) async fn refresh<O: Outbox>(shared: &Arc<Shared<O>>) -> Infallible {
    let longest = shared.config.timeouts.refresh;
    let mut asked: HashMap<String, Instant> = HashMap::new();
    let mut is_first_round = true;
    loop {
        let Some(policy) = shared.outbox.policy() else {
            sleep(longest.min(STORAGE_RETRY)).await;
            continue;
        };
        let began = Instant::now();
        asked.retain(|name, _| policy.domain(name).is_some());
        let is_due = |domain: &Domain| {
            let asked = asked.get(&domain.name);
            asked.is_none_or(|at| began >= *at + pause_of(domain, longest))
        };
        let due = by_primary(&policy, |domain| is_idle(shared, domain) && is_due(domain));
        let mut looks = JoinSet::new();
        for domains in due {
            let named = domains
                .iter()
                .filter_map(|place| policy.domains.get(*place));
            let mut is_new = false;
            for domain in named {
                let is_unknown = asked.insert(domain.name.clone(), began).is_none();
                is_new |= is_unknown && !is_first_round;
            }
            if looks.len() >= IDLE_LOOKS_MAX {
                ended(&mut looks).await;
            }
            looks.spawn(look(shared.clone(), policy.clone(), domains, is_new));
        }
        while ended(&mut looks).await {}
        is_first_round = false;
        let pause = pause_between(&policy, longest);
        // Over in time or not, there is another round.
        let _ = timeout(pause, until_other_than(&policy, shared)).await;
    }
}

/// Returns once another policy is in force.
async fn until_other_than<O: Outbox>(policy: &Arc<Policy>, shared: &Shared<O>) {
    let mut seen = 0;
    while (shared.outbox.policy()).is_some_and(|now| Arc::ptr_eq(&now, policy)) {
        seen = shared.outbox.changed_since(seen).await;
        sleep(CHANGES_MIN).await;
    }
}

/// How long a primary is not asked. Whoever wants to know sooner that it is back wants to know sooner, too, that it is
/// gone.
pub(super) fn pause_of(domain: &Domain, longest: Duration) -> Duration {
    longest.min(domain.probe_interval.saturating_mul(REFRESH_PROBES))
}

/// How long nobody is asked.
fn pause_between(policy: &Policy, longest: Duration) -> Duration {
    let asked = policy.domains.iter().filter(|domain| !domain.sentry);
    let shortest = asked.map(|domain| pause_of(domain, longest)).min();
    shortest.unwrap_or(longest)
}

async fn ended(looks: &mut JoinSet<()>) -> bool {
    let ended = looks.join_next().await;
    ended
        .map(|ended| ended.unwrap_or_else(|error| resume(error)))
        .is_some()
}

/// The domains that are chosen, by their places in the policy. Those that have the same hosts are together: one look
/// will do.
fn by_primary(policy: &Policy, is_chosen: impl Fn(&Domain) -> bool) -> Vec<Vec<usize>> {
    let mut by_primary: BTreeMap<(&[String], &str, Tls), Vec<usize>> = BTreeMap::new();
    for (place, domain) in policy.domains.iter().enumerate() {
        if is_chosen(domain) {
            // Without any, the MX records of the domain say where they are.
            let name = match domain.primary[..] {
                [] => domain.name.as_str(),
                [..] => "",
            };
            let primary = (domain.primary.as_slice(), name, domain.tls);
            by_primary.entry(primary).or_default().push(place);
        }
    }
    by_primary.into_values().collect()
}

/// Whether nobody else is about to talk to the primary: a sentry's task does so all the time.
fn is_idle<O: Outbox>(shared: &Shared<O>, domain: &Domain) -> bool {
    let destination = shared.outbox.destination(&domain.name);
    !domain.sentry
        && destination.reachability == Reachability::Up
        && destination.totals.undelivered() == 0
}

/// Asks the primary of these domains. Of one that is new in the policy somebody may wait to hear how it is.
async fn look<O: Outbox>(
    shared: Arc<Shared<O>>,
    policy: Arc<Policy>,
    domains: Vec<usize>,
    is_new: bool,
) {
    let mut domains = domains
        .into_iter()
        .filter_map(|place| policy.domains.get(place))
        .peekable();
    let Some(first) = domains.peek().copied() else {
        return;
    };
    let mut found = shared.connect(first).await;
    if found.is_err() {
        // It may have been starting again.
        let again = first.probe_interval.min(shared.config.timeouts.refresh);
        let again = if is_new {
            again.min(FIRST_LOOK_AGAIN)
        } else {
            again
        };
        sleep(again).await;
        found = shared.connect(first).await;
    }
    for domain in domains {
        let name = &domain.name;
        let noted = match &found {
            Ok(connection) => shared.note_offers(domain, connection).await,
            Err(reason) if is_idle(&shared, domain) => {
                tracing::warn!(domain = %name, %reason, "primary is down");
                let down = Reachability::Down(reason.clone());
                shared.observe(name, down).await
            }
            Err(_) => Ok(()),
        };
        if let Err(error) = noted {
            tracing::debug!(domain = %name, %error, "what an idle primary is like was not recorded");
        }
    }
    if let Ok(connection) = found {
        connection.quit().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::tests::domain;

    #[test]
    fn they_are_asked_every_few_probe_intervals_and_once_a_minute_at_least() {
        let probed_every = |seconds: &[u64]| Policy {
            domains: seconds
                .iter()
                .map(|seconds| Domain {
                    probe_interval: Duration::from_secs(*seconds),
                    ..domain(([127, 0, 0, 1], 25).into())
                })
                .collect::<Vec<_>>()
                .into(),
            ..Policy::default()
        };
        let longest = Duration::from_mins(1);
        for (intervals, seconds) in [(&[][..], 60), (&[15], 60), (&[300, 2], 8), (&[300], 60)] {
            let pause = pause_between(&probed_every(intervals), longest);
            assert_eq!(pause, Duration::from_secs(seconds), "{intervals:?}");
        }
    }

    #[test]
    fn domains_with_the_same_hosts_are_looked_at_together() {
        let here = ([127, 0, 0, 1], 25).into();
        let there = ([127, 0, 0, 2], 25).into();
        let named = |name: &str, primary| Domain {
            name: name.to_owned(),
            ..domain(primary)
        };
        let by_records = |name: &str| Domain {
            primary: Vec::new(),
            ..named(name, here)
        };
        let mut verified = named("d.example", here);
        verified.tls = Tls::Verify;
        let policy = Policy {
            domains: vec![
                named("a.example", here),
                by_records("b.example"),
                named("c.example", there),
                verified,
                named("e.example", here),
                named("f.example", here),
                by_records("g.example"),
            ]
            .into(),
            ..Policy::default()
        };
        let mut found = by_primary(&policy, |domain| domain.name != "f.example");
        found.sort();
        assert_eq!(found, [vec![0, 4], vec![1], vec![2], vec![3], vec![6]]);
    }
}
