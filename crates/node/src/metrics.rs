//! What a scrape of `/metrics` tells: what the rooms have counted, and the cluster's state at that
//! moment.

mod drills;
mod member;
mod plain;
mod queues;

use std::{fmt, sync::Arc};

use cluster::Cluster;
use prometheus_client::{
    encoding::text,
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use relay::outbound;
use spool::Clock;

use crate::{admin::drill::Drills, certificates::Expiries};
use plain::plain;

pub(crate) use plain::TYPE;

/// The prefix of every metric's name.
const PREFIX: &str = "layover";

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;

/// Every metric of this node.
#[derive(Debug)]
pub(crate) struct Metrics {
    counted: Registry,
    deliveries: outbound::Metrics,
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
    pub(crate) fn new(
        (counted, deliveries): (Registry, outbound::Metrics),
        cluster: Cluster,
        expiries: Arc<Expiries>,
        drills: Arc<Drills>,
        clock: Clock,
    ) -> Self {
        Self {
            counted,
            deliveries,
            cluster,
            expiries,
            drills,
            clock,
        }
    }

    /// Everything in Prometheus' text format.
    pub(crate) async fn scrape(&self) -> Result<String, fmt::Error> {
        let now = self.clock.now();
        let mut registry = Registry::with_prefix(PREFIX);
        let status = self.cluster.status().await;
        member::register_standing(&mut registry, &status);
        member::register_storage(&mut registry, &self.cluster.storage_bytes());
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
        queues::register_queue(&mut registry, &destinations, &oldest, is_known, now);
        queues::register_conditions(&mut registry, &destinations, is_known, now);
        queues::register_reached(&mut registry, self.cluster.reached());
        queues::register_history(&mut registry, self.cluster.history());
        let expiring = destinations
            .iter()
            .map(|(domain, _)| (domain.as_str(), self.cluster.expiring(domain)));
        queues::register_expiring(&mut registry, expiring, now);
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
        member::register_expiries(&mut registry, &self.expiries.seconds_left(now));
        if let Some(policy) = &policy {
            let last_success = |domain: &str| self.drills.last_success(domain);
            drills::register_drills(&mut registry, &policy.policy, last_success);
            let domains = policy.policy.domains.iter();
            domains.for_each(|domain| self.deliveries.know(&domain.name));
        }
        let mut page = String::new();
        text::encode_registry(&mut page, &self.counted)?;
        text::encode_registry(&mut page, &registry)?;
        Ok(plain(&page))
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

#[cfg(test)]
mod tests {
    use super::*;

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
