//! What a sender is owed: a notice, that his message failed, is late, or went where nobody reports.
//!
//! ```text
//!   Report, Expire, Delay, Handle ─▶ owed, with the recipient     decided by `apply`, alike on all nodes
//!   the leader ─▶ writes the report, a message of its own
//!   Notify ─▶ the report is spooled, the recipient is told        one entry: neither is ever alone
//! ```
//!
//! The report is the message that tells the notice. It has the null reverse-path, so nobody is ever owed
//! anything for it.

use core::time::Duration;

use smtp::{ReversePath, dsn};

pub use crate::policy::QUEUE;
use crate::{
    Accept, Message, MessageId, Recipient, Status, Timestamp,
    policy::{ReportTo, Reports},
    words::bounded,
};

/// How many messages one command makes delay notices owed for at most, so that it is never a long entry to
/// apply.
pub const DELAY_MAX: usize = 500;

/// What a notice says of a recipient (RFC 3464 section 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The message will not be delivered to him.
    Failed,
    /// The message is not delivered to him yet.
    Delayed,
    /// The message was given to a host that tells nobody what becomes of it (RFC 3461 section 5.2.2).
    Relayed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Failed, Self::Delayed, Self::Relayed];

    /// Whether a sender wants it who has asked for these reports on a recipient; `None` is what stands for
    /// nothing said (RFC 3461 section 4.1).
    #[must_use]
    pub fn is_wanted(self, notify: Option<dsn::Notify>) -> bool {
        match self {
            Self::Failed => notify.is_none_or(|notify| notify.failure),
            Self::Delayed => notify.is_none_or(|notify| notify.delay),
            Self::Relayed => notify.is_some_and(|notify| notify.success),
        }
    }
}

/// Tells a sender: spools the report, and notes that he is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The message that the report is about.
    pub id: MessageId,
    /// What it says.
    pub kind: Kind,
    /// Of which recipients: indices in that message. When one of them is not owed this any more, nothing is
    /// done.
    pub recipients: Vec<u32>,
    /// When it was written.
    pub at: Timestamp,
    /// The report: a whole message, nothing of it staged before, from the null reverse-path to one recipient.
    pub report: Box<Accept>,
}

/// Messages that have waited so long that their senders are to know, as far as whoever proposes it knows: what
/// is late is decided when this is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The proposer's clock.
    pub at: Timestamp,
    /// The messages' places in the order of arrival.
    pub sequences: Vec<u64>,
}

/// What is said for a sender's being told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// What was found out about the origin of his message.
    Evidence,
    /// An operator's: he answers for it that the sender is no stranger.
    Operator,
}

impl Message {
    /// Whether anything of it is owed to its sender.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.recipients.iter().any(|r| r.owed.is_some())
    }

    /// Which of its recipients a notice of a kind is owed for: indices.
    #[must_use]
    pub fn owed(&self, kind: Kind) -> Vec<u32> {
        let recipients = (0_u32..).zip(&self.recipients);
        let owed = recipients.filter(|(_, recipient)| recipient.owed == Some(kind));
        owed.map(|(number, _)| number).collect()
    }

    /// Whether its sender is to know now that it is late: it has waited long enough, he was not told before, and
    /// there is a recipient he wants to know it of.
    #[must_use]
    pub fn is_to_be_told_late(&self, reports: &Reports, now: Timestamp) -> bool {
        let may_tell = self.may_tell(reports.to, Word::Evidence);
        let mut recipients = self.recipients.iter();
        reports.delay_notice_after > Duration::ZERO
            && now.since(self.received_at) >= reports.delay_notice_after
            && self.delay_told_at.is_none()
            && self.hold.is_none()
            && may_tell
            && recipients.any(Recipient::is_late)
    }

    /// Whether its sender may be told anything at all. Nobody is told of a message without a sender (RFC 5321
    /// section 4.5.5), and nobody who may never have sent it.
    pub(crate) fn may_tell(&self, to: ReportTo, word: Word) -> bool {
        let has_sender = self.reverse_path != ReversePath::Null;
        has_sender
            && match to {
                ReportTo::Always => true,
                ReportTo::Authenticated => word == Word::Operator || self.is_authenticated(),
                ReportTo::Never => false,
            }
    }
}

impl Recipient {
    /// Whether the sender wants to know that he waits. What is delivered once more is not late.
    pub(crate) fn is_late(&self) -> bool {
        !self.status.is_final()
            && self.replayed_at.is_none()
            && Kind::Delayed.is_wanted(self.dsn.notify)
    }

    /// Notes that nothing more is tried for him. A report that nobody takes is nobody's business any more;
    /// whoever else is refused stays, for the sender to be told or for the postmaster to see.
    pub(crate) fn refuse(&mut self, at: Timestamp, reply: String, may_tell: bool) {
        if self.domain == QUEUE {
            let report = None;
            self.status = Status::Returned { at, reply, report };
            self.owed = None;
        } else {
            self.status = Status::Rejected { at, reply };
            let is_owed = may_tell && Kind::Failed.is_wanted(self.dsn.notify);
            self.owed = is_owed.then_some(Kind::Failed);
        }
    }

    /// Gives him up because an operator wants it. Who was refused before is known by the words of then.
    pub(crate) fn bounce(&mut self, at: Timestamp, reason: &str, may_tell: bool) {
        match &self.status {
            Status::Pending | Status::Deferred { .. } => {
                let reply = bounded(bounced_words(reason, &self.status));
                self.refuse(at, reply, may_tell);
            }
            Status::Rejected { .. } => {
                let is_owed = may_tell && Kind::Failed.is_wanted(self.dsn.notify);
                self.owed = is_owed.then_some(Kind::Failed);
            }
            Status::Delivered { .. } | Status::Returned { .. } => {}
        }
    }

    /// Notes what the host that has taken it for him tells of it: nothing, when it knows no reports. What is
    /// delivered once more has been told of.
    pub(crate) fn note_taken(&mut self, is_relayed: bool, may_tell: bool) {
        let is_owed = is_relayed
            && may_tell
            && self.replayed_at.is_none()
            && Kind::Relayed.is_wanted(self.dsn.notify);
        self.owed = is_owed.then_some(Kind::Relayed);
    }
}

/// What is said of a recipient for whom an operator has given a message up; `reason` is his, or empty.
pub(crate) fn bounced_words(reason: &str, status: &Status) -> String {
    let mut words = "5.0.0 returned by the operator".to_owned();
    if !reason.is_empty() {
        words.push_str(": ");
        words.push_str(reason);
    }
    if let Status::Deferred { reason, .. } = status {
        words.push_str("; the last words were: ");
        words.push_str(reason);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_who_said_nothing_wants_to_know_what_goes_wrong() {
        assert!(Kind::Failed.is_wanted(None));
        assert!(Kind::Delayed.is_wanted(None));
        assert!(!Kind::Relayed.is_wanted(None));
    }

    #[test]
    fn a_sender_gets_what_he_has_asked_for_and_nothing_else() {
        for kind in Kind::ALL {
            assert!(!kind.is_wanted(Some(dsn::Notify::NEVER)));
            let only = dsn::Notify {
                success: kind == Kind::Relayed,
                failure: kind == Kind::Failed,
                delay: kind == Kind::Delayed,
            };
            for other in Kind::ALL {
                assert_eq!(other.is_wanted(Some(only)), other == kind);
            }
        }
    }
}
