//! Room on the disks: on this node's own, and whether enough of the members have some to take mail.
//!
//! A message is acknowledged once a majority has it, so one disk that fills up stops nobody. Each
//! follower tells its leader with every answer to an append how it stands, the leader counts, and
//! tells everyone with every append whether mail may be taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use openraft::{ServerState, async_runtime::watch::WatchReceiver as _};
use tokio_util::sync::CancellationToken;

use crate::{
    config::FreeSpace,
    disk::Disk,
    limits,
    raft::{RaftMetrics, RaftMetricsWatch},
};

/// How the disk of a node's data directory stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Octets that are free.
    pub free_bytes: u64,
    /// Whether less is free than must stay free there.
    pub is_short: bool,
    /// Octets that must become free there so that bodies of delivered messages may be kept.
    pub lacking_bytes: u64,
}

/// What is known of the disks, looked at every now and then.
#[derive(Debug)]
pub(crate) struct Space {
    data_dir: PathBuf,
    must_stay_free: FreeSpace,
    free: AtomicU64,
    size: AtomicU64,
    /// What followers have told this node, as far as it has led, and when.
    followers: Mutex<BTreeMap<u64, (Instant, Room)>>,
    /// Whether too few members have room for mail, as this node has counted when it leads, or as
    /// its leader has told it.
    is_full: AtomicBool,
}

impl Space {
    /// Looks at the disk of a data directory. Until a leader has counted, its state is taken for
    /// everyone's.
    pub(crate) fn new(data_dir: PathBuf, must_stay_free: FreeSpace) -> Self {
        let space = Self {
            data_dir,
            must_stay_free,
            free: AtomicU64::new(0),
            size: AtomicU64::new(0),
            followers: Mutex::default(),
            is_full: AtomicBool::new(false),
        };
        space.look();
        space.told(space.own().is_short);
        space
    }

    /// Looks anew. A disk that can not be asked counts as full.
    fn look(&self) {
        let disk = Disk::of(&self.data_dir).unwrap_or(Disk { free: 0, size: 0 });
        self.free.store(disk.free, Ordering::Relaxed);
        self.size.store(disk.size, Ordering::Relaxed);
    }

    fn disk(&self) -> Disk {
        Disk {
            free: self.free.load(Ordering::Relaxed),
            size: self.size.load(Ordering::Relaxed),
        }
    }

    /// How many octets must stay free on this node's own disk.
    pub(crate) fn least_free(&self) -> u64 {
        self.disk().least(self.must_stay_free)
    }

    /// How this node's own disk stands.
    pub(crate) fn own(&self) -> Room {
        let disk = self.disk();
        Room {
            free_bytes: disk.free,
            is_short: disk.is_full(self.must_stay_free),
            lacking_bytes: disk.lacking(self.must_stay_free),
        }
    }

    /// Whether too few members have room for mail.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Notes what the leader has counted.
    pub(crate) fn told(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Notes what a follower has said.
    pub(crate) fn heard(&self, follower: u64, room: Room) {
        self.followers().insert(follower, (Instant::now(), room));
    }

    /// What a follower said last; `None` when it never has.
    pub(crate) fn of_follower(&self, follower: u64) -> Option<Room> {
        self.followers().get(&follower).map(|(_, room)| *room)
    }

    /// How the disk stands that lacks the most, of this node and of those of these others that said so in the
    /// last `silence`: nothing that is given up makes room on a node that is gone.
    pub(crate) fn worst(&self, others: impl Iterator<Item = u64>, silence: Duration) -> Room {
        let followers = self.followers();
        let others = others.filter_map(|id| {
            let (at, room) = followers.get(&id)?;
            (at.elapsed() < silence).then_some(*room)
        });
        let worst = others.max_by_key(|room| room.lacking_bytes);
        let own = self.own();
        worst.map_or(own, |worst| {
            if worst.lacking_bytes > own.lacking_bytes {
                worst
            } else {
                own
            }
        })
    }

    fn followers(&self) -> MutexGuard<'_, BTreeMap<u64, (Instant, Room)>> {
        self.followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts, if this node leads.
    fn count(&self, state: &RaftMetrics) {
        if state.state != ServerState::Leader {
            return;
        }
        let membership = state.membership_config.membership();
        let full = membership
            .get_joint_config()
            .iter()
            .any(|voters| !self.enough_have_room(state.id, voters));
        self.told(full);
    }

    /// Whether a majority of the voters has room. Who has said nothing yet counts as one that has.
    fn enough_have_room(&self, own_id: u64, voters: &BTreeSet<u64>) -> bool {
        let followers = self.followers();
        let has_room = |id: &&u64| {
            let said = followers.get(*id).is_none_or(|(_, room)| !room.is_short);
            if **id == own_id {
                !self.own().is_short
            } else {
                said
            }
        };
        voters.iter().filter(has_room).count() * 2 > voters.len()
    }

    /// Looks every now and then until stopped, and says so when room gets short or there is some
    /// again.
    pub(crate) async fn watch(space: Arc<Self>, raft: RaftMetricsWatch, stop: CancellationToken) {
        let mut tick = tokio::time::interval(limits::DISK_INTERVAL);
        let (mut was_short, mut was_full) = (false, false);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            space.look();
            space.count(&raft.borrow_watched());
            let (own, full) = (space.own(), space.is_full());
            let free_bytes = own.free_bytes;
            if own.is_short && !was_short {
                tracing::warn!(free_bytes, "this node has too little free disk space");
            } else if was_short && !own.is_short {
                tracing::info!(free_bytes, "this node has enough free disk space again");
            }
            if full && !was_full {
                tracing::warn!("a majority has too little free disk space; refusing mail");
            } else if was_full && !full {
                tracing::info!("a majority has enough free disk space again; taking mail");
            }
            (was_short, was_full) = (own.is_short, full);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(must_stay_free: u64) -> Space {
        Space::new(std::env::temp_dir(), FreeSpace::Bytes(must_stay_free))
    }

    const SHORT: Room = Room {
        free_bytes: 0,
        is_short: true,
        lacking_bytes: 1 << 30,
    };
    const AMPLE: Room = Room {
        free_bytes: 1 << 40,
        is_short: false,
        lacking_bytes: 0,
    };

    #[test]
    fn one_of_three_may_be_short_and_two_may_not() {
        let voters = BTreeSet::from([1, 2, 3]);
        for (own_min, expected) in [(0, [true, true, false]), (u64::MAX, [true, false, false])] {
            let space = space(own_min);
            assert_eq!(space.enough_have_room(1, &voters), expected[0]);
            space.heard(2, SHORT);
            assert_eq!(space.enough_have_room(1, &voters), expected[1]);
            space.heard(3, SHORT);
            assert_eq!(space.enough_have_room(1, &voters), expected[2]);
            space.heard(2, AMPLE);
            space.heard(3, AMPLE);
            assert!(space.enough_have_room(1, &voters));
        }
    }

    #[test]
    fn the_disk_that_lacks_the_most_counts_if_it_is_a_members() {
        let space = space(0);
        space.heard(2, AMPLE);
        space.heard(3, SHORT);
        let minute = Duration::from_secs(60);
        assert_eq!(space.worst([2, 3].into_iter(), minute), SHORT);
        assert_eq!(space.worst([2].into_iter(), minute).lacking_bytes, 0);
        let silent = space.worst([2, 3].into_iter(), Duration::ZERO);
        assert_eq!(silent.lacking_bytes, 0, "it may be gone");
    }

    #[test]
    fn a_node_alone_goes_by_its_own_disk() {
        let alone = BTreeSet::from([1]);
        assert!(space(0).enough_have_room(1, &alone));
        assert!(!space(u64::MAX).enough_have_room(1, &alone));
        assert!(space(u64::MAX).is_full());
    }
}
