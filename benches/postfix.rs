//! Postfix, tuned as someone would who wants speed and knows it, and fair: no DNS, no filters, no
//! limits, no delay; its log goes nowhere, which spares it work that our nodes do.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use harness::{Authority, Port, Postfix, process, wait_until};
use rustls::ClientConfig;

use crate::system::{DOMAIN, Drains, System};

/// Enough for 200 sessions, each of which holds an smtpd and a cleanup of its own.
const PROCESSES: &str = "500";

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    postfix: Postfix,
    primary: Port,
    authority: Authority,
}

impl Instance {
    /// Writes its files and starts it; its certificate lies below `directory`.
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let primary = Port::free();
        let authority = Authority::new(directory);
        let postfix = Postfix::prepare(DOMAIN).map_err(|why| anyhow!(why))?;
        let mut postfix = postfix
            .relaying_to(&[primary.address()])
            .offering_tls(&authority.sign("postfix"));
        for (name, value) in [
            ("maillog_file", ""),
            ("default_process_limit", PROCESSES),
            ("initial_destination_concurrency", "20"),
            ("default_destination_concurrency_limit", "20"),
            ("qmgr_message_active_limit", "100000"),
            ("qmgr_message_recipient_limit", "100000"),
        ] {
            postfix.set(name, value);
        }
        postfix.up();
        Ok(Self {
            postfix,
            primary,
            authority,
        })
    }
}

impl System for Instance {
    fn name(&self) -> &'static str {
        "Postfix"
    }

    fn hosts(&self) -> Vec<SocketAddr> {
        vec![self.postfix.address()]
    }

    fn trust(&self) -> Arc<ClientConfig> {
        self.authority.client()
    }

    fn cpu_time(&self) -> Duration {
        self.postfix
            .master()
            .map(process::cpu_time)
            .unwrap_or_default()
    }

    fn written_bytes(&self) -> u64 {
        process::written_bytes_of_family(self.postfix.master())
    }

    fn memory_bytes(&self) -> u64 {
        process::proportional_bytes_of_family(self.postfix.master())
    }

    fn primary(&self) -> SocketAddr {
        self.primary.address()
    }

    fn drains(&self) -> Drains {
        Drains::WhenTold
    }

    fn reset(&mut self) -> Result<()> {
        self.postfix.empty_queue();
        self.postfix.down();
        self.postfix.up();
        Ok(())
    }

    /// The queue manager has looked at every message and put it aside.
    fn settle(&mut self) -> Result<()> {
        wait_until(
            Duration::from_secs(120),
            "postfix has deferred everything",
            || self.postfix.queued("incoming") == 0 && self.postfix.queued("active") == 0,
        );
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.postfix.flush();
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.postfix.down();
        Ok(())
    }
}
