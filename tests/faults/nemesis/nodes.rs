//! What happens to processes and their disks.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use harness::{Daemon, FailingSyncs, LoopDisk, failing_syncs::Harm, wait};

use super::{Nemesis, Undo, Unplayed};
use crate::{fault::Kind, shim, world::World};

/// A node whose disk fails ends within this time: its next write is due at once, or at the latest
/// when the next message comes.
const ENDS: Duration = Duration::from_secs(20);

/// What is left free on a full disk: less than the next blob of a message.
const LEFT_FREE: u64 = 4 << 10;

/// How much longer each fsync of a slow disk lasts; more than two heartbeats.
const SLOW_MS: u64 = 350;

/// An octet behind the header of a MANIFEST's first record. A record whose length is damaged is
/// taken by RocksDB for one that was never finished, when it then ends behind the file.
const IN_FIRST_RECORD: usize = 10;

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
const LACKS: &str = "lacks entries that it had acknowledged";

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
                return Ok(Undo::Clear(place));
            }
            Kind::FailingFsync => {
                self.expect_errors(place);
                let syncs = FailingSyncs::harm(self.node(place).pid(), Harm::Fail)?;
                return Ok(Undo::Detach(place, syncs, true));
            }
            Kind::SlowFsync => {
                let syncs = FailingSyncs::harm(self.node(place).pid(), Harm::Delay(SLOW_MS))?;
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
            Kind::DamagedManifest => return self.damage(place, "MANIFEST-", true),
            Kind::DamagedLog => return self.damage(place, ".log", false),
            Kind::DamagedTable => return self.damage_table(place),
            Kind::OldDisk | Kind::WipedDisk => self.replace_disk(kind, place)?,
            Kind::MemberReplaced => return Ok(self.lose_member(place)?),
            Kind::MemberLeaves => return Ok(self.part_with_member(place)),
            Kind::PowerCutInTransfer => return Ok(self.leave_behind(place)),
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

    /// Changes one octet of the largest table, if there is one yet, and starts the node on it. It is
    /// noticed when that place is read: at the start, or at any time later.
    fn damage_table(&mut self, place: usize) -> Result<Undo, Unplayed> {
        let file = to_damage(&self.database(place), ".sst")?;
        self.expect_errors(place);
        self.kill(&[place]);
        let middle = fs::metadata(&file).map_or(0, |file| file.len()) / 2;
        flip(&file, middle).map_err(|error| error.to_string())?;
        self.start(place);
        Ok(Undo::MendTable(place, file, middle))
    }

    /// Changes one octet of a file of a kind, the largest one, and starts the node on it.
    fn damage(&mut self, place: usize, kind: &str, refuses: bool) -> Result<Undo, Unplayed> {
        self.node_mut(place).allow_error(LACKS);
        self.kill(&[place]);
        let file = match to_damage(&self.database(place), kind) {
            Ok(file) => file,
            Err(unplayed) => {
                self.start(place);
                return Err(unplayed);
            }
        };
        let whole = fs::read(&file).map_err(|error| error.to_string())?;
        let mut harmed = whole.clone();
        let at = if refuses {
            IN_FIRST_RECORD
        } else {
            harmed.len() / 2
        };
        if let Some(octet) = harmed.get_mut(at) {
            *octet ^= 0x40;
        }
        fs::write(&file, harmed).map_err(|error| error.to_string())?;
        self.start(place);
        Ok(Undo::Mend(place, file, whole, refuses))
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
            Undo::MendTable(place, file, at) => {
                // In place: the node may have it open. One that is not needed any more is gone.
                if file.exists() {
                    flip(&file, at).expect("the disk can be written");
                }
                let _ended = self.node_mut(place).has_ended();
                self.start_if_ended(place);
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

    fn expect_errors(&mut self, place: usize) {
        let node = self.node_mut(place);
        STORAGE_FAILED
            .iter()
            .for_each(|phrase| node.allow_error(phrase));
    }

    /// Where a node's present database is: a snapshot puts another one in the place of the first.
    fn database(&self, place: usize) -> PathBuf {
        let data_dir = self.node(place).data_dir();
        let named = fs::read_to_string(data_dir.join("DATABASE"));
        let named = named.unwrap_or_else(|_| "db".to_owned());
        data_dir.join(named.trim_end())
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

/// Changes an octet of a file, or changes it back.
fn flip(file: &Path, at: u64) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(file)?;
    let mut octet = [0];
    file.read_exact_at(&mut octet, at)?;
    file.write_all_at(&[octet[0] ^ 0x40], at)
}

/// The file of a kind that is damaged. There is none while a node has no database of its own yet: it has just
/// joined, or is being rebuilt.
fn to_damage(database: &Path, kind: &str) -> Result<PathBuf, Unplayed> {
    largest(database, kind)
        .ok_or_else(|| Unplayed::LeftOut(format!("no {kind} in {}", database.display())))
}

/// The largest file whose name begins or ends with `kind`: a file that was just begun has nothing in
/// it to be damaged.
fn largest(directory: &Path, kind: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(kind) || name.ends_with(kind)
        })
        .max_by_key(|path| fs::metadata(path).map_or(0, |file| file.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_does_not_have_is_left_out_and_not_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("db");
        let left_out = |kind| match to_damage(&database, kind) {
            Err(Unplayed::LeftOut(why)) => why,
            other => panic!("{other:?}"),
        };
        for kind in ["MANIFEST-", ".log", ".sst"] {
            // Neither where there is no directory yet, nor in an empty one.
            assert!(left_out(kind).starts_with(&format!("no {kind} in ")));
            fs::create_dir_all(&database).unwrap();
            assert!(left_out(kind).starts_with(&format!("no {kind} in ")));
        }
        fs::write(database.join("MANIFEST-000005"), "octets").unwrap();
        fs::write(database.join("MANIFEST-000009"), "").unwrap();
        let file = to_damage(&database, "MANIFEST-").unwrap();
        assert_eq!(file, database.join("MANIFEST-000005"));
    }
}
