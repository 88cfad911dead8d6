//! One recipient's messages in the window.

use std::collections::BTreeSet;

/// Who stands before whom: the message in flight, and behind it the others in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Lane {
    in_flight: Option<u64>,
    waiting: BTreeSet<u64>,
}

impl Lane {
    /// Whose turn it is, or has been since it started.
    pub(super) fn head(&self) -> Option<u64> {
        self.in_flight.or_else(|| self.waiting.first().copied())
    }

    /// A message takes its place among those that have not started.
    pub(super) fn wait(&mut self, sequence: u64) {
        self.waiting.insert(sequence);
    }

    /// The head starts.
    pub(super) fn start(&mut self, sequence: u64) {
        self.waiting.remove(&sequence);
        self.in_flight = Some(sequence);
    }

    /// A message that has not started goes.
    pub(super) fn leave(&mut self, sequence: u64) {
        self.waiting.remove(&sequence);
    }

    /// All that have not started go.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The message in flight leaves.
    pub(super) const fn end(&mut self) {
        self.in_flight = None;
    }
}
