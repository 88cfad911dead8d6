//! The newest log entries, in memory: what is still on its way to the disk, and as much more as
//! fits, so that replication and apply need not read back what was just written.

use std::collections::VecDeque;

use tokio::sync::watch;

use crate::{
    limits::LOG_CACHE_BYTES_MAX,
    raft::{Entry, Payload},
};

/// What an entry costs in memory besides the command it carries.
pub(super) const ENTRY_OVERHEAD: usize = 512;

/// A gapless run of entries that ends with the last one of the log.
#[derive(Debug)]
pub(super) struct LogCache {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Entries up to this index are on the disk and may leave; `None` once writing has failed.
    flushed: watch::Sender<Option<u64>>,
    /// Why writing has failed.
    failure: Option<String>,
}

impl LogCache {
    /// Empty; up to `flushed` the log is on the disk.
    pub(super) fn new(flushed: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            flushed: watch::Sender::new(Some(flushed)),
            failure: None,
        }
    }

    /// Up to which index the log is on the disk, from now on; `None` once writing has failed.
    pub(super) fn watch_flushed(&self) -> watch::Receiver<Option<u64>> {
        self.flushed.subscribe()
    }

    /// Notes that nothing will be written any more, and why.
    pub(super) fn failed(&mut self, why: String) {
        self.failure = Some(why);
        self.flushed.send_replace(None);
    }

    /// Why nothing is written any more.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Adds the entry that follows the last one.
    pub(super) fn push(&mut self, entry: Entry) {
        if self
            .entries
            .back()
            .is_some_and(|last| last.log_id.index + 1 != entry.log_id.index)
        {
            self.entries.clear();
            self.bytes = 0;
        }
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
    }

    /// Notes that everything up to `index` is on the disk.
    pub(super) fn flushed(&mut self, index: u64) {
        self.flushed
            .send_modify(|flushed| *flushed = flushed.map(|flushed| flushed.max(index)));
        let flushed = self.flushed.borrow().unwrap_or(0);
        while self.bytes > LOG_CACHE_BYTES_MAX
            && self
                .entries
                .front()
                .is_some_and(|first| first.log_id.index <= flushed)
        {
            self.drop_first();
        }
    }

    /// Drops everything behind `index`.
    pub(super) fn truncate_after(&mut self, index: Option<u64>) {
        let stays = |entry: &Entry| index.is_some_and(|index| entry.log_id.index <= index);
        while self.entries.back().is_some_and(|last| !stays(last)) {
            if let Some(last) = self.entries.pop_back() {
                self.bytes -= cost(&last);
            }
        }
        let last = index.unwrap_or(0);
        self.flushed
            .send_modify(|flushed| *flushed = flushed.map(|flushed| flushed.min(last)));
    }

    /// Drops everything up to `index`.
    pub(super) fn purge(&mut self, index: u64) {
        while self
            .entries
            .front()
            .is_some_and(|first| first.log_id.index <= index)
        {
            self.drop_first();
        }
    }

    /// The entries from `start` up to `end` (without `end`) until their octets exceed `bytes_max`,
    /// at least one; `None` when `start` is not in memory.
    pub(super) fn range(&self, start: u64, end: u64, bytes_max: usize) -> Option<Vec<Entry>> {
        let first = self.entries.front()?.log_id.index;
        let skip = usize::try_from(start.checked_sub(first)?).ok()?;
        if skip >= self.entries.len() {
            return None;
        }
        let mut bytes = 0;
        let mut range = Vec::new();
        for entry in self.entries.iter().skip(skip) {
            bytes += cost(entry);
            if entry.log_id.index >= end || (bytes > bytes_max && !range.is_empty()) {
                break;
            }
            range.push(entry.clone());
        }
        Some(range)
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.entries.pop_front() {
            self.bytes -= cost(&first);
        }
    }
}

/// What an entry costs in memory, in octets.
pub(super) fn cost(entry: &Entry) -> usize {
    let command = match &entry.payload {
        Payload::Normal(proposal) => proposal.0.octets(),
        _ => 0,
    };
    ENTRY_OVERHEAD + command
}

#[cfg(test)]
mod tests {
    use openraft::entry::RaftEntry as _;

    use super::*;
    use crate::raft::LogId;

    fn blank(index: u64) -> Entry {
        Entry::new_blank(LogId::new(1.into(), index))
    }

    fn indices(entries: Option<Vec<Entry>>) -> Option<Vec<u64>> {
        entries.map(|entries| entries.iter().map(|entry| entry.log_id.index).collect())
    }

    #[test]
    fn gives_runs_that_it_holds_and_nothing_else() {
        let mut cache = LogCache::new(0);
        (5..10).for_each(|index| cache.push(blank(index)));
        assert_eq!(indices(cache.range(5, 8, usize::MAX)), Some(vec![5, 6, 7]));
        assert_eq!(indices(cache.range(8, 20, usize::MAX)), Some(vec![8, 9]));
        assert_eq!(indices(cache.range(4, 8, usize::MAX)), None);
        assert_eq!(indices(cache.range(10, 12, usize::MAX)), None);
        assert_eq!(indices(cache.range(5, 10, 1)), Some(vec![5]));
    }

    #[test]
    fn truncated_entries_are_replaced_by_what_follows() {
        let mut cache = LogCache::new(0);
        (1..6).for_each(|index| cache.push(blank(index)));
        cache.truncate_after(Some(3));
        cache.push(blank(4));
        assert_eq!(
            indices(cache.range(1, 9, usize::MAX)),
            Some(vec![1, 2, 3, 4])
        );
        cache.truncate_after(None);
        assert_eq!(indices(cache.range(1, 9, usize::MAX)), None);
    }

    #[test]
    fn a_jump_in_the_indices_forgets_what_came_before() {
        let mut cache = LogCache::new(0);
        cache.push(blank(1));
        cache.push(blank(100));
        assert_eq!(indices(cache.range(100, 101, usize::MAX)), Some(vec![100]));
        assert_eq!(indices(cache.range(1, 2, usize::MAX)), None);
    }

    #[test]
    fn only_what_is_on_the_disk_leaves() {
        let mut cache = LogCache::new(0);
        let many = u64::try_from(LOG_CACHE_BYTES_MAX / ENTRY_OVERHEAD).unwrap() + 10;
        (1..=many).for_each(|index| cache.push(blank(index)));
        assert!(cache.range(1, 2, usize::MAX).is_some());
        cache.flushed(5);
        assert!(cache.range(5, 6, usize::MAX).is_none());
        assert!(cache.range(6, 7, usize::MAX).is_some());
    }

    #[test]
    fn what_was_cut_off_and_written_anew_is_flushed_anew() {
        let mut cache = LogCache::new(7);
        let flushed = cache.watch_flushed();
        assert_eq!(*flushed.borrow(), Some(7));
        cache.truncate_after(Some(3));
        assert_eq!(*flushed.borrow(), Some(3));
        cache.flushed(4);
        assert_eq!(*flushed.borrow(), Some(4));
        cache.failed("the disk is full".to_owned());
        cache.flushed(5);
        assert_eq!(*flushed.borrow(), None);
        assert_eq!(cache.failure(), Some("the disk is full"));
    }
}
