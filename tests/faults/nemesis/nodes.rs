//! What happens to processes and their disks.

use std::{fs, time::Duration};

use harness::{Daemon, FailingSyncs, LoopDisk, failing_syncs::Harm as Syncs, shim, wait};

use super::{Nemesis, Undo, Unplayed, transfer::Harm};
use crate::{fault::Kind, ledger::Event, world::World};

/// A node whose disk fails ends within this time: its next write is due at once, or at the latest
/// when the next message comes.
const ENDS: Duration = Duration::from_secs(20);

/// What is left free on a full disk: less than the next blob of a message.
const LEFT_FREE: u64 = 4 << 10;

/// How much longer each fsync of a slow disk lasts; more than two heartbeats.
const SLOW_MS: u64 = 350;

/// The file in a data directory that says that the node lacks something it had acknowledged.
const REBUILDING: &str = "REBUILDING";

/// How far a clock jumps: longer than any time-out, and than ids are remembered.
const JUMP_S: i64 = 2 * 3600;

/// What nodes say at level ERROR when their disk fails, as they should.
const STORAGE_FAILED: [&str; 8] = [
    "Corruption",
    "No space left",
    "Input/output error",
    "writing the log failed",
    "storage or consensus failed",
    "storage has failed",
    // openraft's own parts, which find that its core has ended.
    "RaftCore",
    "channel closed",
];

/// What a node says whose disk has less than it had acknowledged, as it should.
pub(super) const LACKS: &str = "lacks entries that it had acknowledged";

/// What a node logs whose tables are older than its files of bodies.
pub(super) const LACKS_BODIES: &str = "a file of bodies is missing or cut off";

/// What a leader logs of a message that it can not read, while it hears nobody who can.
pub(super) const NOT_FORWARDED: &str = "a stored message is damaged and was not forwarded";

impl Nemesis<'_> {
    pub(super) fn harm_node(&mut self, kind: Kind, place: usize) -> Result<Undo, Unplayed> {
        let everyone: Vec<usize> = (0..self.world.cluster.nodes.len()).collect();
        if kind.takes_acknowledged() && !self.all_have_everything() {
            let why = "not every node has everything";
            return Err(Unplayed::LeftOut(why.to_owned()));
        }
        if kind.takes_acknowledged() {
            // So that a node which finds its disk empty knows whom to ask.
            let World {
                cluster, settings, ..
            } = &mut *self.world;
            cluster.note_members(settings);
        }
        match kind {
            Kind::Kill => self.kill(&[place]),
            Kind::KillAll => return Ok(self.kill_all(everyone)),
            Kind::PowerCut => self.cut_power(&[place]),
            Kind::PowerCutAll => {
                self.cut_power(&everyone);
                return Ok(Undo::Start(everyone));
            }
            Kind::Stop => self.stop(place),
            Kind::Pause => {
                self.node(place).pause();
                self.asleep = Some(place);
                return Ok(Undo::Resume(place));
            }
            Kind::FullDisk => {
                self.expect_errors(place);
                self.disk(place)?.fill(LEFT_FREE);
                self.filled.insert(place);
                return Ok(Undo::Clear(place));
            }
            Kind::FailingFsync => {
                self.expect_errors(place);
                let syncs = FailingSyncs::harm(self.node(place).pid(), Syncs::Fail)?;
                return Ok(Undo::Detach(place, syncs, true));
            }
            Kind::SlowFsync => {
                let syncs = FailingSyncs::harm(self.node(place).pid(), Syncs::Delay(SLOW_MS))?;
                return Ok(Undo::Detach(place, syncs, false));
            }
            Kind::Clock => {
                let ahead = if place.is_multiple_of(2) {
                    JUMP_S
                } else {
                    -JUMP_S
                };
                shim::set_clock(self.node(place), ahead);
                return Ok(Undo::SetClock(place));
            }
            Kind::DamagedManifest
            | Kind::CutManifest
            | Kind::DamagedLog
            | Kind::CutLog
            | Kind::DamagedTable
            | Kind::CutTable
            | Kind::DamagedSegment
            | Kind::CutSegment => return self.damage(kind, place),
            Kind::OldDisk | Kind::WipedDisk => self.replace_disk(kind, place)?,
            Kind::MemberReplaced => return Ok(self.lose_member(place)?),
            Kind::MemberLeaves => return Ok(self.part_with_member(place)),
            Kind::PowerCutInTransfer => return Ok(self.leave_behind(place, Harm::PowerCut)),
            Kind::DamagedSnapshot => return Ok(self.leave_behind(place, Harm::Damage)),
            other => return Err(format!("{} happens to no node", other.name()).into()),
        }
        Ok(Undo::Start(vec![place]))
    }

    fn all_have_everything(&self) -> bool {
        let nodes = &self.world.cluster.nodes;
        let has_everything =
            |node: &Daemon| node.is_ready() && !node.data_dir().join(REBUILDING).exists();
        nodes.iter().all(has_everything)
    }

    fn kill_all(&mut self, everyone: Vec<usize>) -> Undo {
        // None is to notice that the others are gone.
        everyone.iter().for_each(|&place| self.node(place).pause());
        self.kill(&everyone);
        Undo::Start(everyone)
    }

    pub(super) fn kill(&mut self, places: &[usize]) {
        for &place in places {
            self.node_mut(place).kill();
        }
    }

    fn stop(&mut self, place: usize) {
        let node = self.node_mut(place);
        let (id, status) = (node.id, node.terminate());
        if !status.success() {
            self.problems
                .push(format!("node {id}, told to stop, ended with {status}"));
        }
    }

    /// Stopped first, so that no answer leaves that rests on what the cut takes away.
    pub(super) fn cut_power(&mut self, places: &[usize]) {
        places.iter().for_each(|&place| self.node(place).pause());
        let disks = &self.world.disks;
        let cut: Vec<&LoopDisk> = places
            .iter()
            .filter_map(|&place| disks.get(place))
            .collect();
        LoopDisk::cut_power(&cut);
        self.kill(places);
        places
            .iter()
            .filter_map(|&place| self.world.disks.get(place))
            .for_each(LoopDisk::power_on);
    }

    fn replace_disk(&mut self, kind: Kind, place: usize) -> Result<(), String> {
        self.node_mut(place).allow_error(LACKS);
        self.node_mut(place).allow_error(LACKS_BODIES);
        self.kill(&[place]);
        if kind == Kind::WipedDisk {
            self.disk(place)?.wipe();
            return Ok(());
        }
        let copy = self.disk(place)?.copy();
        self.start(place);
        let node = self.node(place);
        let applied = |node: &Daemon| node.metric("layover_raft_last_applied_index", &[]);
        let before = wait::within(ENDS, || applied(node)).unwrap_or(0.0);
        // It acknowledges some more, and these it will have forgotten.
        wait::within(ENDS, || applied(node).filter(|&now| now > before + 20.0));
        self.kill(&[place]);
        self.disk(place)?.put_back(&copy);
        Ok(())
    }

    pub(super) fn mend_node(&mut self, undo: Undo) {
        match undo {
            Undo::Start(places) => places.into_iter().for_each(|place| self.start(place)),
            Undo::Resume(place) => {
                self.node(place).resume();
                self.asleep = None;
            }
            Undo::SetClock(place) => shim::set_clock(self.node(place), 0),
            Undo::Clear(place) => {
                if let Some(disk) = self.world.disks.get(place) {
                    disk.clear();
                }
                // It may be on its way out.
                let _ended = self.node_mut(place).has_ended();
                self.start_if_ended(place);
            }
            Undo::Detach(place, syncs, must_end) => {
                if must_end {
                    // A node that hears nobody has nothing to write.
                    self.mend_network(&Undo::Connect);
                    self.await_end(place, "although no fsync succeeded");
                }
                drop(syncs);
                self.start_if_ended(place);
            }
            Undo::PutBack(place, file, whole) => {
                // Where nobody writes, a node that has met the damage ends at its next write only. To end one that
                // serves is a fault of its own.
                let killed = Event {
                    kind: Kind::Kill,
                    deposes: false,
                    from_ms: self.world.ledger.now_ms(),
                    until_ms: u64::MAX,
                };
                let words = format!("kill, to put a file right: node {}", place + 1);
                let killed = self.world.ledger.begin(killed, &words);
                self.kill(&[place]);
                // One that is not needed any more is gone.
                if file.exists() {
                    fs::write(&file, whole).expect("the disk can be written");
                }
                self.start(place);
                self.world.ledger.end(killed);
            }
            Undo::Mend(place, file, whole, refuses) => {
                if refuses {
                    self.await_end(place, "on a damaged database");
                }
                // One that runs is rebuilt; one that refused has written nothing since.
                if self.node_mut(place).ended().is_some() {
                    self.node_mut(place).kill();
                    fs::write(file, whole).expect("the disk can be written");
                }
                self.start_if_ended(place);
            }
            _ => {}
        }
    }

    /// Waits until a node has ended by itself; that it runs on is a problem.
    fn await_end(&mut self, place: usize, although: &str) {
        let node = self.node_mut(place);
        let id = node.id;
        match wait::within(ENDS, || node.ended()) {
            Some(status) if status.code() == Some(1) => {}
            Some(status) => self
                .problems
                .push(format!("node {id} ended with {status}, {although}")),
            None => self.problems.push(format!("node {id} runs on, {although}")),
        }
    }

    pub(super) fn start_if_ended(&mut self, place: usize) {
        let node = self.node_mut(place);
        if node.is_running() && node.ended().is_some() {
            node.kill();
        }
        self.start(place);
    }

    pub(super) fn start(&mut self, place: usize) {
        let node = self.node_mut(place);
        if !node.is_running() {
            node.spawn();
        }
    }

    pub(super) fn expect_errors(&mut self, place: usize) {
        let node = self.node_mut(place);
        STORAGE_FAILED
            .iter()
            .for_each(|phrase| node.allow_error(phrase));
    }

    pub(super) fn node(&self, place: usize) -> &Daemon {
        self.world
            .cluster
            .nodes
            .get(place)
            .expect("a node of this cluster")
    }

    pub(super) fn node_mut(&mut self, place: usize) -> &mut Daemon {
        self.world
            .cluster
            .nodes
            .get_mut(place)
            .expect("a node of this cluster")
    }

    pub(super) fn disk(&self, place: usize) -> Result<&LoopDisk, String> {
        self.world
            .disks
            .get(place)
            .ok_or_else(|| "no disk of its own".to_owned())
    }
}
