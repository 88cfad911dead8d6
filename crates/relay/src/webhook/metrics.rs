//! What the webhook counts.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Every label value there is, so that each is there before anything fails.
const RESULTS: [&str; 3] = ["told", "failed", "given-up"];

/// The webhook's metrics. Clones count into the same place.
#[derive(Clone, Debug)]
pub struct Metrics {
    posts: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    /// Registers `alarm_posts`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            posts: Family::default(),
        };
        for result in RESULTS {
            drop(metrics.posts.get_or_create(&[("result", result)]));
        }
        registry.register(
            "alarm_posts",
            "Posts to the webhook of the alarms, by what they came to; given-up: it was tried for a day",
            metrics.posts.clone(),
        );
        metrics
    }

    pub(super) fn count(&self, result: &'static str) {
        self.posts.get_or_create(&[("result", result)]).inc();
    }

    #[cfg(test)]
    pub(super) fn of(&self, result: &'static str) -> u64 {
        self.posts.get_or_create(&[("result", result)]).get()
    }
}
