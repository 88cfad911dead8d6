//! One node goes for ever and another one comes in its place, which keeps its address.

use std::{fs, time::Duration};

use harness::Ctl;

use super::{Errand, Nemesis, Undo, errand};
use crate::world::World;

/// A quorum that does what it is asked is there again within this time, whatever is done to it.
const REMOVED: Duration = Duration::from_secs(90);

/// A node that hears of it ends so long after it was removed, in milliseconds: longer than any fault
/// of the network.
const ENDED_MS: u64 = 20_000;

/// What a node says at level ERROR that was removed, as it should.
const WAS_REMOVED: &str = "was removed from its cluster";

/// A place on its way to another node.
#[derive(Debug)]
pub(super) struct Replacement {
    place: usize,
    stage: Stage,
}

/// How far that is.
#[derive(Debug)]
enum Stage {
    /// The node is gone, and nobody has told the cluster.
    Gone,
    /// The others are asked to remove it.
    Removing(Errand),
    /// It is removed, and has to end until then if it runs.
    Ending(u64),
}

impl Nemesis<'_> {
    /// A node whose process and disk are gone.
    pub(super) fn lose_member(&mut self, place: usize) -> Result<Undo, String> {
        self.kill(&[place]);
        self.disk(place)?.wipe();
        let stage = Stage::Gone;
        Ok(Undo::Replace(Replacement { place, stage }))
    }

    /// A node that is to go, and is well.
    pub(super) fn part_with_member(&mut self, place: usize) -> Undo {
        self.node_mut(place).allow_error(WAS_REMOVED);
        let stage = Stage::Removing(self.remove(place));
        Undo::Replace(Replacement { place, stage })
    }

    /// Asks all others in turn.
    fn remove(&self, place: usize) -> Errand {
        let id = self.node(place).id.to_string();
        let others = self.others(place);
        Errand::begin(move || errand::until_done(&others, &["cluster", "remove", &id], REMOVED))
    }

    /// The command line of every other node.
    pub(super) fn others(&self, place: usize) -> Vec<Ctl> {
        let nodes = self.world.cluster.nodes.iter().enumerate();
        let others = nodes.filter(|(other, _)| *other != place);
        others.map(|(_, node)| node.ctl()).collect()
    }

    /// Goes on with it; returns it while it takes longer.
    pub(super) fn replace(&mut self, replacement: Replacement) -> Option<Replacement> {
        let Replacement { place, stage } = replacement;
        let stage = match stage {
            Stage::Gone => Stage::Removing(self.remove(place)),
            Stage::Removing(errand) if !errand.is_over() => Stage::Removing(errand),
            Stage::Removing(errand) => match errand.end() {
                Ok(said) => {
                    self.world.ledger.remark(&said);
                    Stage::Ending(self.world.ledger.now_ms() + ENDED_MS)
                }
                Err(problem) => {
                    self.problems.push(problem);
                    self.start(place);
                    return None;
                }
            },
            Stage::Ending(until_ms) if self.has_ended(place, until_ms) => {
                self.settle_new(place);
                return None;
            }
            Stage::Ending(until_ms) => Stage::Ending(until_ms),
        };
        Some(Replacement { place, stage })
    }

    /// Whether a node that was removed does not run any more. One that runs on is a problem, and is
    /// ended.
    fn has_ended(&mut self, place: usize, until_ms: u64) -> bool {
        let late = self.world.ledger.now_ms() > until_ms;
        let node = self.node_mut(place);
        let id = node.id;
        let problem = match node.ended() {
            _ if !node.is_running() => return true,
            Some(status) if status.code() == Some(1) => None,
            Some(status) => Some(format!("node {id}, removed, ended with {status}")),
            None if late => Some(format!("node {id} runs on although it was removed")),
            None => return false,
        };
        node.kill();
        self.problems.extend(problem);
        true
    }

    /// Empties the place and starts a node there that asks to be added.
    fn settle_new(&mut self, place: usize) {
        let data_dir = self.node(place).data_dir();
        if let Ok(disk) = self.disk(place) {
            disk.wipe();
        } else {
            drop(fs::remove_dir_all(&data_dir));
        }
        let World {
            cluster,
            settings,
            ledger,
            ..
        } = &mut *self.world;
        let asked = (place + 1) % cluster.nodes.len();
        let id = cluster.replace(place, asked, settings);
        ledger.remark(&format!("at place {} is node {id} now", place + 1));
        self.start(place);
    }
}
