//! The forwarder runs where the leader is, and nowhere else; so does what tells the webhook of alarms. The other nodes
//! look whether they reach primaries that are down for the leader.

use std::{convert::Infallible, sync::Arc, time::Duration};

use cluster::Cluster;
use relay::{
    outbound::{self, Config, Forwarder, Leftovers, Metrics, Places, Progress, limits::Timeouts},
    route::Routes,
    webhook,
};
use spool::{Clock, Outbox as _, ports::OutboxError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// A spool that can not be read is not asked again more often than this.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Starts a forwarder whenever this node begins to lead, and ends it when that is over.
#[derive(Debug)]
pub(crate) struct Forwarding {
    cluster: Arc<Cluster>,
    hostname: String,
    routes: Arc<Routes>,
    clock: Clock,
    metrics: Metrics,
    progress: Progress,
    webhook_metrics: webhook::Metrics,
}

impl Forwarding {
    pub(crate) fn new(
        cluster: Cluster,
        hostname: String,
        routes: Arc<Routes>,
        clock: Clock,
        metrics: Metrics,
        progress: Progress,
        webhook_metrics: webhook::Metrics,
    ) -> Self {
        Self {
            cluster: Arc::new(cluster),
            hostname,
            routes,
            clock,
            metrics,
            progress,
            webhook_metrics,
        }
    }

    /// Runs until the token is cancelled and what was under way has ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let scouting = outbound::scout(
            Arc::clone(&self.cluster),
            Arc::clone(&self.routes),
            self.hostname.clone(),
            stop.clone(),
        );
        tokio::join!(self.forward(stop), scouting);
    }

    async fn forward(&self, stop: CancellationToken) {
        let leftovers = Leftovers::default();
        while let Some(turn) = stop.run_until_cancelled(self.cluster.next_turn()).await {
            let term = turn.term();
            info!(term, "leading: forwarding starts");
            let forwarder_stop = stop.child_token();
            let forwarder = Forwarder::run(
                Arc::clone(&self.cluster),
                Config {
                    term,
                    hostname: self.hostname.clone(),
                    routes: Arc::clone(&self.routes),
                    places: Places::default(),
                    timeouts: Timeouts::STANDARD,
                    progress: self.progress.clone(),
                    leftovers: leftovers.clone(),
                },
                self.clock,
                self.metrics.clone(),
                forwarder_stop.clone(),
            );
            tokio::pin!(forwarder);
            let ended = tokio::select! {
                ended = &mut forwarder => ended,
                never = self.tell_alarms() => match never {},
                () = turn.is_over() => {
                    forwarder_stop.cancel();
                    forwarder.await
                }
            };
            info!(term, "forwarding has ended");
            // A hand-over of leadership waits for it.
            drop(turn);
            if let Err(error) = ended
                && !matches!(error, OutboxError::NotLeading)
            {
                error!(%error, "forwarding broke off");
            }
            // It may have ended because it heard of the loss of leadership first.
            stop.run_until_cancelled(tokio::time::sleep(FAILURE_PAUSE))
                .await;
        }
    }

    /// Tells the webhook of alarms, for as long as it is polled.
    async fn tell_alarms(&self) -> Infallible {
        // The first leader of all leads before the cluster has a name, and a policy.
        let mut seen = 0;
        while self.cluster.policy().is_none() {
            seen = self.cluster.changed_since(seen).await;
        }
        let cluster = self.cluster.status().await.cluster;
        let config = webhook::Config {
            node: self.cluster.node_id(),
            hostname: self.hostname.clone(),
            cluster: cluster.map_or_else(String::new, |name| format!("{name:032x}")),
            pace: webhook::limits::Pace::STANDARD,
        };
        webhook::tell(&*self.cluster, &config, self.clock, &self.webhook_metrics).await
    }
}
