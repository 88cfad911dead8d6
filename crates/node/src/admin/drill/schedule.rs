//! Drills that are held by themselves, by the node that leads.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::admin::v1::DrillStep;
use smtp::Mailbox;
use spool::{
    Condition, Outbox as _, Policy,
    policy::Domain,
    ports::{MemberHost, Members as _},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{DELIVERED, Drills};

/// Between two looks at what is due; and so long does a node lead at least before its first drill.
const LOOK: Duration = Duration::from_secs(5);

/// Nodes tell each other their names within seconds. That one does not is found out by a drill, too.
const ACQUAINTANCE: Duration = Duration::from_secs(60);

/// One that was not complete is held again after this time, or sooner where drills are more frequent.
const AGAIN: Duration = Duration::from_secs(3600);

impl Drills {
    /// Holds what is due by the policy while this node leads, until the token is cancelled.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let holding = async {
            let mut held = BTreeMap::new();
            let mut leads_since = None;
            loop {
                sleep(LOOK).await;
                if self.cluster.lease().is_none() {
                    leads_since = None;
                    continue;
                }
                let leads_since = leads_since.get_or_insert_with(Instant::now);
                if knows_all(&self.cluster.members()) || leads_since.elapsed() >= ACQUAINTANCE {
                    self.hold_due(&mut held).await;
                }
            }
        };
        stop.run_until_cancelled(holding).await;
    }

    /// `held` says when each domain's last one ended.
    async fn hold_due(&self, held: &mut BTreeMap<String, Instant>) {
        let Some(policy) = self.cluster.policy() else {
            return;
        };
        held.retain(|name, _| policy.domain(name).is_some());
        for domain in &policy.domains {
            // Leadership may be lost while one is held.
            if self.cluster.lease().is_none() {
                return;
            }
            let Some(canary) = &domain.canary else {
                continue;
            };
            let since = held.get(&domain.name).map(Instant::elapsed);
            if self.is_due(&policy, domain, since) {
                self.hold_by_itself(domain, canary).await;
                held.insert(domain.name.clone(), Instant::now());
            }
        }
    }

    /// Whether a domain's drill is due, when the last one of this node ended so long ago.
    fn is_due(&self, policy: &Policy, domain: &Domain, since: Option<Duration>) -> bool {
        let every = policy.drill.every;
        let now = self.clock.now();
        let success = self.last_success(&domain.name);
        let success = success.map(|success| now.since(success));
        // What could not be complete only fills the mailbox.
        is_time(every, success, since)
            && can_leave(self.cluster.destination(&domain.name).condition(now))
            && !domain.sentry
    }

    async fn hold_by_itself(&self, domain: &Domain, canary: &Mailbox) {
        // Whoever holds one by hand has waited less.
        let Ok(_until_the_end) = self.turn.acquire().await else {
            return;
        };
        let mut outcomes = Vec::new();
        self.hold(domain, canary, |step| {
            if step.outcome.is_some() {
                outcomes.push(step);
            }
        })
        .await;
        outcomes.iter().for_each(tell);
    }
}

/// Whether all members have told their names.
fn knows_all(members: &[MemberHost]) -> bool {
    members.iter().all(|member| member.mail.is_some())
}

/// Whether it is time for a drill: the last complete one, and the last one at all, were so long ago.
fn is_time(every: Duration, success: Option<Duration>, last: Option<Duration>) -> bool {
    !every.is_zero()
        && success.is_none_or(|since| since >= every)
        && last.is_none_or(|since| since >= every.min(AGAIN))
}

/// Whether mail of a domain in this condition leaves.
const fn can_leave(condition: Condition) -> bool {
    matches!(condition, Condition::Up | Condition::Draining)
}

/// Tells the log what a drill has come to.
fn tell(step: &DrillStep) {
    let (domain, host, words) = (&step.domain, &step.host, &step.words);
    if step.outcome.as_deref() == Some(DELIVERED) {
        info!(target: "drill", domain, host, "{words}");
    } else {
        let advice = step.advice.as_deref();
        warn!(target: "drill", domain, host, advice, "{words}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_drill_is_due_when_the_last_complete_one_is_old_enough() {
        for (every, success, last, expected) in [
            (Duration::ZERO, None, None, false),
            // A new leader knows of none.
            (DAY, None, None, true),
            (DAY, Some(DAY), Some(DAY), true),
            (DAY, Some(HOUR), Some(HOUR), false),
            // One was held by hand since.
            (DAY, Some(HOUR), Some(2 * DAY), false),
            // It was not complete.
            (DAY, Some(2 * DAY), Some(HOUR / 2), false),
            (DAY, Some(2 * DAY), Some(HOUR), true),
            (DAY, None, Some(HOUR / 2), false),
            (HOUR / 4, None, Some(HOUR / 4), true),
        ] {
            let due = is_time(every, success, last);
            assert_eq!(due, expected, "{every:?} {success:?} {last:?}");
        }
    }

    #[test]
    fn none_is_held_while_mail_would_only_wait() {
        for condition in Condition::ALL {
            let is_open = ["up", "draining"].contains(&condition.word());
            assert_eq!(can_leave(condition), is_open, "{condition:?}");
        }
    }
}
