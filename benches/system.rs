//! What every mail server under test must be able to do.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

/// The domain that is backed up.
pub(crate) const DOMAIN: &str = "bench.test";

/// A mail server under test, its primary down.
pub(crate) trait System {
    /// For the table.
    fn name(&self) -> &str;

    /// Where it takes mail: one address a node.
    fn hosts(&self) -> Vec<SocketAddr>;

    /// User and system time of all its processes so far.
    fn cpu_time(&self) -> Duration;

    /// Memory of all its processes, shared pages counted once.
    fn memory_bytes(&self) -> u64;

    /// Where it expects its primary.
    fn primary(&self) -> SocketAddr;

    /// Empties the queue.
    fn reset(&mut self) -> Result<()>;

    /// Waits until it has nothing left to do about the mail it holds.
    fn settle(&mut self) -> Result<()>;

    /// Tells it to try its primary now.
    fn flush(&mut self) -> Result<()>;

    /// Ends it properly.
    fn stop(&mut self) -> Result<()>;
}
