//! The SMTP side of this node: its certificate, its limits, its listener.

use std::{net::SocketAddr, sync::Arc};

use cluster::Cluster;
use relay::{
    dns::Dns,
    inbound::{self, Listener, Metrics},
    route::Routes,
};
use spool::Clock;
use tls::ServerTls;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::Config;

/// The SMTP side before it runs.
#[derive(Debug)]
pub(crate) struct Smtp {
    listener: Listener,
}

impl Smtp {
    /// Takes the ports, which stay closed until it runs.
    pub(crate) fn bind(
        config: &Config,
        tls: Option<Arc<ServerTls>>,
        dns: Arc<Dns>,
    ) -> anyhow::Result<Self> {
        if tls.is_none() {
            warn!("no [smtp] tls_cert: STARTTLS is not offered");
        }
        let settings = inbound::Config {
            hostname: config.hostname.clone(),
            listen: config.smtp.listen.clone(),
            max_message_size: config.smtp.max_message_size,
            max_recipients: config.smtp.max_recipients,
            max_connections: config.smtp.max_connections,
            max_connections_per_ip: config.smtp.max_connections_per_ip,
            per_minute: config.smtp.per_minute,
            trusted: config.smtp.trusted.clone(),
            proxies: config.smtp.proxies.clone(),
            command_timeout: config.smtp.command_timeout,
            staff: config.http.trusted.clone(),
            dns,
        };
        let listener = Listener::bind(settings, tls)?;
        Ok(Self { listener })
    }

    /// The addresses that were taken.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listener.addresses().to_vec()
    }

    /// Takes mail while the node can, until the token is cancelled and all sessions have ended.
    pub(crate) async fn run(
        self,
        cluster: Cluster,
        routes: Arc<Routes>,
        clock: Clock,
        metrics: Metrics,
        stop: CancellationToken,
    ) {
        let accepting = cluster.accepting();
        let intake = Arc::new(cluster);
        self.listener
            .run(intake, routes, clock, metrics, accepting, stop)
            .await;
    }
}
