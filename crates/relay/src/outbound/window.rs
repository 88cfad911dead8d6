//! Which message of a domain may start next. Pure: no clock, no task, no network.
//!
//! ```text
//!   offer ─▶ blocked ◀─▶ startable ─▶ in flight ─▶ settled ─▶ reported (gone)
//!               ▲                         │
//!               └──────── put_back ───────┘
//! ```
//!
//! Each recipient has a lane: the messages for him in order of arrival, whatever the order in
//! which they were offered, behind the one in flight. A message may start when it is the first of
//! all its lanes. As every lane follows the same order, the earliest message that has not started
//! waits for none but those in flight, and nothing can lock up.
//!
//! A message in doubt, which an earlier leader may be delivering, stands in its lanes like the
//! others and does not start until it is known what has become of it. So does what is behind it.

mod doubt;
mod lane;
mod recheck;
mod room;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};

use smtp::ForwardPath;
use spool::policy::Order;
use spool::recipients::in_dns_form;
use spool::{Due, Message};

use lane::Lane;

pub use room::Room;

/// A recipient, as a hash of his address. Two that fall together would merely wait for each other.
type Address = u64;

/// Where a message was read. Each may fill half of the window: a long row of deferred messages
/// does not keep new mail out, nor a long queue the deferred ones that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Among the messages that wait.
    Waiting,
    /// Among the deferred ones.
    Deferred,
}

/// How far a message in the window has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Behind others, in this many of its lanes; being in doubt counts as one more.
    Blocked(usize),
    Startable,
    InFlight,
    /// Its result is known here, and not yet to the spool.
    Settled,
}

#[derive(Debug)]
struct Entry {
    due: Due,
    source: Source,
    lanes: Vec<Address>,
    stage: Stage,
    /// Its turn among those that may start.
    turn: u64,
    /// The revision of the domain's queue up to which it is known to be right as it stands here.
    revision: u64,
    /// Whether it was read again since it started: when its result is known to the spool, it is to be
    /// looked for once more.
    met_again: bool,
    /// Connections that broke under it.
    breaks: u32,
    /// Times that the primary turned away when it was offered.
    closings: u32,
}

/// A bounded part of one domain's queue, and what of it may start.
#[derive(Debug)]
pub struct Window {
    order: Order,
    hasher: RandomState,
    entries: HashMap<u64, Entry>,
    lanes: HashMap<Address, Lane>,
    /// Turn and sequence of what may start. Between recipients it is first come, first served, so
    /// that none waits for another's long row.
    startable: BTreeMap<u64, u64>,
    turns: u64,
    /// The revision of the domain's queue that what is read now belongs to, or a later one.
    revision: u64,
    /// What is in doubt, and how much that is. It takes no room from the others: there may be as
    /// much of it as an earlier leader had in its window.
    in_doubt: BTreeSet<u64>,
    doubtful: Room,
    /// All else that is held.
    held: Room,
    /// What of it is not settled, by source.
    waiting: Room,
    deferred: Room,
    /// Reported while a walk over the queue runs, with their recipients: the walk may have read them before
    /// the report. `None` while no walk runs.
    reported_during_walk: Option<HashMap<u64, Vec<u32>>>,
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
            turns: 0,
            revision: 0,
            in_doubt: BTreeSet::new(),
            doubtful: Room::default(),
            held: Room::default(),
            waiting: Room::default(),
            deferred: Room::default(),
            reported_during_walk: None,
        }
    }

    /// What may still be offered from a source.
    #[must_use]
    pub fn room(&self, source: Source) -> Room {
        let all_left =
            Room::ALL.without(self.held).is_left() && Room::ALL.without(self.doubtful).is_left();
        if !all_left {
            return Room::default();
        }
        Room::HALF.without(match source {
            Source::Waiting => self.waiting,
            Source::Deferred => self.deferred,
        })
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

    /// Whether a message would be taken in: it is not in the window already, whatever its stage,
    /// and was not reported since the walk that read it began.
    #[must_use]
    pub fn is_new(&self, sequence: u64) -> bool {
        let reported = self.reported_during_walk.as_ref();
        !self.entries.contains_key(&sequence)
            && !reported.is_some_and(|reported| reported.contains_key(&sequence))
    }

    /// Takes a message in, before all later ones for its recipients that have not started.
    /// Returns whether it was new.
    pub fn offer(&mut self, due: Due, source: Source) -> bool {
        if !self.is_new(due.message.sequence) || due.recipients.is_empty() {
            return false;
        }
        self.count_in(&due, source);
        self.insert(due, source);
        true
    }

    fn count_in(&mut self, due: &Due, source: Source) {
        self.held = self.held.more(due);
        let unsettled = self.unsettled(source);
        *unsettled = unsettled.more(due);
    }

    fn insert(&mut self, due: Due, source: Source) {
        let sequence = due.message.sequence;
        let entry = Entry {
            lanes: self.lanes_of(&due.message, &due.recipients),
            due,
            source,
            stage: Stage::Blocked(0),
            turn: 0,
            revision: self.revision,
            met_again: false,
            breaks: 0,
            closings: 0,
        };
        self.entries.insert(sequence, entry);
        self.enter_lanes(sequence);
    }

    /// The next message to start; it is in flight from now on.
    pub fn start(&mut self) -> Option<Due> {
        let (_, sequence) = self.startable.pop_first()?;
        let entry = self.entries.get_mut(&sequence)?;
        entry.stage = Stage::InFlight;
        for address in &entry.lanes {
            if let Some(lane) = self.lanes.get_mut(address) {
                lane.start(sequence);
            }
        }
        Some(entry.due.clone())
    }

    /// Puts a message in flight back: nothing has become of it. For its recipients it is again
    /// where it was; those for others have their turn first, as it may be what the primary
    /// stumbles over. Returns whether it was in flight.
    pub fn put_back(&mut self, sequence: u64) -> bool {
        let in_flight = self.is_in_flight(sequence);
        if in_flight {
            self.leave_lanes(sequence);
            self.enter_lanes(sequence);
        }
        in_flight
    }

    fn is_in_flight(&self, sequence: u64) -> bool {
        self.entries
            .get(&sequence)
            .is_some_and(|entry| entry.stage == Stage::InFlight)
    }

    const fn unsettled(&mut self, source: Source) -> &mut Room {
        match source {
            Source::Waiting => &mut self.waiting,
            Source::Deferred => &mut self.deferred,
        }
    }

    /// Counts a connection that broke under a message in flight. Returns the count.
    pub fn count_break(&mut self, sequence: u64) -> u32 {
        self.entries.get_mut(&sequence).map_or(0, |entry| {
            entry.breaks += 1;
            entry.breaks
        })
    }

    /// Counts a primary that turned away from a message in flight. Returns the count.
    pub fn count_closing(&mut self, sequence: u64) -> u32 {
        self.entries.get_mut(&sequence).map_or(0, |entry| {
            entry.closings += 1;
            entry.closings
        })
    }

    /// Takes the result of a message in flight: those behind it may go.
    ///
    /// They need not wait for the report. The primary has this message, or it has left the order
    /// by being deferred or refused; if a crash loses the report, it is only repeated. The entry
    /// itself stays until the spool knows, so that it is not offered again meanwhile.
    pub fn settle(&mut self, sequence: u64) {
        if !self.is_in_flight(sequence) {
            return;
        }
        self.leave_lanes(sequence);
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        entry.stage = Stage::Settled;
        entry.lanes = Vec::new();
        let (source, settled) = (entry.source, Room::default().more(&entry.due));
        let unsettled = self.unsettled(source);
        *unsettled = unsettled.without(settled);
    }

    /// Forgets a settled message: the spool has its result. Returns whether it was met again meanwhile, and
    /// so is to be looked for.
    pub fn reported(&mut self, sequence: u64) -> bool {
        if self
            .entries
            .get(&sequence)
            .is_some_and(|entry| entry.stage == Stage::Settled)
            && let Some(entry) = self.entries.remove(&sequence)
        {
            self.held = self.held.less(&entry.due);
            if let Some(reported) = &mut self.reported_during_walk {
                reported.insert(sequence, entry.due.recipients);
            }
            return entry.met_again;
        }
        false
    }

    /// A walk over the queue begins. Until it ends, a message that is reported is not
    /// taken in again: what the walk offers may be older than the report.
    pub fn begin_walk(&mut self) {
        self.reported_during_walk = Some(HashMap::new());
    }

    /// The walk has ended, and all that it read was offered.
    pub fn end_walk(&mut self) {
        self.reported_during_walk = None;
    }

    /// Lets a message wait in its lanes. It goes to the end of those that may start, if it may.
    fn enter_lanes(&mut self, sequence: u64) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        entry.turn = self.turns;
        self.turns += 1;
        let addresses = core::mem::take(&mut entry.lanes);
        let mut blocked = 0;
        for address in &addresses {
            let lane = self.lanes.entry(*address).or_default();
            let before = lane.head();
            lane.wait(sequence);
            if lane.head() != Some(sequence) {
                blocked += 1;
            } else if let Some(displaced) = before {
                self.move_by(displaced, 1);
            }
        }
        if let Some(entry) = self.entries.get_mut(&sequence) {
            entry.lanes = addresses;
            entry.stage = Stage::Blocked(0);
        }
        self.move_by(sequence, blocked);
    }

    /// A message in flight goes; each next one has one obstacle less.
    fn leave_lanes(&mut self, sequence: u64) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        let addresses = core::mem::take(&mut entry.lanes);
        for address in &addresses {
            let Some(lane) = self.lanes.get_mut(address) else {
                continue;
            };
            lane.end();
            match lane.head() {
                Some(next) => self.move_by(next, -1),
                None => drop(self.lanes.remove(address)),
            }
        }
        if let Some(entry) = self.entries.get_mut(&sequence) {
            entry.lanes = addresses;
        }
    }

    /// A message that has not started has so many obstacles more.
    fn move_by(&mut self, sequence: u64, obstacles: isize) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        let before = match entry.stage {
            Stage::Blocked(blocked) => blocked,
            Stage::Startable => 0,
            Stage::InFlight | Stage::Settled => return,
        };
        let blocked = before.saturating_add_signed(obstacles);
        if blocked > 0 {
            entry.stage = Stage::Blocked(blocked);
            self.startable.remove(&entry.turn);
        } else {
            entry.stage = Stage::Startable;
            self.startable.insert(entry.turn, sequence);
        }
    }

    fn lanes_of(&self, message: &Message, recipients: &[u32]) -> Vec<Address> {
        match self.order {
            Order::None => Vec::new(),
            Order::Strict => vec![0],
            Order::Recipient => {
                let mut lanes: Vec<Address> = recipients
                    .iter()
                    .filter_map(|index| message.recipients.get(*index as usize))
                    .map(|recipient| self.address(&recipient.path))
                    .collect();
                lanes.sort_unstable();
                lanes.dedup();
                lanes
            }
        }
    }

    /// The lane of an address. Case is ignored on both sides of the `@`: most servers do, and for
    /// the others it only makes two mailboxes wait for each other. Both forms of a domain are one.
    fn address(&self, path: &ForwardPath) -> Address {
        let mut hasher = self.hasher.build_hasher();
        if let ForwardPath::Mailbox(mailbox) = &*in_dns_form(path) {
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
pub(super) mod tests;
