//! What operators do, and the log of it.
//!
//! An action may be more than one command: what a filter selects is handled a batch at a time. The row of
//! the audit log knows how far the action has come, so that a copy of a command that comes late is known
//! as that and done once.

use core::time::Duration;

use crate::{MessageId, Timestamp};

/// For so long an action stays in the audit log.
pub const AUDIT_AGE_MAX: Duration = Duration::from_secs(90 * 24 * 3600);

/// Actions that the audit log keeps at most, the latest ones.
pub const AUDIT_ROWS_MAX: usize = 100_000;

/// Messages that one command handles at most: it is applied within some milliseconds, and mail goes on
/// between two of them.
pub const HANDLED_PER_COMMAND_MAX: usize = 1000;

/// Who wants what, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// A ULID of the moment, drawn by the node that was asked: the same in all commands of the action.
    pub id: u128,
    /// When it was asked for.
    pub at: Timestamp,
    /// Who has asked, in his own words.
    pub by: String,
    /// What he asked for: `hold --domain example.com`.
    pub what: String,
    /// Why, in his own words; empty when he gave no reason.
    pub reason: String,
}

/// A row of the audit log: an action, and what it has come to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// The action.
    pub action: Action,
    /// What it has changed in all: messages, or 1 where it is about something else.
    pub changed: u64,
    /// The last of its commands that was done.
    pub batch: u32,
    /// What that one came to.
    pub tally: Tally,
}

/// What an operator does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Keeps them from being delivered until they are released.
    Hold,
    /// Ends that.
    Release,
    /// Drops them for good.
    Delete,
    /// Makes them due now, also for recipients whom the primary has refused.
    Retry,
    /// Gives them up, and tells their senders.
    Bounce,
}

/// One command of an action on messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handling {
    /// What is done.
    pub verb: Verb,
    /// Who wants it, and why.
    pub action: Action,
    /// Which command of the action it is: 1, 2, 3, ...
    pub batch: u32,
    /// With which messages.
    pub ids: Vec<MessageId>,
}

/// What one command of an action came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// What was changed.
    pub changed: u64,
    /// What was so before.
    pub unaffected: u64,
    /// Messages that are held, and would have to be released first.
    pub held: u64,
    /// Messages that are not in the spool, or not any more.
    pub absent: u64,
}
