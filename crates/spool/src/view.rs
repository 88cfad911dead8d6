//! What `apply` may read, and what it may ask to be written.

use core::ops::RangeInclusive;
use std::sync::Arc;

use crate::{
    Audited, Destination, Footprint, HistoryTotals, Learned, Message, MessageId, Outage, Patience,
    Remembered, Retained, Timestamp, Unconfirmed, Visitor, Visitors, policy::InForce,
};

/// What is known under a message's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is in the spool, at this place in the order of arrival.
    Queued(u64),
    /// It has left, at this moment.
    Departed(Timestamp),
    /// It came as another message again, and was never spooled.
    Repeat {
        /// The message that it was.
        first: MessageId,
        /// When it came.
        at: Timestamp,
    },
}

impl Known {
    /// Its place in the order of arrival; `None` when it is not in the spool, or not any more.
    #[must_use]
    pub const fn queued_at(&self) -> Option<u64> {
        match self {
            Self::Queued(sequence) => Some(*sequence),
            Self::Departed(_) | Self::Repeat { .. } => None,
        }
    }

    /// Since when nothing but the id has been left; `None` while it is in the spool.
    #[must_use]
    pub const fn gone_since(&self) -> Option<Timestamp> {
        match self {
            Self::Queued(_) => None,
            Self::Departed(at) | Self::Repeat { at, .. } => Some(*at),
        }
    }
}

/// The pieces of a body that is still arriving.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    /// The log indices that carry them, in order.
    pub pieces: Vec<u64>,
    /// Octets so far.
    pub size: u64,
    /// When the last one was proposed.
    pub touched_at: Timestamp,
}

/// A message's place in the queue of one domain, while it is to be delivered there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When it is due; 0 is now.
    pub due: Timestamp,
    /// The term whose leader has claimed it, and may be delivering it.
    pub claimed_by: Option<u64>,
}

/// The spool as `apply` reads it: its state after every earlier command.
pub trait View {
    /// Why a read can fail: the store's error.
    type Error;

    /// The policy in force; `None` before the cluster is founded.
    fn policy(&self) -> Option<Arc<InForce>>;
    /// A domain's figures; the default when nothing was ever queued there.
    fn destination(&self, domain: &str) -> Destination;
    /// Every domain that has figures.
    fn domains(&self) -> Vec<String>;
    /// What is known under an id.
    fn known(&self, id: MessageId) -> Result<Option<Known>, Self::Error>;
    /// The message at a place in the order of arrival.
    fn message(&self, sequence: u64) -> Result<Option<Message>, Self::Error>;
    /// The messages with these ids, one for each; `None` for one that is not in the spool, or not any more. A store
    /// may read them all at once.
    fn queued(&self, ids: &[MessageId]) -> Result<Vec<Option<Message>>, Self::Error> {
        let found = ids.iter().map(|id| {
            let place = self.known(*id)?.and_then(|known| known.queued_at());
            Ok(place
                .map(|place| self.message(place))
                .transpose()?
                .flatten())
        });
        found.collect()
    }
    /// The place of the message with this sequence in a domain's queue.
    fn place(&self, domain: &str, sequence: u64) -> Result<Option<Place>, Self::Error>;
    /// The same of several messages, one for each. A store may read them all at once.
    fn places(&self, wanted: &[(&str, u64)]) -> Result<Vec<Option<Place>>, Self::Error> {
        let places = wanted.iter();
        places
            .map(|(domain, sequence)| self.place(domain, *sequence))
            .collect()
    }
    /// The pieces staged under an id.
    fn staged(&self, id: MessageId) -> Result<Option<Staged>, Self::Error>;
    /// Stages last touched before a moment, at most `limit` of them.
    fn stages_before(&self, at: Timestamp, limit: usize) -> Result<Vec<MessageId>, Self::Error>;
    /// Ids of messages that left before a moment, the earliest first, at most `limit` of them;
    /// those of repeats count from when they came.
    fn departed_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, MessageId)>, Self::Error>;
    /// The outages of a domain's primary that have ended, in order of their beginnings.
    fn outages(&self, domain: &str) -> Result<Vec<Outage>, Self::Error>;
    /// How much is remembered of what has left.
    fn history(&self) -> HistoryTotals;
    /// What is remembered of a message that left at a moment.
    fn departure(&self, at: Timestamp, id: MessageId) -> Result<Option<Message>, Self::Error>;
    /// What a message that left at a moment is kept with.
    fn retained(&self, at: Timestamp, id: MessageId) -> Result<Option<Retained>, Self::Error>;
    /// What is kept of messages that left before a moment, the earliest first, at most `limit` of them.
    fn retained_before(
        &self,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, MessageId, Retained)>, Self::Error>;
    /// What is known of a recipient of a domain.
    fn recipient(&self, domain: &str, address: &str) -> Result<Option<Learned>, Self::Error>;
    /// Recipients of a domain who were learned to be valid, or not to be, before a span of time or after
    /// it, the earliest first, at most `limit` of them; not those an operator has named.
    fn recipients_outside(
        &self,
        domain: &str,
        is_valid: bool,
        span: RangeInclusive<Timestamp>,
        limit: usize,
    ) -> Result<Vec<String>, Self::Error>;
    /// What is noted of an operator's action.
    fn audited(&self, action: u128) -> Result<Option<Audited>, Self::Error>;
    /// Actions of before a moment, and all but the latest `keep`, the earliest first, at most `limit` of
    /// them.
    fn actions_beyond(
        &self,
        at: Timestamp,
        keep: usize,
        limit: usize,
    ) -> Result<Vec<u128>, Self::Error>;
    /// The messages whose 250 is not known to have been read.
    fn unconfirmed(&self) -> &Unconfirmed;
    /// Who has come to a sentry.
    fn visitors(&self) -> &Visitors;
}

/// One thing to write. All changes of one command are written in one batch, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The cluster has this name and this policy from now on.
    Founded {
        /// The cluster's name.
        cluster: u128,
        /// Version 1.
        policy: Arc<InForce>,
    },
    /// Another policy is in force from now on.
    Adopted(Arc<InForce>),
    /// A message came, or its recipients moved on. Its places in the queues follow from the two;
    /// one that changes is claimed by nobody, and one that stays keeps its claim.
    Message {
        /// Where it stood; `None` when it is new.
        before: Option<Footprint>,
        /// As it is; `None` when it has left.
        after: Option<Box<Message>>,
    },
    /// A place in a domain's queue is claimed, or not any more.
    Claimed {
        /// The policy's domain.
        domain: String,
        /// The message's sequence.
        sequence: u64,
        /// As it is.
        after: Place,
    },
    /// What is known under an id; `None` forgets it.
    Known {
        /// The id.
        id: MessageId,
        /// As it was.
        before: Option<Known>,
        /// As it is.
        after: Option<Known>,
    },
    /// What is remembered of a message that has left. It is forgotten with its id, so this comes
    /// behind the change that makes the id known as departed.
    Departure {
        /// When it left.
        at: Timestamp,
        /// As it was then, without what only a delivery needs.
        message: Box<Message>,
    },
    /// What a message that has left is kept with; `None` when it is kept no longer.
    Retained {
        /// When it left.
        at: Timestamp,
        /// The message.
        id: MessageId,
        /// As it is.
        after: Option<Retained>,
    },
    /// How much is remembered of what has left.
    History(HistoryTotals),
    /// The pieces staged under an id; `None` forgets them (and leaves the octets where they are).
    Staged {
        /// The id.
        id: MessageId,
        /// As it is.
        after: Option<Staged>,
    },
    /// Whether a message's 250 is still to be confirmed; `None` forgets that it was.
    Unconfirmed {
        /// The message.
        id: MessageId,
        /// What its repeats are known by.
        after: Option<Remembered>,
    },
    /// What is remembered of a visitor; `None` forgets it.
    Visitor {
        /// The visitor.
        visitor: Visitor,
        /// As it is.
        after: Option<Patience>,
    },
    /// What is known of a recipient; `None` forgets him.
    Recipient {
        /// The policy's domain.
        domain: String,
        /// The recipient.
        address: String,
        /// As it was.
        before: Option<Learned>,
        /// As it is.
        after: Option<Learned>,
    },
    /// What is noted of an operator's action; `None` forgets it.
    Audited {
        /// The action.
        id: u128,
        /// As it is.
        after: Option<Box<Audited>>,
    },
    /// The octets that this log entry carried are not needed any more.
    DropPiece(u64),
    /// An outage of a domain's primary.
    Outage {
        /// The policy's domain.
        domain: String,
        /// When it began.
        since: Timestamp,
        /// When it ended; `None` forgets it.
        until: Option<Timestamp>,
    },
    /// A domain's figures.
    Destination {
        /// The policy's domain.
        domain: String,
        /// As it is.
        after: Destination,
    },
}
