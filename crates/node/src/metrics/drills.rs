//! When mail was last seen to find its way.

use prometheus_client::registry::Registry;
use spool::{Policy, Timestamp, policy::Domain};

use super::{Gauges, gauge, set, signed};

pub(super) fn register_drills(
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

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;
    use crate::metrics::PREFIX;

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
}
