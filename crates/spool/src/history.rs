//! What is remembered of a message: how its deliveries were tried, and, when it has left, how it fared.

use crate::{Attempt, Message, Timestamp, Verdict};

/// Messages that have left and are remembered at most; the earliest make room. A row takes some 400
/// octets with the keys that lead to it (100 more for each further recipient), so that this is about
/// 2 GB on the disk of each node.
pub const HISTORY_ROWS_MAX: u64 = 5_000_000;

/// Tries that are remembered of each message; the earliest make room.
pub const TRIES_MAX: usize = 5;

/// Words that are remembered of a try.
const WORDS_CHARS_MAX: usize = 200;

/// One try to deliver a message, or a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Try {
    /// When it ended.
    pub at: Timestamp,
    /// The host that was asked; empty when that was not told.
    pub host: String,
    /// Recipients whom the host took it for.
    pub delivered: u32,
    /// Recipients who are to be tried again.
    pub deferred: u32,
    /// Recipients whom the host refused for good.
    pub rejected: u32,
    /// What was said of the first whom it did not take it for; empty when it took it for all.
    pub words: String,
}

impl Try {
    /// A try as its attempt tells of it.
    pub(crate) fn of(attempt: &Attempt, at: Timestamp) -> Self {
        let mut told = Self {
            at,
            host: attempt.host.clone(),
            ..Self::default()
        };
        for (_, verdict) in &attempt.verdicts {
            let (count, words) = match verdict {
                Verdict::Delivered(_) => (&mut told.delivered, None),
                Verdict::Deferred(words) => (&mut told.deferred, Some(words)),
                Verdict::Rejected(words) => (&mut told.rejected, Some(words)),
            };
            *count = count.saturating_add(1);
            if let Some(words) = words
                && told.words.is_empty()
            {
                told.words = words.chars().take(WORDS_CHARS_MAX).collect();
            }
        }
        told
    }
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryTotals {
    /// Messages that have left and are remembered, ids of repeats among them.
    pub rows: u64,
}

impl Message {
    /// What is remembered of it once it has left: all but what only a delivery needs.
    #[must_use]
    pub(crate) fn remembered(mut self) -> Self {
        self.body.pieces = Vec::new();
        self.trace = bytes::Bytes::new();
        self
    }

    /// Remembers a try, and forgets the earliest when there are too many.
    pub(crate) fn remember_try(&mut self, tried: Try) {
        let excess = (self.tries.len() + 1).saturating_sub(TRIES_MAX);
        self.tries.drain(..excess);
        self.tries.push(tried);
    }
}
