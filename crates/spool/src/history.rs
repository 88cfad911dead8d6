//! What is remembered of a message: how its deliveries were tried, and, when it has left, how it fared.

use core::time::Duration;

use bytes::Bytes;

use crate::{Attempt, Message, Recipient, Replay, Status, Timestamp, Verdict};

/// For so long at least an id is remembered after its message left: longer than any node goes on
/// proposing one message, so that a proposal which was sent again is never spooled twice.
pub const DEPARTED_AGE_MAX: Duration = Duration::from_secs(3600);

/// Messages that have left and are remembered at most; the earliest make room. A row takes some 400
/// octets with the keys that lead to it (100 more for each further recipient), so that this is about
/// 2 GB on the disk of each node.
pub const HISTORY_ROWS_MAX: u64 = 5_000_000;

/// Delivered messages whose bodies are kept at most, whatever the policy says; the earliest are given up. It
/// is less than what is remembered, so that what is kept is always remembered, too.
pub const RETAINED_MAX: u64 = HISTORY_ROWS_MAX / 2;

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
                Verdict::Delivered(_) | Verdict::Relayed(_) => (&mut told.delivered, None),
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

/// What a delivered message is kept with besides what is remembered of it, so that it can be delivered again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// The log indices whose entries carried the body's pieces, in order.
    pub pieces: Vec<u64>,
    /// The `Received` field that goes in front of the body.
    pub trace: Bytes,
    /// Octets of the body.
    pub size: u64,
}

/// How much is remembered, and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryTotals {
    /// Messages that have left and are remembered, ids of repeats among them.
    pub rows: u64,
    /// Delivered messages whose bodies are kept.
    pub retained: u64,
    /// Octets of those bodies.
    pub retained_octets: u64,
}

impl HistoryTotals {
    pub(crate) const fn keep(&mut self, retained: &Retained) {
        self.retained += 1;
        self.retained_octets += retained.size;
    }

    pub(crate) const fn give_up(&mut self, retained: &Retained) {
        self.retained = self.retained.saturating_sub(1);
        self.retained_octets = self.retained_octets.saturating_sub(retained.size);
    }
}

impl Message {
    /// Whether all its recipients have got it.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        let mut recipients = self.recipients.iter();
        recipients.all(|recipient| matches!(recipient.status, Status::Delivered { .. }))
    }

    /// Whether nothing is left to be done or shown: each recipient has got it, or was returned, and its sender
    /// knows what he is to know. What has left and is not settled was deleted, or has lapsed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let mut recipients = self.recipients.iter();
        recipients.all(|recipient| match recipient.status {
            Status::Delivered { .. } | Status::Returned { .. } => recipient.owed.is_none(),
            Status::Pending | Status::Deferred { .. } | Status::Rejected { .. } => false,
        })
    }

    /// What is remembered of it once it has left: all but what only a delivery needs.
    #[must_use]
    pub(crate) fn remembered(mut self) -> Self {
        self.hold = None;
        self.body.pieces = Vec::new();
        self.trace = Bytes::new();
        self
    }

    /// Whether one of its recipients has got it since a moment, in one domain or in any.
    #[must_use]
    pub fn was_delivered(&self, since: Timestamp, domain: Option<&str>) -> bool {
        let mut recipients = self.recipients.iter();
        recipients.any(|recipient| recipient.has_got_it(since, domain))
    }

    /// Has it delivered again to those whom a replay is about. Returns whether it is about any, and has not
    /// been heeded already: a copy of the command, or of an earlier one, replays nothing twice.
    pub(crate) fn reopen(&mut self, replay: &Replay) -> bool {
        let domain = replay.domain.as_deref();
        let mut is_reopened = false;
        for recipient in &mut self.recipients {
            if recipient.has_got_it(replay.since, domain) && !recipient.was_replayed(replay) {
                recipient.status = Status::Pending;
                recipient.owed = None;
                recipient.replayed_at = Some(replay.at);
                is_reopened = true;
            }
        }
        if is_reopened {
            self.renewed_at = Some(replay.at);
        }
        is_reopened
    }

    /// Whether a replay, or a later one, was heeded already.
    pub(crate) fn was_replayed(&self, replay: &Replay) -> bool {
        let mut recipients = self.recipients.iter();
        recipients.any(|recipient| {
            recipient.is_in(replay.domain.as_deref()) && recipient.was_replayed(replay)
        })
    }

    /// Remembers a try, and forgets the earliest when there are too many.
    pub(crate) fn remember_try(&mut self, tried: Try) {
        let excess = (self.tries.len() + 1).saturating_sub(TRIES_MAX);
        self.tries.drain(..excess);
        self.tries.push(tried);
    }
}

impl Recipient {
    fn is_in(&self, domain: Option<&str>) -> bool {
        domain.is_none_or(|domain| self.domain == domain)
    }

    fn has_got_it(&self, since: Timestamp, domain: Option<&str>) -> bool {
        self.is_in(domain) && matches!(self.status, Status::Delivered { at, .. } if at >= since)
    }

    fn was_replayed(&self, replay: &Replay) -> bool {
        self.replayed_at.is_some_and(|at| replay.at.is_late(at))
    }
}
