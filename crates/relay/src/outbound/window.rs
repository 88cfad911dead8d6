//! Which message of a domain may start next. Pure: no clock, no task, no network.
//!
//! ```text
//!   offer ─▶ blocked ─▶ startable ─▶ in flight ─▶ settled ─▶ reported (gone)
//!                           ▲  start     │ put_back
//!                           └────────────┘
//! ```
//!
//! Each recipient has a lane: the messages for him in the order in which they were offered. A
//! message may start when it is the first of all its lanes. As every lane follows the same order,
//! the first message of the window is the first of all its lanes, and nothing can lock up.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};

use smtp::ForwardPath;
use spool::policy::Order;
use spool::{Due, Message};

use crate::outbound::limits::{WINDOW_MESSAGES_MAX, WINDOW_RECIPIENTS_MAX};

/// A recipient, as a hash of his address. Two that fall together would merely wait for each other.
type Lane = u64;

/// How far a message in the window has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Behind others, in this many of its lanes.
    Blocked(usize),
    Startable,
    InFlight,
    /// Its result is known here, and not yet to the spool.
    Settled,
}

#[derive(Debug)]
struct Entry {
    due: Due,
    lanes: Vec<Lane>,
    stage: Stage,
    /// Its place in the order of offering.
    place: u64,
    /// Connections that broke under it.
    breaks: u32,
}

/// A bounded part of one domain's queue, and what of it may start.
#[derive(Debug)]
pub struct Window {
    order: Order,
    hasher: RandomState,
    entries: HashMap<u64, Entry>,
    lanes: HashMap<Lane, VecDeque<u64>>,
    /// Place and sequence of what may start.
    startable: BTreeMap<u64, u64>,
    places: u64,
    recipients: usize,
    unsettled: usize,
    /// Reported while a walk over the deferred messages runs: the walk may have read them before
    /// the report. `None` while no walk runs.
    reported_during_walk: Option<HashSet<u64>>,
}

impl Window {
    /// An empty window.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self {
            order,
            hasher: RandomState::new(),
            entries: HashMap::new(),
            lanes: HashMap::new(),
            startable: BTreeMap::new(),
            places: 0,
            recipients: 0,
            unsettled: 0,
            reported_during_walk: None,
        }
    }

    /// Whether more may be offered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.entries.len() < WINDOW_MESSAGES_MAX && self.recipients < WINDOW_RECIPIENTS_MAX
    }

    /// Whether it is time to read ahead.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.unsettled < WINDOW_MESSAGES_MAX / 2 && self.has_room()
    }

    /// Whether nothing is left, not even an unreported result.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many messages may start now.
    #[must_use]
    pub fn startable(&self) -> usize {
        self.startable.len()
    }

    /// Takes a message in, behind those that are there. Returns whether it was new; a message
    /// that is in the window already, whatever its stage, is not taken twice.
    pub fn offer(&mut self, due: Due) -> bool {
        let sequence = due.message.sequence;
        let just_reported = self
            .reported_during_walk
            .as_ref()
            .is_some_and(|reported| reported.contains(&sequence));
        if just_reported || self.entries.contains_key(&sequence) || due.recipients.is_empty() {
            return false;
        }
        let lanes = self.lanes_of(&due.message, &due.recipients);
        let mut blocked = 0;
        for lane in &lanes {
            let queue = self.lanes.entry(*lane).or_default();
            blocked += usize::from(!queue.is_empty());
            queue.push_back(sequence);
        }
        let place = self.places;
        self.places += 1;
        self.recipients += due.recipients.len();
        self.unsettled += 1;
        let stage = if blocked == 0 {
            Stage::Startable
        } else {
            Stage::Blocked(blocked)
        };
        if stage == Stage::Startable {
            self.startable.insert(place, sequence);
        }
        self.entries.insert(
            sequence,
            Entry {
                due,
                lanes,
                stage,
                place,
                breaks: 0,
            },
        );
        true
    }

    /// The next message to start; it is in flight from now on.
    pub fn start(&mut self) -> Option<Due> {
        let (_, sequence) = self.startable.pop_first()?;
        let entry = self.entries.get_mut(&sequence)?;
        entry.stage = Stage::InFlight;
        Some(entry.due.clone())
    }

    /// Puts a message in flight back where it was: nothing has become of it.
    pub fn put_back(&mut self, sequence: u64) {
        if let Some(entry) = self.entries.get_mut(&sequence)
            && entry.stage == Stage::InFlight
        {
            entry.stage = Stage::Startable;
            self.startable.insert(entry.place, sequence);
        }
    }

    /// Counts a connection that broke under a message in flight. Returns the count.
    pub fn count_break(&mut self, sequence: u64) -> u32 {
        self.entries.get_mut(&sequence).map_or(0, |entry| {
            entry.breaks += 1;
            entry.breaks
        })
    }

    /// Takes the result of a message in flight: those behind it may go.
    ///
    /// They need not wait for the report. The primary has this message, or it has left the order
    /// by being deferred or refused; if a crash loses the report, it is only repeated. The entry
    /// itself stays until the spool knows, so that it is not offered again meanwhile.
    pub fn settle(&mut self, sequence: u64) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        if entry.stage != Stage::InFlight {
            return;
        }
        entry.stage = Stage::Settled;
        self.unsettled -= 1;
        for lane in core::mem::take(&mut entry.lanes) {
            self.leave(lane);
        }
    }

    /// Forgets a settled message: the spool has its result.
    pub fn reported(&mut self, sequence: u64) {
        if self
            .entries
            .get(&sequence)
            .is_some_and(|entry| entry.stage == Stage::Settled)
            && let Some(entry) = self.entries.remove(&sequence)
        {
            self.recipients -= entry.due.recipients.len();
            if let Some(reported) = &mut self.reported_during_walk {
                reported.insert(sequence);
            }
        }
    }

    /// A walk over the deferred messages begins. Until it ends, a message that is reported is not
    /// taken in again: what the walk offers may be older than the report.
    pub fn begin_walk(&mut self) {
        self.reported_during_walk = Some(HashSet::new());
    }

    /// The walk has ended, and all that it read was offered.
    pub fn end_walk(&mut self) {
        self.reported_during_walk = None;
    }

    /// The head of a lane goes; the next one has one obstacle less.
    fn leave(&mut self, lane: Lane) {
        let Some(queue) = self.lanes.get_mut(&lane) else {
            return;
        };
        queue.pop_front();
        let Some(next) = queue.front() else {
            self.lanes.remove(&lane);
            return;
        };
        if let Some(entry) = self.entries.get_mut(next)
            && let Stage::Blocked(blocked) = entry.stage
        {
            entry.stage = if blocked > 1 {
                Stage::Blocked(blocked - 1)
            } else {
                Stage::Startable
            };
            if entry.stage == Stage::Startable {
                self.startable.insert(entry.place, *next);
            }
        }
    }

    fn lanes_of(&self, message: &Message, recipients: &[u32]) -> Vec<Lane> {
        match self.order {
            Order::None => Vec::new(),
            Order::Strict => vec![0],
            Order::Recipient => {
                let mut lanes: Vec<Lane> = recipients
                    .iter()
                    .filter_map(|index| message.recipients.get(*index as usize))
                    .map(|recipient| self.lane(&recipient.path))
                    .collect();
                lanes.sort_unstable();
                lanes.dedup();
                lanes
            }
        }
    }

    /// The lane of an address. Case is ignored on both sides of the `@`: most servers do, and for
    /// the others it only makes two mailboxes wait for each other.
    fn lane(&self, path: &ForwardPath) -> Lane {
        let mut hasher = self.hasher.build_hasher();
        if let ForwardPath::Mailbox(mailbox) = path {
            for octet in mailbox
                .local_part
                .bytes()
                .chain([b'@'])
                .chain(mailbox.domain.bytes())
            {
                octet.to_ascii_lowercase().hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
