//! What clients did and what was done to the cluster, written down before it happens and forced to
//! the disk before anything is sent.
//!
//! One line an entry, milliseconds from the beginning of the run in front:
//!
//! ```text
//!   812 intend 100017 to u0r2@example.com, 1000 octets, Dots
//!   812 try 100017 at node 2
//!   815 taken 100017 at node 2 as 01JD...
//!   815 refused 100018 at node 2: 451 4.3.0 ...
//!   815 unknown 100018 at node 2           the connection broke: it may have been taken
//!   815 unreachable 100018 at node 2       no session: it can not have been taken
//!   900 fault kill of the leader: node 2, for 1200 ms
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::Write as _,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use harness::{
    Letter,
    courier::{Fate, Try},
    letter::Text,
};

use crate::fault::{Kind, Lane};

/// A message that a client means to send; its octets follow from this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) serial: usize,
    pub(crate) to: String,
    pub(crate) size: usize,
    pub(crate) text: Text,
    /// With a bare line feed in it: must be refused (RFC 5321 section 2.3.8).
    pub(crate) malformed: bool,
}

impl Plan {
    /// The message.
    pub(crate) fn letter(&self) -> Letter {
        let mut letter = Letter::of(self.serial, &[&self.to], self.size, self.text);
        if self.malformed {
            letter.body.extend_from_slice(b"bare\nfeed\r\n");
        }
        letter
    }
}

/// What became of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 250, with the id it is queued under.
    Taken(String),
    /// Another reply.
    Refused(u16),
    /// Nothing was heard.
    Unknown,
    /// Nothing was sent.
    Unreachable,
}

/// A message with all tries to send it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) plan: Plan,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Entry {
    /// Whether some node said 250.
    pub(crate) fn is_taken(&self) -> bool {
        let taken = |outcome: &Outcome| matches!(outcome, Outcome::Taken(_));
        self.outcomes.iter().any(taken)
    }

    /// Whether it was only ever refused for good: no copy of it may exist.
    pub(crate) fn is_refused(&self) -> bool {
        !self.outcomes.is_empty()
            && self
                .outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Refused(500..) | Outcome::Unreachable))
    }

    /// How many copies the tries may have left, beside what deliveries repeat.
    pub(crate) fn copies_max(&self) -> usize {
        let may_leave_one = |outcome: &&Outcome| {
            matches!(
                outcome,
                Outcome::Taken(_) | Outcome::Unknown | Outcome::Refused(..500)
            )
        };
        self.outcomes.iter().filter(may_leave_one).count()
    }
}

/// A fault that was played.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    /// Whether that node led, and all others were well.
    pub(crate) deposes: bool,
    pub(crate) from_ms: u64,
    /// When it was undone.
    pub(crate) until_ms: u64,
}

impl Event {
    /// Whether it happened to the nodes or to what they hear of each other.
    pub(crate) fn hits_cluster(&self) -> bool {
        self.kind.lane() != Lane::Primary && self.kind.may_repeat()
    }
}

#[derive(Debug)]
struct Pages {
    file: File,
    entries: BTreeMap<usize, Entry>,
    /// Messages of rounds that are over.
    past: BTreeSet<usize>,
    /// When each 250 was read.
    acknowledged_ms: Vec<u64>,
    events: Vec<Event>,
}

/// The ledger of one run; clients and nemesis write it side by side.
#[derive(Debug)]
pub(crate) struct Ledger {
    began: Instant,
    pages: Mutex<Pages>,
}

impl Ledger {
    /// Begins one in a file.
    pub(crate) fn open(file: &Path) -> Self {
        let file = File::create(file)
            .unwrap_or_else(|error| panic!("the ledger {}: {error}", file.display()));
        let pages = Pages {
            file,
            entries: BTreeMap::new(),
            past: BTreeSet::new(),
            acknowledged_ms: Vec::new(),
            events: Vec::new(),
        };
        Self {
            began: Instant::now(),
            pages: Mutex::new(pages),
        }
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now_ms(&self) -> u64 {
        self.ms_of(Instant::now())
    }

    /// The same at an instant.
    pub(crate) fn ms_of(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.began).as_millis()).expect("a run ends some day")
    }

    /// The instant `ms` after the beginning.
    pub(crate) fn instant(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    /// Notes that a message is going to be sent.
    pub(crate) fn intend(&self, plan: &Plan) {
        let entry = Entry {
            plan: plan.clone(),
            outcomes: Vec::new(),
        };
        let mut pages = self.pages();
        let Plan {
            serial,
            to,
            size,
            text,
            ..
        } = plan;
        let line = format!("intend {serial} to {to}, {size} octets, {text:?}");
        pages.write(self.now_ms(), &line);
        pages.entries.insert(*serial, entry);
    }

    /// Notes a try, and forces what was noted to the disk.
    pub(crate) fn note(&self, serial: usize, tried: Try<'_>) {
        let node = tried.host + 1;
        let mut pages = self.pages();
        let now_ms = self.now_ms();
        let (line, outcome) = match tried.fate {
            Fate::Begun => (format!("try {serial} at node {node}"), None),
            Fate::Answered(reply) if reply.code == 250 => {
                let id = reply.queued_as().unwrap_or_default();
                pages.acknowledged_ms.push(now_ms);
                let line = format!("taken {serial} at node {node} as {id}");
                (line, Some(Outcome::Taken(id.to_owned())))
            }
            Fate::Answered(reply) => (
                format!("refused {serial} at node {node}: {reply}"),
                Some(Outcome::Refused(reply.code)),
            ),
            Fate::Unreachable => (
                format!("unreachable {serial} at node {node}"),
                Some(Outcome::Unreachable),
            ),
            Fate::Unknown => (
                format!("unknown {serial} at node {node}"),
                Some(Outcome::Unknown),
            ),
        };
        pages.write(now_ms, &line);
        if let (Some(outcome), Some(entry)) = (outcome, pages.entries.get_mut(&serial)) {
            entry.outcomes.push(outcome);
        }
        pages.file.sync_data().expect("the ledger can be synced");
    }

    /// Notes the beginning of a fault; returns its number.
    pub(crate) fn begin(&self, event: Event, words: &dyn fmt::Display) -> usize {
        let mut pages = self.pages();
        pages.write(event.from_ms, &format!("fault {words}"));
        pages.events.push(event);
        pages.events.len() - 1
    }

    /// Notes something that explains what follows.
    pub(crate) fn remark(&self, words: &str) {
        let now_ms = self.now_ms();
        self.pages().write(now_ms, words);
    }

    /// Notes that a fault was undone.
    pub(crate) fn end(&self, number: usize) {
        let mut pages = self.pages();
        let now_ms = self.now_ms();
        let Some(event) = pages.events.get_mut(number) else {
            return;
        };
        event.until_ms = now_ms;
        let line = format!("undone {}", event.kind.name());
        pages.write(now_ms, &line);
    }

    /// A round is judged and over: its messages have all left.
    pub(crate) fn close_round(&self) {
        let mut pages = self.pages();
        let serials: Vec<usize> = pages.entries.keys().copied().collect();
        pages.past.extend(serials);
        pages.entries.clear();
        pages.acknowledged_ms.clear();
        pages.events.clear();
    }

    /// The messages of rounds that are over.
    pub(crate) fn past(&self) -> BTreeSet<usize> {
        self.pages().past.clone()
    }

    /// All messages that were meant to be sent.
    pub(crate) fn entries(&self) -> BTreeMap<usize, Entry> {
        self.pages().entries.clone()
    }

    /// All faults.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.pages().events.clone()
    }

    /// When each 250 was read, in order.
    pub(crate) fn acknowledged_ms(&self) -> Vec<u64> {
        self.pages().acknowledged_ms.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn write(&mut self, ms: u64, line: &str) {
        writeln!(self.file, "{ms:>8} {line}").expect("the ledger can be written");
    }
}
