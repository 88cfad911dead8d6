//! What this room counts and measures.

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The cluster's metrics.
#[derive(Debug)]
pub struct Metrics {
    /// From an append's arrival at the log until it is fsync'd.
    pub(crate) raft_append_seconds: Histogram,
    /// One write with fsync.
    pub(crate) storage_fsync_seconds: Histogram,
    /// Bodies that were damaged here and were fetched from another node.
    pub(crate) storage_bodies_mended: Counter,
    /// How often this node saw another leader than before.
    pub(crate) raft_leader_changes: Counter,
}

impl Metrics {
    /// Makes the metrics and names them in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            raft_append_seconds: Histogram::new(seconds()),
            storage_fsync_seconds: Histogram::new(seconds()),
            storage_bodies_mended: Counter::default(),
            raft_leader_changes: Counter::default(),
        };
        registry.register_with_unit(
            "raft_append",
            "From an append's arrival at the log until it is fsync'd",
            Unit::Seconds,
            metrics.raft_append_seconds.clone(),
        );
        registry.register_with_unit(
            "storage_fsync",
            "One write to the store with fsync",
            Unit::Seconds,
            metrics.storage_fsync_seconds.clone(),
        );
        registry.register(
            "storage_bodies_mended",
            "Bodies that were damaged on this node and were fetched from another",
            metrics.storage_bodies_mended.clone(),
        );
        registry.register(
            "raft_leader_changes",
            "How often this node saw another leader than before",
            metrics.raft_leader_changes.clone(),
        );
        metrics
    }
}

/// From 0.1 ms (a fast disk's fsync) to 13 s.
fn seconds() -> impl Iterator<Item = f64> {
    prometheus_client::metrics::histogram::exponential_buckets(0.000_1, 2.0, 18)
}
