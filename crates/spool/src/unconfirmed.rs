//! Messages whose 250 is not known to have been read.
//!
//! ```text
//!   (none) ─Accept─▶ remembered ─Confirm, or a later Accept that carries it─▶ (none)
//!                        │  └── an hour passes, or too many come after it ──▶ (none)
//!                        └── the same message again: answered with the first id
//! ```
//!
//! A sender that did not read 250 sends its message again, mostly at once and to the next MX (RFC
//! 5321 section 4.5.4.1, RFC 1047). As long as the first is remembered here, that is no second one.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::{Fingerprint, MessageId, Timestamp};

/// For so long a message that comes again is taken for the same one.
pub const UNCONFIRMED_AGE_MAX: Duration = Duration::from_secs(3600);

/// How many are remembered at most, 8 MB of memory. In peace it is about one for each session; what
/// fills it are clients that leave without a word behind their 250. The earliest make room for the
/// latest, because a sender that heard nothing comes again soon, and because so nobody can keep the
/// others' messages from being remembered.
pub const UNCONFIRMED_MAX: usize = 50_000;

/// What is remembered of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What a repeat of it has in common with it.
    pub fingerprint: Fingerprint,
    /// When its end of data was read.
    pub at: Timestamp,
}

impl Remembered {
    /// Whether what comes at a moment may be this message again. A clock that is far ahead makes
    /// nothing memorable for longer than one that is right.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now.since(self.at) <= UNCONFIRMED_AGE_MAX && self.at.since(now) <= UNCONFIRMED_AGE_MAX
    }
}

/// The messages that are remembered, at most [`UNCONFIRMED_MAX`], each with a fingerprint of its own.
///
/// So few that whoever keeps the spool holds them in memory beside what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unconfirmed {
    by_id: BTreeMap<MessageId, Remembered>,
    ids: BTreeMap<Fingerprint, MessageId>,
}

impl Unconfirmed {
    /// Takes in a change, as `apply` asked for it.
    pub fn change(&mut self, id: MessageId, after: Option<Remembered>) {
        if let Some(before) = self.by_id.remove(&id) {
            self.ids.remove(&before.fingerprint);
        }
        if let Some(remembered) = after {
            self.ids.insert(remembered.fingerprint, id);
            self.by_id.insert(id, remembered);
        }
    }

    /// What is remembered of a message.
    #[must_use]
    pub fn get(&self, id: MessageId) -> Option<Remembered> {
        self.by_id.get(&id).copied()
    }

    /// The message with this fingerprint.
    #[must_use]
    pub fn first(&self, fingerprint: Fingerprint) -> Option<(MessageId, Remembered)> {
        let id = *self.ids.get(&fingerprint)?;
        Some((id, self.get(id)?))
    }

    /// All of them in the order of their ids, which is that of their times.
    pub fn iter(&self) -> impl Iterator<Item = (MessageId, Remembered)> {
        self.by_id.iter().map(|(id, remembered)| (*id, *remembered))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
