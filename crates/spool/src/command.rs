//! What may be asked of the spool. Each command is one entry of the Raft log.

mod size;

use bytes::Bytes;
use smtp::{BodyType, Recipient, ReversePath, dsn};

use crate::{
    Action, Authentication, Client, Delay, Digest, Fact, Fingerprint, Handling, MessageId, Notify,
    Offers, Reachability, Recovery, Tally, Timestamp, Visitor, alarm::Notice, policy::Document,
};

/// Everything that can change the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Founds the cluster's spool. The first one wins; the rest change nothing.
    Found {
        /// Drawn at random by whoever proposes it; names the cluster from then on.
        cluster: u128,
        /// The first policy, as the operator wrote it.
        policy: Document,
        /// When it was proposed; `Timestamp(0)` from nodes that did not say.
        at: Timestamp,
    },
    /// Puts another policy in force.
    Adopt(Adopt),
    /// Stores a piece of a body that is still arriving.
    Stage(Stage),
    /// Makes a message ours. When this is committed, 250 is true.
    Accept(Box<Accept>),
    /// Gives up a body that was staged: the sender broke off or the message was refused.
    Discard {
        /// The message whose pieces are dropped.
        id: MessageId,
    },
    /// Tells what became of deliveries.
    Report(Report),
    /// Tells that a destination went down or came back.
    Observe {
        /// The policy's domain.
        domain: String,
        /// What it is now.
        reachability: Reachability,
        /// Since when.
        at: Timestamp,
    },
    /// Tells how the recovery of a destination goes on.
    Recover(Recovery),
    /// Tells that the webhook of the alarms was told of a change.
    NotePosted(Notice),
    /// Tells that a domain's primary offers something else than what is known.
    Offers {
        /// The policy's domain.
        domain: String,
        /// What it offers.
        offers: Offers,
        /// Of the policy that has it as the domain's primary: under another one it may be so no more, and
        /// nothing is noted. 0 when that was not said: it is noted always.
        policy_version: u64,
        /// When it said so.
        at: Timestamp,
    },
    /// Tells that a primary offers STARTTLS that was not known to, or does not any more.
    Starttls(SeenStarttls),
    /// Makes every deferred message due now.
    Flush {
        /// Only this domain's, or all.
        domain: Option<String>,
        /// What was tried before this moment is tried again.
        at: Timestamp,
    },
    /// Tells that the 250s of messages were read: each comes again only as another message.
    Confirm {
        /// The ids that the 250s told.
        ids: Vec<MessageId>,
    },
    /// Tells which messages a leader is about to deliver.
    Claim(Claims),
    /// Gives up claims: nothing of those messages is or will be on its way from that leader.
    Release(Claims),
    /// Tells who was sent away by a sentry.
    Visits(Visits),
    /// Tells what was found out about recipients.
    Learn(Lessons),
    /// Does what an operator wants with messages.
    Handle(Handling),
    /// Keeps a domain's mail back.
    Pause {
        /// The policy's domain.
        domain: String,
        /// When it ends by itself; `None` when somebody has to end it.
        until: Option<Timestamp>,
        /// Who wants it, and why.
        action: Action,
    },
    /// Lets a domain's mail go again: ends its pause and the guard of its recovery.
    Resume {
        /// The policy's domain.
        domain: String,
        /// Who wants it, and why.
        action: Action,
    },
    /// Notes in the audit log what an operator has done by other commands.
    Note(Action),
    /// Gives messages up that are too old.
    Expire(Expire),
    /// Drops messages that were refused for good, and have been kept for the postmaster long enough.
    Lapse(Lapse),
    /// Makes it owed to the senders of messages that they are told these are late.
    Delay(Delay),
    /// Tells a sender what he is owed.
    Notify(Notify),
    /// Gives up the bodies of messages that were delivered before a moment, the earliest first.
    Relinquish {
        /// The moment.
        until: Timestamp,
    },
    /// Has messages delivered again.
    Replay(Replay),
    /// Drops what is too old to matter: abandoned stages, ids of messages long gone, messages that
    /// nobody will send again, visitors that came back no more, recipients of whom nothing was heard for long.
    Sweep {
        /// The proposer's clock.
        at: Timestamp,
    },
}

impl Command {
    /// Whether it may change so many messages that whoever applies commands in batches begins one with it, so that
    /// no batch holds many such.
    #[must_use]
    pub const fn changes_many(&self) -> bool {
        matches!(
            self,
            Self::Handle(_) | Self::Replay(_) | Self::Expire(_) | Self::Lapse(_) | Self::Delay(_)
        )
    }

    /// Whether applying it looks through tables, instead of at what it names. Tables show what is written:
    /// whoever applies commands in batches writes what came before first.
    #[must_use]
    pub const fn looks_through_tables(&self) -> bool {
        matches!(
            self,
            Self::Sweep { .. }
                | Self::Adopt(_)
                | Self::Pause { .. }
                | Self::Resume { .. }
                | Self::Observe { .. }
                | Self::Expire(_)
                | Self::Relinquish { .. }
        )
    }
}

/// Another policy, on all nodes from the same place in the log on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopt {
    /// As the operator wrote it.
    pub policy: Document,
    /// The version that he saw in force. Where another has followed that, nothing is done: neither
    /// does a copy of this command undo what came after it, nor one operator what another just did.
    pub replaces: u64,
    /// When it was proposed.
    pub at: Timestamp,
    /// Who wants it, in his own words.
    pub by: String,
}

/// A piece of a body that is still arriving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The message it will belong to.
    pub id: MessageId,
    /// Which piece: 0, 1, 2, ...
    pub number: u32,
    /// When it was proposed; a stage that nobody touches any more is swept by this.
    pub at: Timestamp,
    /// The octets.
    pub piece: Bytes,
}

/// A whole message: its envelope, and the rest of its body after what was staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Drawn by the accepting node.
    pub id: MessageId,
    /// When the end of data was read.
    pub received_at: Timestamp,
    /// Where a DSN would go.
    pub reverse_path: ReversePath,
    /// What the sender declared the body to be.
    pub body_type: BodyType,
    /// Whether its addresses and header fields may hold UTF-8 (RFC 6531).
    pub smtputf8: bool,
    /// What the sender said about reports on it.
    pub dsn: dsn::PerMessage,
    /// Each recipient with the policy's domain it falls under.
    pub recipients: Vec<(Recipient, String)>,
    /// How many pieces were staged before.
    pub staged: u32,
    /// The octets after the staged pieces; the whole body when there are none.
    pub tail: Bytes,
    /// Octets of the whole body.
    pub size: u64,
    /// SHA-256 of the whole body.
    pub digest: Digest,
    /// The trace fields to put in front when it leaves.
    pub trace: Bytes,
    /// Who brought it.
    pub client: Client,
    /// What was found out about its origin; `None` when nothing was looked at.
    pub authentication: Option<Authentication>,
    /// What a repeat of it is known by; `None` when it is to be spooled whatever came before.
    pub fingerprint: Option<Fingerprint>,
    /// Messages whose 250 was read before this one came, as in [`Command::Confirm`].
    pub confirmed: Vec<MessageId>,
}

/// Messages that the leader of a term claims, or claims no longer, for one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The term.
    pub term: u64,
    /// The policy's domain: what a message has to deliver elsewhere is another matter.
    pub domain: String,
    /// The messages' places in the order of arrival.
    pub sequences: Vec<u64>,
}

/// Who has come to a node's sentry, gathered into one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visits {
    /// When it was gathered.
    pub at: Timestamp,
    /// Each of them once.
    pub visitors: Vec<Visitor>,
}

/// Whether a primary was found to offer STARTTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenStarttls {
    /// The policy's domain.
    pub domain: String,
    /// The host that was talked to.
    pub host: String,
    /// Whether it did.
    pub is_offered: bool,
    /// Of the policy that has the host as the domain's primary: under another one nothing is noted.
    pub policy_version: u64,
    /// When it was talked to.
    pub at: Timestamp,
}

/// What was found out about recipients, gathered into one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lessons {
    /// When it was gathered.
    pub at: Timestamp,
    /// Of the policy that named the primaries which have told them, or of the earliest of several: what a
    /// primary has said that was another one's by then is not noted. 0 when that was not said.
    pub policy_version: u64,
    /// One for each recipient; of several the last counts.
    pub facts: Vec<Fact>,
}

/// Messages whose time is over, as far as whoever proposes it knows: what is too old is decided when this
/// is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expire {
    /// The policy's domain: what a message has to deliver elsewhere has a time of its own.
    pub domain: String,
    /// The proposer's clock.
    pub at: Timestamp,
    /// The messages' places in the order of arrival.
    pub sequences: Vec<u64>,
}

/// Messages that have been kept for the postmaster long enough, as far as whoever proposes it knows: which of them
/// have is decided when this is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// The proposer's clock.
    pub at: Timestamp,
    /// The messages' places in the order of arrival.
    pub sequences: Vec<u64>,
}

/// Messages to be delivered again to recipients who have got them: what they were delivered to has lost them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Who got it before this moment still has it.
    pub since: Timestamp,
    /// Only recipients in this domain of the policy; all when left out.
    pub domain: Option<String>,
    /// When the operator wanted it. No message is replayed twice by the same wish.
    pub at: Timestamp,
    /// The messages, in order of arrival.
    pub ids: Vec<MessageId>,
}

/// What became of deliveries, gathered into one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The term of the leader that has tried. What a later one has claimed meanwhile stays claimed.
    pub term: u64,
    /// When the first of them ended.
    pub at: Timestamp,
    /// One for each try of a message.
    pub attempts: Vec<Attempt>,
}

/// One try to deliver one message to one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The message.
    pub id: MessageId,
    /// The host that was asked; empty when that was not told.
    pub host: String,
    /// What each recipient that was tried came to: its index in the message, and the verdict.
    pub verdicts: Vec<(u32, Verdict)>,
}

/// What a host said of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has taken the message for him.
    Delivered(String),
    /// The same, and it tells the sender nothing of what becomes of it: it knows no reports (RFC 3461).
    Relayed(String),
    /// Not now; the words say why.
    Deferred(String),
    /// Never; the words say why.
    Rejected(String),
}

impl Verdict {
    /// Whether the host has taken the message for him.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        matches!(self, Self::Delivered(_) | Self::Relayed(_))
    }

    /// What the host said, or what went wrong before it could speak.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Delivered(words)
            | Self::Relayed(words)
            | Self::Deferred(words)
            | Self::Rejected(words) => words,
        }
    }
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or had been done before.
    Done,
    /// The message is in the spool (or was, and has left): 250 is true.
    Accepted,
    /// The message is this one, sent again by a client that may not have read its 250. Nothing was
    /// spooled, and 250 is true for the first.
    Repeated(MessageId),
    /// The pieces that `Accept` counts on are not all there.
    StageGone,
    /// So many messages of a replay are to be delivered again, or have been meanwhile. The bodies of the
    /// others are gone.
    Replayed(u64),
    /// The policy is in force, under this version.
    Adopted(u64),
    /// The policy that was to be replaced is not in force any more, but this version is.
    Overtaken(u64),
    /// An operator's command came to this.
    Handled(Tally),
    /// The policy makes no sense to this version of the program: the first line of what is wrong.
    NotUnderstood(String),
}
