//! The cluster as one node sees it.

use std::{collections::BTreeMap, time::Duration};

use spool::Course;

use crate::space::Room;

/// A member that has missed this many heartbeats is down or cut off.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Who leads, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The Raft term.
    pub term: u64,
    /// The leader's id, when one is known.
    pub leader: Option<u64>,
    /// Whether this node leads and has applied everything earlier leaders committed: only then may
    /// the forwarder run here.
    pub leading: bool,
}

/// One member of the cluster, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub id: u64,
    /// Where it is reached.
    pub address: String,
    /// Whether it votes.
    pub voter: bool,
    /// How many log entries it lacks; known to the leader only.
    pub lag: Option<u64>,
    /// Milliseconds since it last answered the leader, or since that began to lead where it never has; known
    /// to the leader only.
    pub silent_ms: Option<u64>,
    /// How its disk stands; of others known to the leader only.
    pub disk: Option<Room>,
}

impl MemberStatus {
    /// Whether it has answered the leader lately; `None` where this node does not know.
    #[must_use]
    pub fn answers(&self) -> Option<bool> {
        self.silent_ms
            .map(|silent| Duration::from_millis(silent) <= SILENCE_MAX)
    }
}

/// The cluster, as this node sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterStatus {
    /// The cluster's name; `None` before it is founded.
    pub cluster: Option<u128>,
    /// This node.
    pub node_id: u64,
    /// Who leads; nobody while this node sees no quorum.
    pub leadership: Leadership,
    /// Whether this node can take mail: it sees a quorum, its disk is sound, and a majority has room.
    pub accepting: bool,
    /// Index of the last entry in this node's log.
    pub last_log_index: u64,
    /// Index of the last entry applied here.
    pub last_applied_index: u64,
    /// How this node's disk stands.
    pub disk: Room,
    /// Whether so many voters have too little free disk space that no mail is taken.
    pub disks_full: bool,
    /// Everyone.
    pub members: Vec<MemberStatus>,
    /// How the leader's deliveries are getting on, by the domains. Empty when it does not tell.
    pub courses: BTreeMap<String, Course>,
}
