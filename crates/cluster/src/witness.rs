//! What members have been seen to acknowledge.
//!
//! Only a leader sees its followers acknowledge. It tells all of them with its heartbeats, so that the
//! next leader, and everyone else who is asked, knows it too: a node whose disk was put back to an
//! older copy is found out whoever leads by then.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::raft::LogId;

/// The last log entry that each member has been seen to acknowledge, as far as this node was told
/// since its start.
#[derive(Debug, Default)]
pub(crate) struct Witness(Mutex<BTreeMap<u64, LogId>>);

impl Witness {
    /// Notes what a leader has seen. An entry of a later term counts as more, whatever its index: what
    /// follows it in the log of an earlier one may have been cut off since.
    pub(crate) fn note(&self, seen: impl IntoIterator<Item = (u64, LogId)>) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (member, log_id) in seen {
            let last = members.entry(member).or_insert(log_id);
            *last = log_id.max(*last);
        }
    }

    /// What a member has been seen to acknowledge.
    pub(crate) fn of(&self, member: u64) -> Option<LogId> {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.get(&member).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_term_counts_as_more_and_nothing_is_taken_back() {
        let at = |term: u64, index| LogId::new(term.into(), index);
        let witness = Witness::default();
        assert_eq!(witness.of(2), None);
        witness.note([(2, at(1, 9)), (3, at(1, 7))]);
        witness.note([(2, at(1, 8))]);
        assert_eq!(witness.of(2), Some(at(1, 9)));
        witness.note([(2, at(2, 5))]);
        witness.note([(2, at(1, 10))]);
        assert_eq!(witness.of(2), Some(at(2, 5)));
        assert_eq!(witness.of(3), Some(at(1, 7)));
    }
}
