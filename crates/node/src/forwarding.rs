//! The forwarder runs where the leader is, and nowhere else.

use std::{sync::Arc, time::Duration};

use cluster::{Cluster, Leadership};
use relay::outbound::{Config, Forwarder, Metrics, limits::Timeouts};
use spool::{Clock, ports::OutboxError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// A spool that can not be read is not asked again more often than this.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Starts a forwarder whenever this node begins to lead, and ends it when that is over.
#[derive(Debug)]
pub(crate) struct Forwarding {
    cluster: Arc<Cluster>,
    hostname: String,
    clock: Clock,
    metrics: Metrics,
}

impl Forwarding {
    pub(crate) fn new(cluster: Cluster, hostname: String, clock: Clock, metrics: Metrics) -> Self {
        Self {
            cluster: Arc::new(cluster),
            hostname,
            clock,
            metrics,
        }
    }

    /// Runs until the token is cancelled and what was under way has ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut leadership = self.cluster.leadership();
        while let Some(Ok(term)) = stop.run_until_cancelled(leads(&mut leadership)).await {
            info!(term, "leading: forwarding starts");
            let forwarder_stop = stop.child_token();
            let forwarder = Forwarder::run(
                Arc::clone(&self.cluster),
                Config {
                    term,
                    hostname: self.hostname.clone(),
                    timeouts: Timeouts::STANDARD,
                },
                self.clock,
                self.metrics.clone(),
                forwarder_stop.clone(),
            );
            tokio::pin!(forwarder);
            let ended = tokio::select! {
                ended = &mut forwarder => ended,
                () = leads_no_more(&mut leadership, term) => {
                    forwarder_stop.cancel();
                    forwarder.await
                }
            };
            info!(term, "forwarding has ended");
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
}

/// Waits until this node leads; returns the term.
async fn leads(
    leadership: &mut watch::Receiver<Leadership>,
) -> Result<u64, watch::error::RecvError> {
    leadership
        .wait_for(|now| now.leading)
        .await
        .map(|now| now.term)
}

/// Waits until this node leads no more, or leads anew after another did.
async fn leads_no_more(leadership: &mut watch::Receiver<Leadership>, term: u64) {
    // An error means that the cluster is gone, and leadership with it.
    drop(
        leadership
            .wait_for(|now| !now.leading || now.term != term)
            .await,
    );
}
