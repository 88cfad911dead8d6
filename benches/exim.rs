//! Exim, told to queue everything: as Postfix and Layover it syncs a message's files to disk before its 250.
//! It delivers one message after the other for each process that runs through its queue, so nothing is compared but
//! how it accepts.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use harness::{Authority, Exim, Port, process};
use rustls::ClientConfig;

use crate::system::{DOMAIN, Drains, System};

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    exim: Exim,
    primary: Port,
    authority: Authority,
}

impl Instance {
    /// Writes its files and starts it; its certificate lies below `directory`.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let primary = Port::free();
        let authority = Authority::new(directory);
        let pair = authority.sign("exim");
        let exim = Exim::prepare(DOMAIN, primary.address(), &pair).map_err(|why| anyhow!(why))?;
        let mut exim = exim.only_queueing();
        for (name, value) in [
            ("split_spool_directory", "true"),
            ("smtp_accept_max_per_connection", "0"),
            ("smtp_connect_backlog", "500"),
            ("log_selector", "-all"),
        ] {
            exim.set(name, value);
        }
        exim.up();
        Ok(Self {
            exim,
            primary,
            authority,
        })
    }
}

impl System for Instance {
    fn name(&self) -> &'static str {
        "Exim"
    }

    fn hosts(&self) -> Vec<SocketAddr> {
        vec![self.exim.address()]
    }

    fn trust(&self) -> Arc<ClientConfig> {
        self.authority.client()
    }

    fn cpu_time(&self) -> Duration {
        let daemon = self.exim.daemon();
        daemon.map(process::cpu_time).unwrap_or_default()
    }

    fn written_bytes(&self) -> u64 {
        process::written_bytes_of_family(self.exim.daemon())
    }

    fn memory_bytes(&self) -> u64 {
        process::proportional_bytes_of_family(self.exim.daemon())
    }

    fn primary(&self) -> SocketAddr {
        self.primary.address()
    }

    fn drains(&self) -> Drains {
        Drains::No
    }

    fn reset(&mut self) -> Result<()> {
        self.exim.down();
        self.exim.empty_queue();
        self.exim.up();
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.exim.down();
        Ok(())
    }
}
