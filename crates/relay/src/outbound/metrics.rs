//! What the outbound side counts.

use core::ops::Deref;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use spool::notice;

/// Which deliveries are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    domain: String,
    result: DeliveryResult,
}

/// How a try to deliver a message ended for at least one of its recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(super) enum DeliveryResult {
    delivered,
    deferred,
    rejected,
}

impl DeliveryResult {
    const ALL: [Self; 3] = [Self::delivered, Self::deferred, Self::rejected];
}

/// Which reports are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReportLabels {
    kind: ReportKind,
}

/// What a report told its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
enum ReportKind {
    failed,
    delayed,
    relayed,
}

/// The outbound side's metrics. Clones count into the same place.
#[derive(Clone, Debug)]
pub struct Metrics {
    deliveries: Family<DeliveryLabels, Counter>,
    delivery_seconds: Histogram,
    reports: Family<ReportLabels, Counter>,
}

impl Metrics {
    /// Registers `deliveries`, `delivery_seconds` and `reports`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            deliveries: Family::default(),
            // 1 ms to 65 s, doubling: a primary nearby to one that scans a large message.
            delivery_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            reports: Family::default(),
        };
        registry.register(
            "deliveries",
            "Messages tried at a primary, by how that ended for some of their recipients",
            metrics.deliveries.clone(),
        );
        registry.register_with_unit(
            "delivery",
            "From MAIL to the primary's last reply about a message",
            Unit::Seconds,
            metrics.delivery_seconds.clone(),
        );
        registry.register(
            "reports",
            "Reports written to senders, by what they tell",
            metrics.reports.clone(),
        );
        metrics
    }

    /// Has the deliveries of a domain there from the start, with 0 of each result: an alert on what is not there
    /// is silent.
    pub fn know(&self, domain: &str) {
        for result in DeliveryResult::ALL {
            drop(self.deliveries_of(domain, result));
        }
    }

    fn deliveries_of(&self, domain: &str, result: DeliveryResult) -> impl Deref<Target = Counter> {
        self.deliveries.get_or_create(&DeliveryLabels {
            domain: domain.to_owned(),
            result,
        })
    }

    pub(super) fn count_report(&self, kind: notice::Kind) {
        let kind = match kind {
            notice::Kind::Failed => ReportKind::failed,
            notice::Kind::Delayed => ReportKind::delayed,
            notice::Kind::Relayed => ReportKind::relayed,
        };
        self.reports.get_or_create(&ReportLabels { kind }).inc();
    }

    pub(super) fn count(&self, domain: &str, result: DeliveryResult) {
        self.deliveries_of(domain, result).inc();
    }

    pub(super) fn observe_seconds(&self, seconds: f64) {
        self.delivery_seconds.observe(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_dashboards_know() {
        let mut registry = Registry::with_prefix("layover");
        let metrics = Metrics::register(&mut registry);
        metrics.count("example.com", DeliveryResult::delivered);
        metrics.know("example.com");
        metrics.know("example.org");
        metrics.observe_seconds(0.01);
        metrics.count_report(notice::Kind::Failed);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for (domain, result, count) in [
            ("example.com", "delivered", 1),
            ("example.com", "rejected", 0),
            ("example.org", "delivered", 0),
            ("example.org", "deferred", 0),
            ("example.org", "rejected", 0),
        ] {
            let line = format!(
                "layover_deliveries_total{{domain=\"{domain}\",result=\"{result}\"}} {count}\n"
            );
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(text.contains("layover_delivery_seconds_count 1"), "{text}");
        let line = "layover_reports_total{kind=\"failed\"} 1";
        assert!(text.contains(line), "{text}");
    }
}
