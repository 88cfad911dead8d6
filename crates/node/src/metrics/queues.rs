//! What waits for each domain, how its primary is, and what is remembered of what has left.

use cluster::Expiring;
use prometheus_client::registry::Registry;
use spool::{Condition, Destination, HistoryTotals, Reachability, Timestamp, alarm};

use super::{Gauges, gauge, set, signed};

pub(super) fn register_queue(
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

pub(super) fn register_conditions(
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

pub(super) fn register_reached(registry: &mut Registry, reached: Vec<(String, bool)>) {
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

pub(super) fn register_history(registry: &mut Registry, history: HistoryTotals) {
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

pub(super) fn register_expiring<'d>(
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

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use spool::{
        Totals,
        guard::{Guard, Tripped},
    };

    use super::*;
    use crate::metrics::PREFIX;

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
}
