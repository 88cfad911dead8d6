//! What becomes of the window when an operator has changed the queue behind it.

use std::collections::HashMap;

use spool::Due;

use super::{Entry, Room, Stage, Window};

impl Window {
    /// What has not started and is not in doubt.
    #[must_use]
    pub fn unstarted(&self) -> Vec<u64> {
        let unstarted = self.entries.iter().filter(|(sequence, entry)| {
            let is_unstarted = matches!(entry.stage, Stage::Blocked(_) | Stage::Startable);
            is_unstarted && !self.in_doubt.contains(sequence)
        });
        unstarted.map(|(sequence, _)| *sequence).collect()
    }

    /// The revision of the domain's queue that the window follows.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The revision up to which a message is known to be right as it stands here. What is in flight keeps its
    /// own when the window follows a later one: it may come back.
    #[must_use]
    pub fn revision_of(&self, sequence: u64) -> Option<u64> {
        self.entries.get(&sequence).map(|entry| entry.revision)
    }

    /// Takes out what has not started and is not among these messages as it stands here, at a revision. What
    /// is still to be delivered comes in again as it stands there.
    pub fn keep_unstarted(&mut self, as_it_is: &[Due], revision: u64) {
        self.revision = revision;
        let as_it_is: HashMap<u64, &Due> = as_it_is
            .iter()
            .map(|due| (due.message.sequence, due))
            .collect();
        for sequence in self.unstarted() {
            let now = as_it_is.get(&sequence);
            match self.entries.get_mut(&sequence) {
                Some(entry) if now.is_some_and(|now| now.recipients == entry.due.recipients) => {
                    entry.revision = revision;
                }
                _ => self.take_out(sequence),
            }
        }
    }

    fn take_out(&mut self, sequence: u64) {
        let Some(entry) = self.entries.remove(&sequence) else {
            return;
        };
        self.startable.remove(&entry.turn);
        self.leave_unstarted(&entry);
        self.count_out(&entry);
    }

    /// Takes a message in flight out: it is not to be delivered, or not as it stands here.
    pub fn call_off(&mut self, sequence: u64) {
        if !self.is_in_flight(sequence) {
            return;
        }
        self.leave_lanes(sequence);
        if let Some(entry) = self.entries.remove(&sequence) {
            self.count_out(&entry);
        }
    }

    fn count_out(&mut self, entry: &Entry) {
        self.held = self.held.less(&entry.due);
        let unsettled = self.unsettled(entry.source);
        *unsettled = unsettled.without(Room::default().more(&entry.due));
    }

    /// A walk has read these messages, claimed in this term or not. Returns whether some of them that were put
    /// back were reported since it began, so that what was read is old: they are to be looked for once more.
    ///
    /// A message in flight is read, too, as long as its result is not recorded. It is nothing new: it is still
    /// claimed, for the same recipients.
    pub fn meet(&mut self, read: &[Due], term: u64) -> bool {
        let mut is_old = false;
        for due in read {
            let sequence = due.message.sequence;
            let is_on_its_way = |recipients: &[u32]| {
                due.claimed_by == Some(term) && due.recipients.as_slice() == recipients
            };
            let reported = self.reported_during_walk.as_ref();
            match self.entries.get_mut(&sequence) {
                Some(entry) if matches!(entry.stage, Stage::InFlight | Stage::Settled) => {
                    entry.met_again |= !is_on_its_way(&entry.due.recipients);
                }
                Some(_) => {}
                None => {
                    let recipients = reported.and_then(|reported| reported.get(&sequence));
                    is_old |= recipients.is_some_and(|recipients| !is_on_its_way(recipients));
                }
            }
        }
        is_old
    }
}
