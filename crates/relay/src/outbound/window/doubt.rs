//! Messages that an earlier leader may be delivering, and the end of all waiting.

use super::{Entry, Room, Source, Stage, Window};
use spool::Due;

impl Window {
    /// Takes a message in that is in doubt: it holds its place and does not start.
    pub fn offer_in_doubt(&mut self, due: Due, source: Source) -> bool {
        let sequence = due.message.sequence;
        if !self.is_new(sequence) || due.recipients.is_empty() {
            return false;
        }
        self.doubtful = self.doubtful.more(&due);
        self.insert(due, source);
        self.in_doubt.insert(sequence);
        self.move_by(sequence, 1);
        true
    }

    /// Whether anything is in doubt.
    #[must_use]
    pub fn has_doubts(&self) -> bool {
        !self.in_doubt.is_empty()
    }

    /// The messages in doubt, in order of arrival.
    #[must_use]
    pub fn in_doubt(&self) -> Vec<u64> {
        self.in_doubt.iter().copied().collect()
    }

    /// A message is in doubt no longer, and this is how it stands: it may start when its turn
    /// comes.
    pub fn clear(&mut self, due: Due) {
        let sequence = due.message.sequence;
        if !self.in_doubt.remove(&sequence) {
            return;
        }
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        self.doubtful = self.doubtful.less(&entry.due);
        entry.due = due.clone();
        entry.revision = self.revision;
        let source = entry.source;
        self.count_in(&due, source);
        self.move_by(sequence, -1);
    }

    /// A message in doubt has left, or stepped aside: those behind it may go.
    pub fn forget(&mut self, sequence: u64) {
        if !self.in_doubt.remove(&sequence) {
            return;
        }
        let Some(entry) = self.entries.remove(&sequence) else {
            return;
        };
        self.doubtful = self.doubtful.less(&entry.due);
        self.leave_unstarted(&entry);
    }

    /// A message that has not started leaves its lanes.
    pub(super) fn leave_unstarted(&mut self, entry: &Entry) {
        let sequence = entry.due.message.sequence;
        for address in &entry.lanes {
            let Some(lane) = self.lanes.get_mut(address) else {
                continue;
            };
            let was_first = lane.head() == Some(sequence);
            lane.leave(sequence);
            match lane.head() {
                Some(next) if was_first => self.move_by(next, -1),
                Some(_) => {}
                None => drop(self.lanes.remove(address)),
            }
        }
    }

    /// Whether anything of it was begun in vain: how often is known nowhere else.
    pub fn has_troubles(&self) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| entry.breaks + entry.closings > 0)
    }

    /// Whether anything came from a source.
    pub fn has_from(&self, source: Source) -> bool {
        self.entries.values().any(|entry| entry.source == source)
    }

    /// Takes out all that has not started; nothing of it will. Returns what of it is not in doubt,
    /// in order of arrival.
    pub fn withdraw(&mut self) -> Vec<u64> {
        for lane in self.lanes.values_mut() {
            lane.clear();
        }
        self.lanes.retain(|_, lane| lane.head().is_some());
        self.startable.clear();
        let unstarted = |entry: &Entry| matches!(entry.stage, Stage::Blocked(_) | Stage::Startable);
        let withdrawn: Vec<Entry> = self
            .entries
            .extract_if(|_, entry| unstarted(entry))
            .map(|(_, entry)| entry)
            .collect();
        let in_doubt = core::mem::take(&mut self.in_doubt);
        self.doubtful = Room::default();
        let mut ours = Vec::with_capacity(withdrawn.len());
        for entry in withdrawn {
            let sequence = entry.due.message.sequence;
            if !in_doubt.contains(&sequence) {
                self.held = self.held.less(&entry.due);
                let unsettled = self.unsettled(entry.source);
                *unsettled = unsettled.without(Room::default().more(&entry.due));
                ours.push(sequence);
            }
        }
        ours.sort_unstable();
        ours
    }
}
