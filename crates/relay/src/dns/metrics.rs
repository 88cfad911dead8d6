//! What the DNS counts.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The metrics of the DNS. Clones count into the same place.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) answering: Gauge,
    queries: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    /// Registers `dns_answering` and `dns_queries`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            answering: Gauge::default(),
            queries: Family::default(),
        };
        registry.register(
            "dns_answering",
            "1 while the name servers answer; 0 too as long as nothing has been wanted of them",
            metrics.answering.clone(),
        );
        registry.register(
            "dns_queries",
            "Lookups, by what they came to",
            metrics.queries.clone(),
        );
        metrics
    }

    pub(super) fn count(&self, result: &'static str) {
        self.queries.get_or_create(&[("result", result)]).inc();
    }
}
