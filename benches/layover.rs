//! One or several Layover nodes under test.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use harness::{Cluster, Port, Settings, process, wait_until};
use rustls::ClientConfig;

use crate::system::{DOMAIN, Drains, System};

/// A running cluster whose primary is down.
#[derive(Debug)]
pub(crate) struct Nodes {
    name: String,
    size: u64,
    primary: Port,
    cluster: Cluster,
}

impl Nodes {
    /// Starts `size` nodes.
    pub(crate) fn start(size: u64) -> Self {
        let name = match size {
            1 => "layover, one node".to_owned(),
            size => format!("layover, {size} nodes"),
        };
        let primary = Port::free();
        let cluster = found(size, &primary);
        Self {
            name,
            size,
            primary,
            cluster,
        }
    }

    /// Its nodes.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The same, to be stopped and started.
    pub(crate) fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}

fn found(size: u64, primary: &Port) -> Cluster {
    let mut settings = Settings::for_domains(&[(DOMAIN, primary.address())])
        .with("smtp", "max_connections_per_ip = 2000");
    // What is bounced stays in the queue, and nothing else leaves on its account.
    settings.policy = format!("[queue]\ndsn = \"never\"\n\n{}", settings.policy);
    Cluster::start(size, &settings)
}

impl System for Nodes {
    fn name(&self) -> &str {
        &self.name
    }

    fn hosts(&self) -> Vec<SocketAddr> {
        self.cluster.hosts()
    }

    fn trust(&self) -> Arc<ClientConfig> {
        self.cluster.authority.client()
    }

    fn cpu_time(&self) -> Duration {
        self.cluster
            .nodes
            .iter()
            .map(|node| process::cpu_time(node.pid()))
            .sum()
    }

    fn written_bytes(&self) -> u64 {
        let nodes = self.cluster.nodes.iter();
        nodes
            .filter_map(|node| process::written_bytes(node.pid()))
            .sum()
    }

    fn memory_bytes(&self) -> u64 {
        let nodes = self.cluster.nodes.iter();
        nodes
            .filter_map(|node| process::proportional_bytes(node.pid()))
            .sum()
    }

    fn primary(&self) -> SocketAddr {
        self.primary.address()
    }

    fn drains(&self) -> Drains {
        Drains::ByItself
    }

    fn reset(&mut self) -> Result<()> {
        self.stop()?;
        self.cluster = found(self.size, &self.primary);
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let outcome = self.cluster.ctl().run(&["flush"]);
        ensure!(outcome.code == 0, "layover flush: {}", outcome.err);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        for node in &mut self.cluster.nodes {
            if node.is_running() {
                let status = node.terminate();
                ensure!(status.success(), "node {} ended with {status}", node.id);
            }
        }
        wait_until(Duration::from_secs(5), "all nodes are gone", || {
            self.cluster.nodes.iter().all(|node| !node.is_running())
        });
        Ok(())
    }
}
