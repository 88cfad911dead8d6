//! Plays a schedule: does harm, and undoes it.
//!
//! `nodes`, `damage`, `members`, `transfer`, `network`, `primary` and `operator` say what each fault is; what it
//! takes to undo it is an [`Undo`].

mod damage;
mod errand;
mod members;
mod network;
mod nodes;
mod operator;
mod primary;
mod transfer;

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf, thread, time::Instant};

use harness::{Daemon, FailingSyncs, wait};

use crate::{
    fault::{Fault, Lane, Whom},
    ledger::Event,
    network::Deafness,
    schedule::Schedule,
    world::{READY, World},
};

use errand::Errand;
use members::Replacement;
use transfer::Transfer;

/// What can not be undone yet is looked at again after this.
const LOOK_AGAIN_MS: u64 = 100;

/// How a fault is undone.
#[derive(Debug)]
enum Undo {
    /// Nodes are started.
    Start(Vec<usize>),
    /// A stopped process goes on.
    Resume(usize),
    /// A disk gets room; its node is started if it has ended.
    Clear(usize),
    /// Writes do as they say again. With `true` the node must have ended by itself.
    Detach(usize, FailingSyncs, bool),
    /// A file gets its old octets back; with `true` the node must have refused to start.
    Mend(usize, PathBuf, Vec<u8>, bool),
    /// A file that is never written again gets its old octets back, if it is still needed, and its node is
    /// started anew.
    PutBack(usize, PathBuf, Vec<u8>),
    /// A clock is put right.
    SetClock(usize),
    /// Everyone hears everyone.
    Connect,
    /// A link is as it was.
    Quicken(usize),
    /// The primary is there, and behaves.
    PrimaryUp,
    /// An operator's command has to come to its end.
    Await(Errand),
    /// A place has to get its new node.
    Replace(Replacement),
    /// A node has to get what it lacks.
    Transfer(Transfer),
}

/// Why a fault was not played.
#[derive(Debug)]
enum Unplayed {
    /// The cluster's state has nothing just then that it could happen to: nobody's mistake.
    LeftOut(String),
    /// Something did not do what was asked of it.
    Failed(String),
}

impl From<String> for Unplayed {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// A fault under way.
#[derive(Debug)]
struct Open {
    lane: Lane,
    end_ms: u64,
    event: usize,
    undo: Undo,
}

/// Who plays a schedule.
#[derive(Debug)]
pub(crate) struct Nemesis<'a> {
    world: &'a mut World,
    deaf: Vec<Deafness>,
    lost: u64,
    /// Places whose link is slow or delayed, each as often as that was done to it.
    shaped: Vec<usize>,
    /// A node that is paused: asking it anything takes long.
    asleep: Option<usize>,
    /// Places whose disk was full.
    filled: BTreeSet<usize>,
    led_last: usize,
    /// What a node did that it must not do, noticed while playing.
    problems: Vec<String>,
}

impl<'a> Nemesis<'a> {
    /// For one world.
    pub(crate) fn new(world: &'a mut World) -> Self {
        Self {
            world,
            deaf: Vec::new(),
            lost: 0,
            shaped: Vec::new(),
            asleep: None,
            filled: BTreeSet::new(),
            led_last: 0,
            problems: Vec::new(),
        }
    }

    /// Plays all of it, leaves everything mended and all nodes ready, and returns what was wrong
    /// with them meanwhile.
    pub(crate) fn play(mut self, schedule: &Schedule) -> Vec<String> {
        let began_ms = self.world.ledger.now_ms();
        let mut open: Vec<Open> = Vec::new();
        for item in &schedule.0 {
            let at_ms = began_ms + item.at_ms;
            self.undo_until(&mut open, at_ms);
            self.wait_for(at_ms);
            // What has to be undone may take longer than was planned; what overlaps it goes on.
            let lane = item.fault.kind.lane();
            while let Some(before) = open.iter().find(|o| o.lane == lane) {
                let end_ms = before.end_ms;
                self.undo_until(&mut open, end_ms);
            }
            if let Some(opened) = self.begin(item.fault, item.lasts_ms) {
                open.push(opened);
            }
        }
        self.undo_until(&mut open, u64::MAX);
        self.await_all_ready();
        self.problems
    }

    fn undo_until(&mut self, open: &mut Vec<Open>, at_ms: u64) {
        while let Some(place) = first_to_end(open).filter(|&place| ends(open, place) <= at_ms) {
            self.wait_for(ends(open, place));
            let fault = open.remove(place);
            open.extend(self.undo(fault));
        }
    }

    /// Nothing is waited for here but the time: this is the schedule's own pace.
    fn wait_for(&self, ms: u64) {
        let due = self.world.ledger.instant(ms);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }

    fn begin(&mut self, fault: Fault, lasts_ms: u64) -> Option<Open> {
        let leader = self.leader();
        let node = self.resolve(fault.whom, leader);
        let whole = self.deaf.is_empty()
            && self.lost == 0
            && self.asleep.is_none()
            && self.world.cluster.nodes.iter().all(Daemon::is_ready);
        let from_ms = self.world.ledger.now_ms();
        let event = Event {
            kind: fault.kind,
            deposes: whole && leader == Some(node) && fault.kind.deposes(),
            from_ms,
            until_ms: u64::MAX,
        };
        let mut words = fault.to_string();
        if fault.kind.hits_one() {
            write!(words, ": node {}", node + 1).expect("strings grow");
        }
        write!(words, ", for {lasts_ms} ms").expect("strings grow");
        let event = self.world.ledger.begin(event, &words);
        let undo = match fault.kind.lane() {
            Lane::Nodes => self.harm_node(fault.kind, node),
            Lane::Network => self.harm_network(fault.kind, node).map_err(Unplayed::from),
            Lane::Primary => self.harm_primary(fault.kind).map_err(Unplayed::from),
            Lane::Operator => Ok(Undo::Await(self.ask(fault.kind, node))),
        };
        match undo {
            Ok(undo) => Some(Open {
                lane: fault.kind.lane(),
                end_ms: from_ms + lasts_ms,
                event,
                undo,
            }),
            Err(unplayed) => {
                match unplayed {
                    Unplayed::LeftOut(why) => {
                        self.world.ledger.remark(&format!("left out: {why}"));
                        println!("skipped: {fault}: {why}");
                    }
                    Unplayed::Failed(why) => self
                        .problems
                        .push(format!("{fault} could not be played: {why}")),
                }
                self.world.ledger.end(event);
                None
            }
        }
    }

    /// Who that is now; while nobody leads, the last who did counts.
    fn resolve(&mut self, whom: Whom, leader: Option<usize>) -> usize {
        self.led_last = leader.unwrap_or(self.led_last);
        let leader = self.led_last;
        match whom {
            Whom::Leader => leader,
            Whom::Follower => (leader + 1) % self.world.cluster.nodes.len(),
        }
    }

    fn leader(&self) -> Option<usize> {
        let nodes = self.world.cluster.nodes.iter().enumerate();
        let mut awake = nodes.filter(|(place, _)| Some(*place) != self.asleep);
        awake
            .find(|(_, node)| node.is_leader())
            .map(|(place, _)| place)
    }

    /// Undoes a fault; returns it when that takes longer.
    fn undo(&mut self, open: Open) -> Option<Open> {
        let Open {
            lane, event, undo, ..
        } = open;
        let rest = match undo {
            Undo::Await(errand) => self.await_end_of(errand).map(Undo::Await),
            Undo::Replace(replacement) => self.replace(replacement).map(Undo::Replace),
            Undo::Transfer(transfer) => self.transfer(transfer).map(Undo::Transfer),
            undo => {
                self.mend(undo);
                None
            }
        };
        let Some(undo) = rest else {
            self.world.ledger.end(event);
            return None;
        };
        Some(Open {
            lane,
            end_ms: self.world.ledger.now_ms() + LOOK_AGAIN_MS,
            event,
            undo,
        })
    }

    fn mend(&mut self, undo: Undo) {
        match undo {
            Undo::Connect | Undo::Quicken(_) => self.mend_network(&undo),
            Undo::PrimaryUp => self.mend_primary(),
            undo => self.mend_node(undo),
        }
    }

    fn await_all_ready(&mut self) {
        for (place, node) in self.world.cluster.nodes.iter_mut().enumerate() {
            if node.ended().is_none() {
                continue;
            }
            // A node to which nobody writes finds out at its next write, when there is room again, that
            // what is in memory was not written to a file.
            let lacked_room = self.filled.contains(&place) && lacked_room(node);
            if !lacked_room {
                self.problems
                    .push(format!("node {} has ended by itself", node.id));
            }
            node.kill();
            node.spawn();
        }
        let nodes = &self.world.cluster.nodes;
        let ready = wait::within(READY, || nodes.iter().all(Daemon::is_ready).then_some(()));
        if ready.is_none() {
            let waiting: Vec<u64> = nodes
                .iter()
                .filter(|n| !n.is_ready())
                .map(|n| n.id)
                .collect();
            self.problems.push(format!(
                "nodes {waiting:?} are not ready {READY:?} after all was mended"
            ));
        }
    }
}

fn first_to_end(open: &[Open]) -> Option<usize> {
    let places = open.iter().enumerate();
    places.min_by_key(|(_, o)| o.end_ms).map(|(place, _)| place)
}

fn ends(open: &[Open], place: usize) -> u64 {
    open.get(place).map_or(u64::MAX, |o| o.end_ms)
}

/// Whether a node that has ended says as its last word that its disk was full.
fn lacked_room(node: &Daemon) -> bool {
    let log = node.log_text();
    let last = log.lines().next_back();
    last.is_some_and(|line| line.contains("No space left"))
}
