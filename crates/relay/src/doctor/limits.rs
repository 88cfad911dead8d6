//! Bounds of what is looked at, each with its reason.

use core::time::Duration;

/// Octets of an MTA-STS policy: as many as senders are told to read at most (RFC 8461 section 3.3).
pub const POLICY_BYTES_MAX: usize = 64 * 1024;

/// How long it may take to fetch one, with the lookups before.
pub const POLICY_TIMEOUT: Duration = Duration::from_secs(10);
