//! What a scrape of `/metrics` tells: what the rooms have counted, and the cluster's state at that
//! moment.

use std::{fmt, sync::Arc};

use cluster::{Cluster, ClusterStatus, Expiring, MemberStatus};
use prometheus_client::{
    encoding::text,
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use spool::{
    Clock, Condition, Destination, HistoryTotals, Policy, Reachability, Timestamp, alarm,
    policy::Domain,
};

use crate::{admin::drill::Drills, certificates::Expiries};

/// The prefix of every metric's name.
const PREFIX: &str = "layover";

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;

/// Every metric of this node.
#[derive(Debug)]
pub(crate) struct Metrics {
    counted: Registry,
    cluster: Cluster,
    expiries: Arc<Expiries>,
    drills: Arc<Drills>,
    clock: Clock,
}

/// The registry for what the rooms count; they put themselves in before the node starts.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register(
        "build",
        "The version that runs",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    registry
}

impl Metrics {
    pub(crate) const fn new(
        counted: Registry,
        cluster: Cluster,
        expiries: Arc<Expiries>,
        drills: Arc<Drills>,
        clock: Clock,
    ) -> Self {
        Self {
            counted,
            cluster,
            expiries,
            drills,
            clock,
        }
    }

    /// Until when the certificates are valid that are in use.
    pub(crate) fn expiries(&self) -> Arc<Expiries> {
        Arc::clone(&self.expiries)
    }

    /// Everything in Prometheus' text format.
    pub(crate) async fn scrape(&self) -> Result<String, fmt::Error> {
        let now = self.clock.now();
        let mut registry = Registry::with_prefix(PREFIX);
        let status = self.cluster.status().await;
        register_raft(&mut registry, &status);
        register_storage(&mut registry, &self.cluster.storage_bytes());
        gauge(
            &mut registry,
            "raft_log_bytes",
            "Octets of this node's log, with what its entries carried of bodies",
            self.cluster.log_bytes(),
        );
        gauge(
            &mut registry,
            "storage_min_free_bytes",
            "Octets that must stay free on that disk so that mail is taken",
            self.cluster.least_free_bytes(),
        );
        let destinations = self.cluster.destinations();
        let mut oldest = Vec::with_capacity(destinations.len());
        for (domain, _) in &destinations {
            // A store that can not be read shows in other metrics; the scrape goes on without.
            oldest.push(self.cluster.oldest(domain).await.ok().flatten());
        }
        let policy = self.cluster.policy_in_force();
        let version = policy.as_ref().map_or(0, |policy| policy.version);
        gauge(
            &mut registry,
            "policy_version",
            "Version of the policy that this node goes by; 0 while it has none",
            version,
        );
        let is_known = |domain: &str| {
            let policy = policy.as_ref().map(|now| &now.policy);
            policy.is_some_and(|policy| policy.domain(domain).is_some())
        };
        register_queue(&mut registry, &destinations, &oldest, is_known, now);
        register_conditions(&mut registry, &destinations, is_known, now);
        register_reached(&mut registry, self.cluster.reached());
        register_history(&mut registry, self.cluster.history());
        let expiring = destinations
            .iter()
            .map(|(domain, _)| (domain.as_str(), self.cluster.expiring(domain)));
        register_expiring(&mut registry, expiring, now);
        gauge(
            &mut registry,
            "queue_unconfirmed",
            "Messages that a sender may send again because it may not have read their 250",
            self.cluster.unconfirmed(),
        );
        gauge(
            &mut registry,
            "notices_owed",
            "Messages whose senders are still to be told that they failed, wait, or were relayed",
            self.cluster.notices_owed(),
        );
        register_expiries(&mut registry, &self.expiries.seconds_left(now));
        if let Some(policy) = &policy {
            let last_success = |domain: &str| self.drills.last_success(domain);
            register_drills(&mut registry, &policy.policy, last_success);
        }
        let mut page = String::new();
        text::encode_registry(&mut page, &self.counted)?;
        text::encode_registry(&mut page, &registry)?;
        text::encode_eof(&mut page)?;
        Ok(page)
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(signed(value));
    registry.register(name, help, gauge);
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn set(gauges: &Gauges, labels: Labels, value: i64) {
    gauges.get_or_create(&labels).set(value);
}

fn register_raft(registry: &mut Registry, status: &ClusterStatus) {
    let leads = u64::from(status.leadership.leading);
    gauge(
        registry,
        "raft_is_leader",
        "1 while this node leads and may deliver",
        leads,
    );
    gauge(
        registry,
        "smtp_accepting",
        "1 while this node can take mail: it sees a quorum, and a majority has room",
        u64::from(status.accepting),
    );
    register_voters(registry, &status.members);
    gauge(
        registry,
        "raft_term",
        "The Raft term this node is in",
        status.leadership.term,
    );
    gauge(
        registry,
        "raft_last_log_index",
        "Index of the last entry in this node's log",
        status.last_log_index,
    );
    gauge(
        registry,
        "raft_last_applied_index",
        "Index of the last entry applied to this node's spool",
        status.last_applied_index,
    );
    gauge(
        registry,
        "storage_free_bytes",
        "Octets free on the data directory's disk",
        status.disk.free_bytes,
    );
    let lags = Gauges::default();
    for member in status
        .members
        .iter()
        .filter(|member| member.id != status.node_id)
    {
        if let Some(lag) = member.lag {
            set(&lags, vec![("peer", member.id.to_string())], signed(lag));
        }
    }
    registry.register(
        "raft_replication_lag",
        "Log entries that a peer lacks",
        lags,
    );
}

fn register_voters(registry: &mut Registry, members: &[MemberStatus]) {
    let voters = || members.iter().filter(|member| member.voter);
    gauge(
        registry,
        "raft_voters",
        "Members that vote",
        voters().count() as u64,
    );
    // Who is silent is known as long as there is a leader that tells.
    let answers: Option<Vec<bool>> = voters().map(MemberStatus::answers).collect();
    if let Some(answers) = answers {
        gauge(
            registry,
            "raft_voters_answering",
            "Members that vote and have answered the leader in the last 5 seconds; absent without a leader",
            answers.into_iter().filter(|answers| *answers).count() as u64,
        );
    }
}

fn register_storage(registry: &mut Registry, kinds: &[(&'static str, u64)]) {
    let storage = Gauges::default();
    for (kind, bytes) in kinds {
        set(&storage, vec![("kind", (*kind).to_owned())], signed(*bytes));
    }
    registry.register(
        "storage_bytes",
        "Octets on the disk, by what they are for",
        storage,
    );
}

fn register_queue(
    registry: &mut Registry,
    destinations: &[(String, Destination)],
    oldest: &[Option<Timestamp>],
    is_known: impl Fn(&str) -> bool,
    now: Timestamp,
) {
    let [messages, bytes, ages, up, paused] = core::array::from_fn(|_| Gauges::default());
    for ((domain, destination), oldest) in destinations.iter().zip(oldest) {
        let has_primary = is_known(domain);
        let domain = || ("domain", domain.clone());
        let totals = destination.totals;
        for (state, count) in [
            ("waiting", totals.waiting),
            ("deferred", totals.deferred),
            ("held", totals.held),
            ("rejected", totals.rejected),
        ] {
            set(
                &messages,
                vec![domain(), ("state", state.to_owned())],
                signed(count),
            );
        }
        set(&bytes, vec![domain()], signed(totals.bytes));
        let age = oldest.map_or(0, |oldest| now.since(oldest).as_secs());
        set(&ages, vec![domain()], signed(age));
        let is_paused = destination.pause_at(now).is_some();
        set(&paused, vec![domain()], i64::from(is_paused));
        // One that has left the policy has no primary that could be down.
        if has_primary {
            set(
                &up,
                vec![domain()],
                i64::from(destination.reachability == Reachability::Up),
            );
        }
    }
    registry.register("queue_messages", "Messages in the spool", messages);
    registry.register("queue_bytes", "Octets of the bodies in the spool", bytes);
    registry.register(
        "queue_oldest_age_seconds",
        "Age of the oldest message that is still to be delivered; 0 without one",
        ages,
    );
    registry.register(
        "domain_paused",
        "1 while an operator keeps the domain's mail back",
        paused,
    );
    registry.register("primary_up", "1 while the domain's primary answers", up);
}

fn register_conditions(
    registry: &mut Registry,
    destinations: &[(String, Destination)],
    is_known: impl Fn(&str) -> bool,
    now: Timestamp,
) {
    let [conditions, alarms] = core::array::from_fn(|_| Gauges::default());
    // One that has left the policy has no delivery.
    for (domain, destination) in destinations.iter().filter(|(name, _)| is_known(name)) {
        let domain = || ("domain", domain.clone());
        for condition in Condition::ALL {
            set(
                &conditions,
                vec![domain(), ("condition", condition.word().to_owned())],
                i64::from(destination.condition(now) == condition),
            );
        }
        let raised = alarm::of_destination(&domain().1, destination);
        for name in alarm::OF_DESTINATIONS {
            set(
                &alarms,
                vec![("name", name.to_owned()), domain()],
                i64::from(raised.iter().any(|alarm| alarm.name == name)),
            );
        }
    }
    registry.register(
        "domain_condition",
        "1 for how the domain's delivery stands: up, down, no-route, recovering, draining, held-back or paused",
        conditions,
    );
    registry.register(
        "alarms",
        "1 while something does not go on without a person",
        alarms,
    );
}

fn register_reached(registry: &mut Registry, reached: Vec<(String, bool)>) {
    let gauges = Gauges::default();
    for (domain, is_reached) in reached {
        set(&gauges, vec![("domain", domain)], i64::from(is_reached));
    }
    registry.register(
        "primary_reached",
        "1 where this node reaches the domain's primary; of domains with mail whose primary is down for the leader",
        gauges,
    );
}

fn register_history(registry: &mut Registry, history: HistoryTotals) {
    gauge(
        registry,
        "history_messages",
        "Messages that have left and are remembered",
        history.rows,
    );
    gauge(
        registry,
        "retained_messages",
        "Delivered messages whose bodies are kept for a replay",
        history.retained,
    );
    gauge(
        registry,
        "retained_bytes",
        "Octets of those bodies, which storage_bytes counts among the pieces",
        history.retained_octets,
    );
}

fn register_expiring<'d>(
    registry: &mut Registry,
    domains: impl Iterator<Item = (&'d str, Option<Expiring>)>,
    now: Timestamp,
) {
    let [messages, first] = core::array::from_fn(|_| Gauges::default());
    for (domain, expiring) in domains {
        let domain = || vec![("domain", domain.to_owned())];
        let count = expiring.map_or(0, |expiring| expiring.messages);
        set(&messages, domain(), signed(count));
        if let Some(expiring) = expiring {
            let left = expiring.first.since(now).as_secs();
            set(&first, domain(), signed(left));
        }
    }
    registry.register(
        "queue_expiring_messages",
        "Messages that are given up within 72 hours if the primary is up and does not take them, up to 10,000",
        messages,
    );
    registry.register(
        "queue_first_expiry_seconds",
        "Seconds until the first of them is given up; absent without one",
        first,
    );
}

fn register_drills(
    registry: &mut Registry,
    policy: &Policy,
    last_success: impl Fn(&str) -> Option<Timestamp>,
) {
    let successes = Gauges::default();
    // Of a sentry none is complete but in an outage.
    let drilled = policy.domains.iter();
    let drilled = drilled.filter(|domain| domain.canary.is_some() && !domain.sentry);
    for Domain { name, .. } in drilled {
        let at = last_success(name).map_or(0, |at| at.0 / 1000);
        set(&successes, vec![("domain", name.clone())], signed(at));
    }
    registry.register(
        "drill_last_success_timestamp_seconds",
        "When the last drill of the domain was complete, since 1970; 0 when this node has held none since its start",
        successes,
    );
    gauge(
        registry,
        "drill_interval_seconds",
        "How often the policy wants drills; 0: never by themselves",
        policy.drill.every.as_secs(),
    );
}

fn register_expiries(registry: &mut Registry, seconds_left: &[(&'static str, i64)]) {
    let expiries = Gauges::default();
    for (usage, seconds) in seconds_left {
        set(&expiries, vec![("use", (*usage).to_owned())], *seconds);
    }
    registry.register(
        "tls_certificate_expiry_seconds",
        "Seconds until the certificate ends",
        expiries,
    );
}

#[cfg(test)]
mod tests {
    use spool::{
        Totals,
        guard::{Guard, Tripped},
    };

    use super::*;

    #[test]
    fn a_queue_is_told_by_domain_and_state() {
        let mut registry = Registry::with_prefix(PREFIX);
        let destination = Destination {
            reachability: Reachability::Down("connection refused".to_owned()),
            totals: Totals {
                waiting: 3,
                deferred: 2,
                held: 4,
                rejected: 1,
                bytes: 600,
            },
            ..Destination::default()
        };
        let destinations = [("example.com".to_owned(), destination)];
        register_queue(
            &mut registry,
            &destinations,
            &[Some(Timestamp(1000))],
            |_| true,
            Timestamp(91_000),
        );
        let mut page = String::new();
        text::encode_registry(&mut page, &registry).unwrap();
        for line in [
            "layover_queue_messages{domain=\"example.com\",state=\"waiting\"} 3",
            "layover_queue_messages{domain=\"example.com\",state=\"deferred\"} 2",
            "layover_queue_messages{domain=\"example.com\",state=\"held\"} 4",
            "layover_queue_messages{domain=\"example.com\",state=\"rejected\"} 1",
            "layover_queue_bytes{domain=\"example.com\"} 600",
            "layover_queue_oldest_age_seconds{domain=\"example.com\"} 90",
            "layover_domain_paused{domain=\"example.com\"} 0",
            "layover_primary_up{domain=\"example.com\"} 0",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn a_domain_that_is_held_back_raises_its_alarm() {
        let held = Destination {
            guard: Some(Box::new(Guard {
                begun_at: Timestamp(1),
                tripped: Some(Tripped {
                    at: Timestamp(2),
                    why: "no".to_owned(),
                }),
            })),
            ..Destination::default()
        };
        let destinations = [
            ("example.com".to_owned(), held),
            ("example.org".to_owned(), Destination::default()),
        ];
        let mut registry = Registry::with_prefix(PREFIX);
        register_conditions(&mut registry, &destinations, |_| true, Timestamp(3));
        let mut page = String::new();
        text::encode_registry(&mut page, &registry).unwrap();
        for line in [
            "layover_domain_condition{domain=\"example.com\",condition=\"held-back\"} 1",
            "layover_domain_condition{domain=\"example.com\",condition=\"up\"} 0",
            "layover_domain_condition{domain=\"example.org\",condition=\"up\"} 1",
            "layover_alarms{name=\"recovery-guard\",domain=\"example.com\"} 1",
            "layover_alarms{name=\"recovery-guard\",domain=\"example.org\"} 0",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn voters_that_answer_are_counted_where_that_is_known() {
        let member = |id, voter, silent_ms| MemberStatus {
            id,
            address: format!("mx{id}:7400"),
            voter,
            lag: None,
            silent_ms,
            disk: None,
        };
        let page = |members: &[MemberStatus]| {
            let mut registry = Registry::with_prefix(PREFIX);
            register_voters(&mut registry, members);
            let mut page = String::new();
            text::encode_registry(&mut page, &registry).unwrap();
            page
        };
        let told = page(&[
            member(1, true, Some(0)),
            member(2, true, Some(900)),
            member(3, true, Some(u64::MAX)),
            member(4, false, Some(0)),
        ]);
        assert!(told.contains("layover_raft_voters 3"), "{told}");
        assert!(told.contains("layover_raft_voters_answering 2"), "{told}");
        let untold = page(&[member(1, true, None), member(2, true, None)]);
        assert!(untold.contains("layover_raft_voters 2"), "{untold}");
        assert!(!untold.contains("answering"), "{untold}");
    }

    #[test]
    fn the_first_message_to_expire_says_when() {
        let expiring = Expiring {
            messages: 7,
            first: Timestamp(61_000),
        };
        let domains = [("example.com", Some(expiring)), ("example.org", None)];
        let mut registry = Registry::with_prefix(PREFIX);
        register_expiring(&mut registry, domains.into_iter(), Timestamp(1_000));
        let mut page = String::new();
        text::encode_registry(&mut page, &registry).unwrap();
        for line in [
            "layover_queue_expiring_messages{domain=\"example.com\"} 7",
            "layover_queue_expiring_messages{domain=\"example.org\"} 0",
            "layover_queue_first_expiry_seconds{domain=\"example.com\"} 60",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("first_expiry_seconds{domain=\"example.org\"}"));
    }

    #[test]
    fn a_domain_with_a_canary_tells_when_its_last_drill_was_complete() {
        let policy = "[drill]\nevery = \"24h\"\n[[domain]]\nname = \"example.com\"\ncanary = \"pm@example.com\"\n\
                      [[domain]]\nname = \"example.org\"\ncanary = \"pm@example.org\"\n\
                      [[domain]]\nname = \"example.net\"\n";
        let policy = Policy::parse(policy).unwrap();
        let success = |domain: &str| (domain == "example.com").then_some(Timestamp(61_999));
        let mut registry = Registry::with_prefix(PREFIX);
        register_drills(&mut registry, &policy, success);
        let mut page = String::new();
        text::encode_registry(&mut page, &registry).unwrap();
        for line in [
            "layover_drill_last_success_timestamp_seconds{domain=\"example.com\"} 61",
            "layover_drill_last_success_timestamp_seconds{domain=\"example.org\"} 0",
            "layover_drill_interval_seconds 86400",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("example.net"), "{page}");
    }

    #[test]
    fn the_version_is_told() {
        let mut page = String::new();
        text::encode_registry(&mut page, &registry()).unwrap();
        assert!(page.contains(concat!(
            "layover_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        )));
    }
}
