//! The name of a message: the same in the reply, the logs, the command line and `Received`.

use core::{fmt, str::FromStr};

/// A ULID: 48 bits of the accepting node's time in milliseconds, 80 random bits.
///
/// It is drawn by the node that takes the message before anything is proposed, so that a proposal
/// which is sent again carries the same id and is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u128);

impl MessageId {
    /// An id out of the clock's milliseconds since 1970 and 80 random bits (more are cut off).
    #[must_use]
    pub fn new(unix_ms: u64, random: u128) -> Self {
        Self(ulid::Ulid::from_parts(unix_ms, random).0)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ulid::Ulid(self.0).fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a 26-character ULID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a message id: 26 characters of 0-9 and A-Z are expected")]
pub struct ParseIdError;

impl FromStr for MessageId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        ulid::Ulid::from_string(text)
            .map(|id| Self(id.0))
            .map_err(|_| ParseIdError)
    }
}
