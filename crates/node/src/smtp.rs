//! The SMTP side of this node: its certificate, its limits, its listener.

use std::{net::SocketAddr, sync::Arc};

use cluster::Cluster;
use relay::{
    inbound::{self, Listener, Metrics},
    tls::ServerTls,
};
use spool::Clock;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::Config;

/// The SMTP side before it runs.
#[derive(Debug)]
pub(crate) struct Smtp {
    listener: Listener,
    tls: Option<Arc<ServerTls>>,
}

impl Smtp {
    /// Loads the certificate and takes the ports, which stay closed until it runs.
    pub(crate) fn bind(config: &Config) -> anyhow::Result<Self> {
        let tls = match &config.smtp.tls {
            Some((cert, key)) => Some(Arc::new(ServerTls::load(cert, key)?)),
            None => {
                warn!("no [smtp] tls_cert: STARTTLS is not offered");
                None
            }
        };
        let listener = Listener::bind(inbound::Config {
            hostname: config.hostname.clone(),
            listen: config.smtp.listen.clone(),
            max_message_size: config.smtp.max_message_size,
            max_recipients: config.smtp.max_recipients,
            max_connections: config.smtp.max_connections,
            max_connections_per_ip: config.smtp.max_connections_per_ip,
            command_timeout: config.smtp.command_timeout,
        })?;
        Ok(Self { listener, tls })
    }

    /// The addresses that were taken.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listener.addresses().to_vec()
    }

    /// What reads the certificate again.
    pub(crate) fn tls(&self) -> Option<Arc<ServerTls>> {
        self.tls.clone()
    }

    /// Takes mail while the node can, until the token is cancelled and all sessions have ended.
    pub(crate) async fn run(
        self,
        cluster: Cluster,
        clock: Clock,
        metrics: Metrics,
        stop: CancellationToken,
    ) {
        let accepting = cluster.accepting();
        let intake = Arc::new(cluster);
        self.listener
            .run(intake, clock, metrics, self.tls, accepting, stop)
            .await;
    }
}
