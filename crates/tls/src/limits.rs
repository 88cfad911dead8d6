//! Every limit of this room, with its reason.

use std::time::Duration;

/// TLS sessions that may be resumed: as many as come back within minutes.
pub(crate) const RESUMABLE_SESSIONS_MAX: usize = 1024;

/// Handshakes under way at one port. Nodes and operators are few; whoever comes on top waits in the
/// system's queue.
pub(crate) const HANDSHAKES_MAX: usize = 256;

/// A handshake takes two round trips and a millisecond of work; who needs longer than this occupies
/// a place that others wait for.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before the next connection is taken, when taking one failed: what is wanting (files,
/// memory) is wanting for a while.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// A PEM file is a few KiB; a bundle of every public authority is 300. More is another file.
pub(crate) const PEM_BYTES_MAX: u64 = 4 << 20;
