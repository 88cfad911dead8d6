//! openraft, with our types filled in. No other room names it.

use std::fmt;
use std::sync::Arc;

use openraft::{async_runtime::watch::WatchReceiver as _, impls::leader_id_std};
use spool::{Command, Outcome};

use crate::limits;

openraft::declare_raft_types!(
    /// Standard Raft: one leader a term, and a log id is (term, index).
    pub(crate) Types:
        D = Proposal,
        R = Applied,
        NodeId = u64,
        Node = Member,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type Raft = openraft::Raft<Types, crate::store::Machine>;
pub(crate) type LogId = openraft::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::alias::VoteOf<Types>;
pub(crate) type Entry = openraft::alias::EntryOf<Types>;
pub(crate) type Payload = openraft::alias::PayloadOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<Types>;
pub(crate) type RaftMetrics = openraft::RaftMetrics<Types>;
pub(crate) type RaftMetricsWatch = openraft::alias::WatchReceiverOf<Types, RaftMetrics>;

/// A member of the cluster, as the membership entries name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// `host:port` of its peer service.
    pub(crate) address: String,
}

/// A command of the spool in the log. Written out without the body: openraft formats entries into
/// its log lines.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proposal(pub(crate) Command);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Command::Found { .. } => f.write_str("found"),
            Command::Adopt(adopt) => write!(f, "adopt a policy after {}", adopt.replaces),
            Command::Stage(stage) => write!(f, "stage {} {}", stage.id, stage.number),
            Command::Accept(accept) => write!(f, "accept {}", accept.id),
            Command::Discard { id } => write!(f, "discard {id}"),
            Command::Report(report) => write!(f, "report {}", report.attempts.len()),
            Command::Observe { domain, .. } => write!(f, "observe {domain}"),
            Command::Recover(recovery) => write!(f, "recovery of {}", recovery.domain),
            Command::NotePosted(notice) => write!(f, "alarm of {} posted", notice.domain),
            Command::Offers { domain, .. } => write!(f, "offers of {domain}"),
            Command::Starttls(seen) => write!(f, "starttls of {}", seen.domain),
            Command::Flush { domain, .. } => write!(f, "flush {domain:?}"),
            Command::Confirm { ids } => write!(f, "confirm {}", ids.len()),
            Command::Claim(claims) => write!(f, "claim {}", claims.sequences.len()),
            Command::Release(claims) => write!(f, "release {}", claims.sequences.len()),
            Command::Visits(visits) => write!(f, "visits {}", visits.visitors.len()),
            Command::Learn(lessons) => write!(f, "learn {}", lessons.facts.len()),
            Command::Handle(handling) => {
                write!(f, "{:?} {} messages", handling.verb, handling.ids.len())
            }
            Command::Pause { domain, .. } => write!(f, "pause {domain}"),
            Command::Resume { domain, .. } => write!(f, "resume {domain}"),
            Command::Note(action) => write!(f, "note {}", action.what),
            Command::Expire(expire) => write!(f, "expire {}", expire.sequences.len()),
            Command::Lapse(lapse) => write!(f, "lapse {}", lapse.sequences.len()),
            Command::Delay(delay) => write!(f, "delay {}", delay.sequences.len()),
            Command::Notify(notify) => {
                write!(f, "notify of {} by {}", notify.id, notify.report.id)
            }
            Command::Relinquish { until } => write!(f, "relinquish until {}", until.0),
            Command::Replay(replay) => write!(f, "replay {}", replay.ids.len()),
            Command::Sweep { .. } => f.write_str("sweep"),
        }
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an entry came to; blank and membership entries come to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied(pub(crate) Option<Outcome>);

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What consensus says of itself now.
pub(crate) fn metrics(raft: &Raft) -> RaftMetrics {
    raft.metrics().borrow_watched().clone()
}

/// Timing and sizes of consensus.
pub(crate) fn config(log_keep: u64) -> Result<Arc<openraft::Config>, openraft::ConfigError> {
    let config = openraft::Config {
        cluster_name: "layover".to_owned(),
        heartbeat_interval: limits::HEARTBEAT_MS,
        election_timeout_min: limits::ELECTION_MIN_MS,
        election_timeout_max: limits::ELECTION_MAX_MS,
        max_payload_entries: limits::APPEND_ENTRIES_MAX,
        install_snapshot_timeout: limits::SNAPSHOT_TIMEOUT_MS,
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast((log_keep / 2).max(1)),
        max_in_snapshot_log_to_keep: log_keep,
        replication_lag_threshold: u64::MAX,
        purge_batch_size: (log_keep / 4).max(1),
        enable_pre_vote: Some(true),
        // Until this node may vote, it does not ask for votes either: its admission lets it.
        enable_elect: false,
        // A leader sends entries before its own fsync. One that came back to lead in the same term
        // could write other entries under log ids that its followers already have.
        enable_leader_restore: Some(false),
        // A node that lost its log, or a part of it, is given what it lacks. That nothing is voted
        // away meanwhile is seen to before it votes again.
        allow_log_reversion: Some(true),
        ..openraft::Config::default()
    };
    config.validate().map(Arc::new)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_node_stands_for_election_before_it_is_let() {
        assert!(!super::config(1000).unwrap().enable_elect);
    }
}
