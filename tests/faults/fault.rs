//! Everything that can happen to a cluster here, and what a machine must be able to do for it.

use std::fmt;

/// What a fault happens to, so that faults of different lanes can overlap and those of one can not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Processes and their disks.
    Nodes,
    /// What nodes say to nodes.
    Network,
    /// The primary mail server.
    Primary,
    /// What operators ask of the cluster, which must be able to do it at any time.
    Operator,
}

/// What a machine must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Network namespaces, a bridge, and nft's rules on it.
    Network,
    /// A queue of tc that makes a link slow.
    SlowLink,
    /// A queue of tc that delays packets.
    Delay,
    /// ext4 in a file, and cutting its power.
    Disks,
    /// strace that changes what system calls return.
    Tracing,
    /// A C compiler and LD_PRELOAD.
    Shim,
}

/// Whom a fault hits, found out when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Whoever leads.
    Leader,
    /// Some node that does not.
    Follower,
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "the leader",
            Self::Follower => "a follower",
        })
    }
}

/// One kind of fault. What each does is in `nemesis`, beside how it is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// SIGKILL, and started again.
    Kill,
    /// The same for all nodes at once.
    KillAll,
    /// SIGSTOP and SIGCONT: a node that wakes and does not know how long it slept.
    Pause,
    /// SIGTERM, and started again.
    Stop,
    /// What was not fsynced is gone, as is the process.
    PowerCut,
    /// The same for all nodes at once.
    PowerCutAll,
    /// Not an octet is free.
    FullDisk,
    /// Every fsync fails with EIO; the node must end, and is started again.
    FailingFsync,
    /// Every fsync lasts longer than a heartbeat's interval.
    SlowFsync,
    /// One octet of the database's MANIFEST is changed while the node is down. It must not start;
    /// then the octet is put right.
    DamagedManifest,
    /// The database's MANIFEST loses its second half while the node is down. It must notice that it
    /// lacks tables.
    CutManifest,
    /// The time of day jumps, to and fro.
    Clock,
    /// A node and all others do not hear each other.
    Alone,
    /// A node hears nobody, and is heard.
    Deaf,
    /// Nobody hears a node, and it hears all.
    Mute,
    /// Only one node still hears all others, and they it.
    Bridge,
    /// One in five packets between nodes is lost.
    Loss,
    /// The link to a node is slow.
    SlowLink,
    /// What a node hears comes 100 ms late.
    Delay,
    /// The primary's port is closed and every session broken off.
    PrimaryDown,
    /// The same several times, for moments.
    PrimaryReboots,
    /// The primary stores some messages and breaks the connection before its 250.
    PrimaryDropsAfterDot,
    /// One octet of the write-ahead log is changed while the node is down.
    DamagedLog,
    /// The write-ahead log loses its second half while the node is down.
    CutLog,
    /// One octet of a table file is changed while the node is down. It ends whenever it reads that
    /// place, for nothing rebuilds a table.
    DamagedTable,
    /// A table file loses its second half while the node is down. It must not serve with it.
    CutTable,
    /// Octets all over a file of bodies are changed while the node is down. What is damaged must never be
    /// forwarded.
    DamagedSegment,
    /// A file of bodies loses its second half while the node is down.
    CutSegment,
    /// A disk is put back to what it was some seconds before.
    OldDisk,
    /// A disk is emptied.
    WipedDisk,
    /// A node is gone with its disk: it is removed, and one with a new id joins in its place.
    MemberReplaced,
    /// A node that is well is removed, which it must take as its end; then as above.
    MemberLeaves,
    /// An operator lets another node lead.
    LeaderMoved,
    /// An operator copies a node's spool. The copy must be fit to be restored, or the command say why
    /// there is none.
    Backup,
    /// A node lacks what has left the others' logs, and its power is cut while it is sent their spool.
    PowerCutInTransfer,
    /// The same, and one octet of what it has got so far is changed while it is down.
    DamagedSnapshot,
}

impl Kind {
    /// What is played unless only some of it is asked for.
    pub(crate) const MIX: [Self; 36] = [
        Self::OldDisk,
        Self::Kill,
        Self::KillAll,
        Self::Pause,
        Self::Stop,
        Self::PowerCut,
        Self::PowerCutAll,
        Self::FullDisk,
        Self::FailingFsync,
        Self::SlowFsync,
        Self::DamagedManifest,
        Self::CutManifest,
        Self::Clock,
        Self::Alone,
        Self::Deaf,
        Self::Mute,
        Self::Bridge,
        Self::Loss,
        Self::SlowLink,
        Self::Delay,
        Self::PrimaryDown,
        Self::PrimaryReboots,
        Self::PrimaryDropsAfterDot,
        Self::DamagedLog,
        Self::CutLog,
        Self::DamagedTable,
        Self::CutTable,
        Self::DamagedSegment,
        Self::CutSegment,
        Self::WipedDisk,
        Self::MemberReplaced,
        Self::MemberLeaves,
        Self::LeaderMoved,
        Self::Backup,
        Self::PowerCutInTransfer,
        Self::DamagedSnapshot,
    ];

    /// Its name, in schedules and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillAll => "kill-all",
            Self::Pause => "pause",
            Self::Stop => "stop",
            Self::PowerCut => "power-cut",
            Self::PowerCutAll => "power-cut-all",
            Self::FullDisk => "full-disk",
            Self::FailingFsync => "failing-fsync",
            Self::SlowFsync => "slow-fsync",
            Self::DamagedManifest => "damaged-manifest",
            Self::CutManifest => "cut-manifest",
            Self::Clock => "clock",
            Self::Alone => "alone",
            Self::Deaf => "deaf",
            Self::Mute => "mute",
            Self::Bridge => "bridge",
            Self::Loss => "loss",
            Self::SlowLink => "slow-link",
            Self::Delay => "delay",
            Self::PrimaryDown => "primary-down",
            Self::PrimaryReboots => "primary-reboots",
            Self::PrimaryDropsAfterDot => "primary-drops-after-dot",
            Self::DamagedLog => "damaged-log",
            Self::CutLog => "cut-log",
            Self::DamagedTable => "damaged-table",
            Self::CutTable => "cut-table",
            Self::DamagedSegment => "damaged-segment",
            Self::CutSegment => "cut-segment",
            Self::OldDisk => "old-disk",
            Self::WipedDisk => "wiped-disk",
            Self::MemberReplaced => "member-replaced",
            Self::MemberLeaves => "member-leaves",
            Self::LeaderMoved => "leader-moved",
            Self::Backup => "backup",
            Self::PowerCutInTransfer => "power-cut-in-transfer",
            Self::DamagedSnapshot => "damaged-snapshot",
        }
    }

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::MIX.into_iter().find(|kind| kind.name() == name)
    }

    /// What it happens to.
    pub(crate) const fn lane(self) -> Lane {
        match self {
            Self::Alone
            | Self::Deaf
            | Self::Mute
            | Self::Bridge
            | Self::Loss
            | Self::SlowLink
            | Self::Delay => Lane::Network,
            Self::PrimaryDown | Self::PrimaryReboots | Self::PrimaryDropsAfterDot => Lane::Primary,
            Self::LeaderMoved | Self::Backup => Lane::Operator,
            _ => Lane::Nodes,
        }
    }

    /// What the machine must be able to do.
    pub(crate) const fn needs(self) -> Option<Need> {
        match self {
            Self::PowerCut
            | Self::PowerCutAll
            | Self::FullDisk
            | Self::OldDisk
            | Self::WipedDisk
            | Self::MemberReplaced
            | Self::MemberLeaves
            | Self::PowerCutInTransfer => Some(Need::Disks),
            // Without a link that is slow, all of it has come before anybody looks.
            Self::DamagedSnapshot => Some(Need::SlowLink),
            Self::FailingFsync | Self::SlowFsync => Some(Need::Tracing),
            Self::Clock => Some(Need::Shim),
            Self::Alone | Self::Deaf | Self::Mute | Self::Bridge | Self::Loss => {
                Some(Need::Network)
            }
            Self::SlowLink => Some(Need::SlowLink),
            Self::Delay => Some(Need::Delay),
            _ => None,
        }
    }

    /// Whether it happens to one node, the leader or another.
    pub(crate) const fn hits_one(self) -> bool {
        !matches!(self, Self::KillAll | Self::PowerCutAll | Self::Loss)
            && !matches!(self.lane(), Lane::Primary)
    }

    /// Whether it takes from a disk what its node had acknowledged. When that happens to two nodes
    /// before the first is rebuilt, a message may be on no disk at all, and nothing can help.
    pub(crate) const fn takes_acknowledged(self) -> bool {
        matches!(
            self,
            Self::CutManifest
                | Self::DamagedLog
                | Self::CutLog
                | Self::DamagedTable
                | Self::CutTable
                | Self::DamagedSegment
                | Self::CutSegment
                | Self::OldDisk
                | Self::WipedDisk
                | Self::MemberReplaced
                | Self::MemberLeaves
        )
    }

    /// Whether it can be the reason for a delivery that is made again.
    pub(crate) const fn may_repeat(self) -> bool {
        !matches!(self, Self::Backup)
    }

    /// Whether a leader that it hits has to be replaced.
    pub(crate) const fn deposes(self) -> bool {
        matches!(
            self,
            Self::Kill | Self::Pause | Self::PowerCut | Self::Alone | Self::Mute
        )
    }

    /// The shortest and the longest it may last, in milliseconds. An election takes up to 1.8 s; a
    /// pause is tried on both sides of it.
    pub(crate) const fn lasts_ms(self) -> (u64, u64) {
        match self {
            Self::Kill | Self::KillAll | Self::PowerCut | Self::PowerCutAll => (10, 4_000),
            Self::Pause => (300, 8_000),
            Self::Stop => (500, 4_000),
            Self::LeaderMoved | Self::Backup => (100, 200),
            Self::PrimaryReboots => (900, 1_000),
            Self::PrimaryDropsAfterDot => (500, 3_000),
            _ => (2_000, 6_000),
        }
    }
}

/// A fault and whom it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) whom: Whom,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.kind.hits_one() {
            write!(f, " of {}", self.whom)?;
        }
        Ok(())
    }
}
