//! What every mail server under test must be able to do.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use rustls::ClientConfig;

/// The domain that is backed up.
pub(crate) const DOMAIN: &str = "bench.test";

/// A mail server under test, its primary down.
pub(crate) trait System {
    /// For the table.
    fn name(&self) -> &str;

    /// Where it takes mail: one address a node.
    fn hosts(&self) -> Vec<SocketAddr>;

    /// What a client needs to trust its certificate.
    fn trust(&self) -> Arc<ClientConfig>;

    /// User and system time of all its processes so far.
    fn cpu_time(&self) -> Duration;

    /// Octets that all its processes have had written to the disk so far.
    fn written_bytes(&self) -> u64;

    /// Memory of all its processes, shared pages counted once.
    fn memory_bytes(&self) -> u64;

    /// Where it expects its primary.
    fn primary(&self) -> SocketAddr;

    /// What it does for a primary that is back.
    fn drains(&self) -> Drains;

    /// Empties the queue.
    fn reset(&mut self) -> Result<()>;

    /// Waits until it has nothing left to do about the mail it holds.
    fn settle(&mut self) -> Result<()>;

    /// Tells it to try its primary now.
    fn flush(&mut self) -> Result<()>;

    /// Ends it properly.
    fn stop(&mut self) -> Result<()>;
}

/// What a system does for a primary that is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drains {
    /// Nothing that could be compared.
    No,
    /// It delivers what is queued when it is told to.
    WhenTold,
    /// It notices the primary by itself within a second or two.
    ByItself,
}
