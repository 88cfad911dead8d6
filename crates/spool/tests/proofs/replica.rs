//! One node's spool and its place in the log.

use spool::{Command, Outcome};

use crate::memory::Memory;

/// A spool that takes one command after the other and is audited after each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replica {
    pub(crate) memory: Memory,
    /// Index of the last entry that was applied.
    pub(crate) applied: u64,
}

impl Replica {
    pub(crate) fn apply(&mut self, command: Command) -> Outcome {
        self.applied += 1;
        let mut outcomes = self.memory.apply_batch(&[(self.applied, command)]);
        self.memory.assert_consistent();
        outcomes.remove(0)
    }

    /// Applies a command once, and then again in later entries, which must change nothing but
    /// drop the octets that they carried. Returns what the first came to.
    pub(crate) fn apply_repeatedly(&mut self, command: Command) -> Outcome {
        let outcome = self.apply(command.clone());
        let rows = self.memory.rows.clone();
        for _ in 0..2 {
            assert_eq!(self.apply(command.clone()), outcome, "{command:?} repeated");
            assert_eq!(self.memory.rows, rows, "{command:?} repeated");
        }
        outcome
    }
}
