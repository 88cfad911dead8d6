//! How patient a drill is.

use core::time::Duration;

use crate::outbound::limits::{PROBE_TIMEOUTS, Timeouts};

/// With each step through a host. A node may wait for a quorum behind the final dot for as long as its
/// `commit_timeout`, which is a minute unless somebody wants otherwise.
pub const TIMEOUTS: Timeouts = Timeouts {
    command: Duration::from_secs(60),
    data: Duration::from_secs(30),
    final_dot: Duration::from_secs(90),
    ..PROBE_TIMEOUTS
};
