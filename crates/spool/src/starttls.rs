//! Whether a primary that has offered STARTTLS still does (RFC 3207).
//!
//! Servers do not lose TLS by themselves: somebody has broken it, or somebody on the way takes the offer out of
//! the dialogue to read the mail. So all nodes remember that it was offered, and that it is gone is an alarm
//! ([`alarm::TLS_GONE`](crate::alarm::TLS_GONE)).

use crate::Timestamp;

/// What is known of a primary that has offered it at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starttls {
    /// Whether it did when it was last talked to.
    pub is_offered: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// The host that was the first to be found so.
    pub host: String,
}
