//! How keys are written. Everything is big-endian, so that RocksDB's order is ours.

use spool::{MessageId, Timestamp, Visitor};

/// The one Raft group there is so far. It stands in front of every key, so that more groups need
/// no change of format.
pub(crate) const GROUP: u32 = 0;

/// The spool's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    /// Log id of the last applied entry.
    Applied = 0,
    /// The cluster's name, and the policy in force.
    Founded = 1,
    /// Sequence: a message.
    Message = 2,
    /// Id: where the message is, or when it left.
    Known = 3,
    /// Domain, sequence: when the message is due there; 0 is now. In front of it the term that has
    /// claimed it, if any. Only what is to be delivered.
    Queue = 4,
    /// Domain, due moment, sequence: nothing. Only what is deferred.
    Deferred = 5,
    /// Id: the pieces of a body that is still arriving.
    Staged = 6,
    /// Departure, id: what is remembered of the message; nothing of a repeat, and where no history is kept.
    Departed = 7,
    /// Domain: its figures.
    Destination = 8,
    /// The last membership that was applied, with its log id.
    Membership = 9,
    /// Id: what a repeat of the message is known by, while its 250 is not known to have been read.
    Unconfirmed = 10,
    /// Id of a node that was a member once: nothing. Its id is never used again.
    Retired = 13,
    /// Visitor: how often it came to a sentry.
    Visitor = 18,
    /// Action: what an operator has done.
    Audited = 20,
    /// Domain, recipient: what is known of him.
    Recipient = 16,
    /// Domain, whether he is valid, when that was learned, recipient: nothing. Only what is forgotten one
    /// day.
    LearnedAt = 17,
    /// How much is remembered of what has left.
    History = 24,
    /// Domain, beginning of an outage: its end.
    Outage = 25,
    /// Departure, id: what a message that has left is kept with, to be delivered again.
    Retained = 26,
    /// Sequence: nothing. Only messages whose senders are owed a notice.
    Owed = 31,
}

/// Key of a log entry, and of the piece it carried.
pub(crate) fn entry(index: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&GROUP.to_be_bytes());
    key[4..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The index in a key that [`entry`] made.
pub(crate) fn entry_index(key: &[u8]) -> Option<u64> {
    key.get(4..12)?.try_into().ok().map(u64::from_be_bytes)
}

/// Key of one of Raft's own values.
pub(crate) fn raft(name: &str) -> Vec<u8> {
    let mut key = GROUP.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    key
}

/// Name under which pieces that are not needed any more wait for the log to be purged.
const DROPPED: &str = "dropped/";

/// Key that says: the piece of this entry goes when the log is purged up to it.
pub(crate) fn dropped(index: u64) -> Vec<u8> {
    let mut key = raft(DROPPED);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The index in a key that [`dropped`] made; `None` for any other key.
pub(crate) fn dropped_index(key: &[u8]) -> Option<u64> {
    let index = key.strip_prefix(raft(DROPPED).as_slice())?;
    index.try_into().ok().map(u64::from_be_bytes)
}

/// Name of the number under which the tables of a database stand.
pub(crate) const INCARNATION: &str = "incarnation";

/// What all keys of Raft's own values begin with.
pub(crate) fn all_raft() -> Vec<u8> {
    raft("")
}

/// Writes keys of the spool's tables. A database has them under one number, its incarnation, for all
/// its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpoolKeys(pub(crate) u32);

impl SpoolKeys {
    /// What all keys of this incarnation begin with.
    pub(crate) fn incarnation(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(64);
        key.extend_from_slice(&GROUP.to_be_bytes());
        key.extend_from_slice(&self.0.to_be_bytes());
        key
    }

    /// What all keys of a table begin with; the whole key where a table has one row.
    pub(crate) fn table(self, table: Table) -> Vec<u8> {
        let mut key = self.incarnation();
        key.push(table as u8);
        key
    }

    pub(crate) fn message(self, sequence: u64) -> Vec<u8> {
        let mut key = self.table(Table::Message);
        key.extend_from_slice(&sequence.to_be_bytes());
        key
    }

    pub(crate) fn known(self, id: MessageId) -> Vec<u8> {
        let mut key = self.table(Table::Known);
        key.extend_from_slice(&id.0.to_be_bytes());
        key
    }

    pub(crate) fn staged(self, id: MessageId) -> Vec<u8> {
        let mut key = self.table(Table::Staged);
        key.extend_from_slice(&id.0.to_be_bytes());
        key
    }

    pub(crate) fn unconfirmed(self, id: MessageId) -> Vec<u8> {
        let mut key = self.table(Table::Unconfirmed);
        key.extend_from_slice(&id.0.to_be_bytes());
        key
    }

    pub(crate) fn departed(self, at: Timestamp, id: MessageId) -> Vec<u8> {
        let mut key = self.table(Table::Departed);
        key.extend_from_slice(&at.0.to_be_bytes());
        key.extend_from_slice(&id.0.to_be_bytes());
        key
    }

    pub(crate) fn retained(self, at: Timestamp, id: MessageId) -> Vec<u8> {
        let mut key = self.table(Table::Retained);
        key.extend_from_slice(&at.0.to_be_bytes());
        key.extend_from_slice(&id.0.to_be_bytes());
        key
    }

    pub(crate) fn owed(self, sequence: u64) -> Vec<u8> {
        let mut key = self.table(Table::Owed);
        key.extend_from_slice(&sequence.to_be_bytes());
        key
    }

    /// What all keys of a domain begin with, in the tables that are kept per domain. A domain
    /// name has no zero octet, so no domain's rows stand among another's.
    pub(crate) fn of_domain(self, table: Table, domain: &str) -> Vec<u8> {
        let mut key = self.table(table);
        key.extend_from_slice(domain.as_bytes());
        key.push(0);
        key
    }

    pub(crate) fn queue(self, domain: &str, sequence: u64) -> Vec<u8> {
        let mut key = self.of_domain(Table::Queue, domain);
        key.extend_from_slice(&sequence.to_be_bytes());
        key
    }

    pub(crate) fn deferred(self, domain: &str, until: Timestamp, sequence: u64) -> Vec<u8> {
        let mut key = self.of_domain(Table::Deferred, domain);
        key.extend_from_slice(&until.0.to_be_bytes());
        key.extend_from_slice(&sequence.to_be_bytes());
        key
    }

    pub(crate) fn recipient(self, domain: &str, address: &str) -> Vec<u8> {
        let mut key = self.of_domain(Table::Recipient, domain);
        key.extend_from_slice(address.as_bytes());
        key
    }

    /// What the keys of a domain's valid, or unknown, recipients begin with, in the order of ages.
    pub(crate) fn of_kind(self, domain: &str, is_valid: bool) -> Vec<u8> {
        let mut key = self.of_domain(Table::LearnedAt, domain);
        key.push(u8::from(is_valid));
        key
    }

    pub(crate) fn learned(
        self,
        domain: &str,
        is_valid: bool,
        at: Timestamp,
        address: &str,
    ) -> Vec<u8> {
        let mut key = self.of_kind(domain, is_valid);
        key.extend_from_slice(&at.0.to_be_bytes());
        key.extend_from_slice(address.as_bytes());
        key
    }

    pub(crate) fn outage(self, domain: &str, since: Timestamp) -> Vec<u8> {
        let mut key = self.of_domain(Table::Outage, domain);
        key.extend_from_slice(&since.0.to_be_bytes());
        key
    }

    pub(crate) fn retired(self, node_id: u64) -> Vec<u8> {
        let mut key = self.table(Table::Retired);
        key.extend_from_slice(&node_id.to_be_bytes());
        key
    }

    pub(crate) fn visitor(self, visitor: Visitor) -> Vec<u8> {
        let mut key = self.table(Table::Visitor);
        key.extend_from_slice(&visitor.0.to_be_bytes());
        key
    }

    pub(crate) fn audited(self, action: u128) -> Vec<u8> {
        let mut key = self.table(Table::Audited);
        key.extend_from_slice(&action.to_be_bytes());
        key
    }

    pub(crate) fn destination(self, domain: &str) -> Vec<u8> {
        let mut key = self.table(Table::Destination);
        key.extend_from_slice(domain.as_bytes());
        key
    }
}

/// The number that ends a key.
pub(crate) fn last_u64(key: &[u8]) -> Option<u64> {
    key.last_chunk().copied().map(u64::from_be_bytes)
}

/// The id that ends a key.
pub(crate) fn last_id(key: &[u8]) -> Option<MessageId> {
    key.last_chunk()
        .copied()
        .map(|id| MessageId(u128::from_be_bytes(id)))
}

/// The visitor that ends a key.
pub(crate) fn last_visitor(key: &[u8]) -> Option<Visitor> {
    key.last_chunk()
        .copied()
        .map(|visitor| Visitor(u128::from_be_bytes(visitor)))
}

/// The smallest key above all that begin with `prefix`.
pub(crate) fn end_of(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return prefix;
        }
    }
    vec![0xff; 64]
}
