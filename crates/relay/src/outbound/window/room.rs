//! How much the window holds, and how much more it may.

use spool::Due;

use crate::outbound::limits::{WINDOW_MESSAGES_MAX, WINDOW_RECIPIENTS_MAX};

/// A number of messages, and of their recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    messages: usize,
    recipients: usize,
}

impl Room {
    /// The whole window's.
    pub(super) const ALL: Self = Self {
        messages: WINDOW_MESSAGES_MAX,
        recipients: WINDOW_RECIPIENTS_MAX,
    };

    /// One source's.
    pub(super) const HALF: Self = Self {
        messages: WINDOW_MESSAGES_MAX / 2,
        recipients: WINDOW_RECIPIENTS_MAX / 2,
    };

    /// Whether another message fits. The last one may have more recipients than there is room
    /// for, or some message would never fit.
    #[must_use]
    pub const fn is_left(self) -> bool {
        self.messages > 0 && self.recipients > 0
    }

    /// What a message leaves.
    #[must_use]
    pub const fn less(self, due: &Due) -> Self {
        Self {
            messages: self.messages.saturating_sub(1),
            recipients: self.recipients.saturating_sub(due.recipients.len()),
        }
    }

    pub(super) const fn more(self, due: &Due) -> Self {
        Self {
            messages: self.messages + 1,
            recipients: self.recipients + due.recipients.len(),
        }
    }

    pub(super) const fn without(self, taken: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(taken.messages),
            recipients: self.recipients.saturating_sub(taken.recipients),
        }
    }
}
