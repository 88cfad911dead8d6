//! Whether this node may vote: only when it is sure that it remembers what it has promised.
//!
//! ```text
//!   start ─▶ asking ─┬─▶ resting ──────▶ full
//!                    └─▶ rebuilding ───▶ full
//! ```
//!
//! A follower promises to have what it has acknowledged. One whose log is shorter than that (a damaged
//! file, a disk that was emptied or put back to an older copy) could vote an acknowledged message
//! away: so a node that was started again asks the others what they know of it, and if something is
//! missing, it does not vote until it has everything that was committed when the leader was asked. What
//! it acknowledges meanwhile is true: an entry is acknowledged only on top of all before it. But it
//! begins with that only when the others were asked once: what they know is of before its start then.
//!
//! A follower also promises its leader to vote for nobody else for the time of a lease, and consensus
//! forgets that promise in a restart: so it rests for a lease.

use std::{collections::BTreeMap, sync::Arc};

use api::peer::v1::{HelloRequest, HelloResponse};
use tokio::{
    sync::watch,
    time::{Instant, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    codec,
    config::{Config, Founding},
    failure::StartError,
    founding, limits,
    peer::Peers,
    raft::{self, LogId, Raft},
    rebuilding::Rebuilding,
    seldom::Seldom,
    store::LogStore,
};

/// Why a node is rebuilt whose own files show nothing.
const PUT_BACK: &str = "the others have seen it acknowledge more than its log has";

/// How far this node is on its way to its vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The others were not yet asked what they know of this node.
    Started,
    /// They were, and too few have told it.
    Asking,
    /// A leader may still rely on a lease that this node has forgotten.
    Resting,
    /// It lacks what it has acknowledged.
    Rebuilding,
    /// It votes.
    Full,
}

/// Why a vote is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoVote {
    /// See [`Stage::Asking`].
    #[error("this node was started a moment ago and asks the others what it has acknowledged")]
    Asking,
    /// See [`Stage::Resting`].
    #[error("this node was started a moment ago and may owe its leader a lease")]
    Resting,
    /// See [`Stage::Rebuilding`].
    #[error("this node lacks entries that it had acknowledged and is being rebuilt")]
    Rebuilding,
}

/// The right to vote. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Voting(Arc<watch::Sender<Stage>>);

impl Voting {
    /// Nobody's vote is given yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Started)))
    }

    /// Whether to answer somebody who asks for this node's vote. A leader that asks to be succeeded
    /// has given up its lease (Raft thesis section 4.2.3).
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, by_transfer: bool) -> Result<(), NoVote> {
        match *self.0.borrow() {
            Stage::Full => Ok(()),
            Stage::Resting if by_transfer => Ok(()),
            Stage::Resting => Err(NoVote::Resting),
            Stage::Started | Stage::Asking => Err(NoVote::Asking),
            Stage::Rebuilding => Err(NoVote::Rebuilding),
        }
    }

    /// Waits until this node may acknowledge entries.
    pub(crate) async fn others_were_asked(&self) {
        let mut stage = self.0.subscribe();
        // It does not end before: this holds the other end.
        drop(stage.wait_for(|stage| *stage != Stage::Started).await);
    }

    fn enter(&self, stage: Stage) {
        self.0.send_replace(stage);
    }
}

/// Takes a node from its start to its vote.
pub(crate) struct Admission {
    pub(crate) config: Arc<Config>,
    pub(crate) raft: Raft,
    pub(crate) log: LogStore,
    pub(crate) peers: Peers,
    pub(crate) voting: Voting,
    /// The note on the disk that this node lacks something, or may.
    pub(crate) rebuilding: Rebuilding,
}

/// What the others say.
struct Heard {
    /// How many nodes answered, this one included.
    nodes: usize,
    /// Whether the cluster has been founded, as far as they know.
    founded: bool,
    /// The last entry that one of them knows this node to have acknowledged.
    acknowledged: Option<LogId>,
    /// Those who did not answer.
    silent: Vec<String>,
}

/// What comes of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing is missing.
    Sound,
    /// Something is, up to this entry at least.
    Behind(Option<LogId>),
    /// Too few have answered.
    Unknown,
}

impl Admission {
    /// Returns when the node votes, or when it is stopped.
    ///
    /// # Errors
    /// The cluster could not be founded, or the note on the disk not be written.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        stop.run_until_cancelled(self.admit())
            .await
            .unwrap_or(Ok(()))
    }

    async fn admit(mut self) -> Result<(), StartError> {
        let began = Instant::now();
        let last = self.log.last();
        // A node that joins and knows of no member yet has others all the same: they add it.
        let alone = self.others().is_empty() && !self.waits_to_be_added();
        if alone && self.rebuilding.is_loss() {
            return Err(StartError(format!(
                "{}, and there is no other node that has the rest: put a backup in the place of {}, \
                 or remove {} to go on with what is left",
                self.rebuilding.reason().unwrap_or_default(),
                self.config.data_dir.display(),
                self.rebuilding.path().display(),
            )));
        }
        let behind = if joins(&self.config.founding, last, &self.rebuilding) {
            Some(None)
        } else if alone {
            None
        } else {
            self.ask_until_sure().await
        };
        if let Some(acknowledged) = behind {
            self.rebuild(acknowledged).await?;
        } else if last.is_some() && !alone {
            self.voting.enter(Stage::Resting);
            tokio::time::sleep_until(began + limits::LEASE).await;
        }
        self.rebuilding.end().map_err(note_failed)?;
        self.voting.enter(Stage::Full);
        self.raft.runtime_config().elect(true);
        // Everyone who finds an empty log with everyone founds the same cluster.
        if self.log.last().is_none() {
            founding::initialize(&self.config, &self.raft).await?;
        }
        Ok(())
    }

    /// Asks until enough have answered; returns `Some` when something is missing, with the entry
    /// that had been acknowledged if anyone knows it.
    async fn ask_until_sure(&self) -> Option<Option<LogId>> {
        let mut tick = interval(limits::ASK_EVERY);
        let mut said = Seldom::default();
        loop {
            tick.tick().await;
            let heard = self.ask().await;
            let enough = heard.nodes * 2 > self.others().len() + 1;
            let noted = self.rebuilding.reason().is_some();
            // As it is now: what this node has acknowledged meanwhile is known to them as well.
            match judge(&heard, enough, noted, self.log.last()) {
                Verdict::Sound => return None,
                Verdict::Behind(acknowledged) => return Some(acknowledged),
                Verdict::Unknown => {
                    self.voting.enter(Stage::Asking);
                    say_who_is_silent(&heard, &mut said);
                }
            }
        }
    }

    async fn ask(&self) -> Heard {
        let others = self.others();
        let asked = others.iter().map(|(id, address)| self.hello(*id, address));
        let answers = futures::future::join_all(asked).await;
        let of_all = others.iter().zip(&answers);
        let silent = of_all
            .filter(|(_, answer)| answer.is_none())
            .map(|((id, address), _)| format!("node {id} ({address})"))
            .collect();
        let answers: Vec<HelloResponse> = answers.into_iter().flatten().collect();
        let acknowledged = answers.iter().filter_map(|answer| answer.acknowledged);
        let acknowledged = acknowledged.map(codec::log_id_from);
        Heard {
            nodes: answers.len() + 1,
            founded: answers.iter().any(is_founded),
            acknowledged: acknowledged.max(),
            silent,
        }
    }

    fn waits_to_be_added(&self) -> bool {
        let membership = raft::metrics(&self.raft).membership_config;
        matches!(self.config.founding, Founding::Join(_)) && membership.nodes().next().is_none()
    }

    /// The other voters by id, as far as this node knows, and where they are.
    fn others(&self) -> BTreeMap<u64, String> {
        let membership = raft::metrics(&self.raft).membership_config;
        let voters = membership.voter_ids();
        let mut others: BTreeMap<u64, String> = voters
            .filter_map(|id| Some((id, membership.get_node(&id)?.address.clone())))
            .collect();
        if others.is_empty()
            && let Founding::Members(members) = &self.config.founding
        {
            others.extend(members.iter().cloned());
        }
        others.remove(&self.config.node_id);
        others
    }

    async fn hello(&self, id: u64, address: &str) -> Option<HelloResponse> {
        let mut client = self.peers.client(address, Some(id)).ok()?;
        let hello = client.hello(HelloRequest::default());
        let answer = timeout(limits::PEER_REPLY_TIMEOUT, hello)
            .await
            .ok()?
            .inspect_err(|status| {
                if status.code() == tonic::Code::PermissionDenied {
                    self.peers.refused_by(id, address, status.message());
                }
            })
            .ok()?;
        Some(answer.into_inner())
    }

    /// Waits until this node has everything that was committed when the leader was first asked.
    async fn rebuild(&mut self, acknowledged: Option<LogId>) -> Result<(), StartError> {
        let index = |log_id: Option<LogId>| log_id.map(|log_id| log_id.index);
        let (last_index, acknowledged) = (index(self.log.last()), index(acknowledged));
        self.rebuilding.begin(PUT_BACK).map_err(note_failed)?;
        self.voting.enter(Stage::Rebuilding);
        if self.rebuilding.is_loss() || acknowledged > last_index {
            tracing::warn!(
                last_index,
                acknowledged,
                reason = self.rebuilding.reason(),
                "this node lacks entries that it had acknowledged; it does not vote until it is \
                 rebuilt from the others: check its disk"
            );
        } else {
            tracing::info!(
                last_index,
                "this node has never had all that its cluster has; it votes once it has caught up"
            );
        }
        let began = Instant::now();
        let target = self.committed_by_leader().await;
        let mut metrics = interval(limits::ASK_EVERY);
        while raft::metrics(&self.raft)
            .last_applied
            .is_none_or(|applied| applied.index < target)
        {
            metrics.tick().await;
        }
        let seconds = began.elapsed().as_secs();
        tracing::info!(
            target_index = target,
            seconds,
            "this node has caught up and votes"
        );
        Ok(())
    }

    async fn committed_by_leader(&self) -> u64 {
        let mut tick = interval(limits::ASK_EVERY);
        loop {
            tick.tick().await;
            let metrics = raft::metrics(&self.raft);
            let Some(leader) = metrics.current_leader else {
                continue;
            };
            let member = metrics.membership_config.get_node(&leader).cloned();
            let address = member.map(|member| member.address);
            let address = address.or_else(|| self.others().remove(&leader));
            if let Some(address) = address
                && let Some(answer) = self.hello(leader, &address).await
                && let Some(committed) = answer.committed_index
            {
                return committed;
            }
        }
    }
}

/// Whoever has started this node alone may think that it hangs.
fn say_who_is_silent(heard: &Heard, said: &mut Seldom) {
    let silent = heard.silent.join(", ");
    if said.is_due(&silent, Instant::now().into_std()) {
        tracing::info!(
            silent,
            answering = heard.nodes,
            "waiting until more than half of the members answer: start those that are silent, and see that this node \
             reaches them"
        );
    }
}

fn note_failed(error: std::io::Error) -> StartError {
    StartError(format!("noting that this node is being rebuilt: {error}"))
}

/// Whether this node has yet to get what its cluster has: it asked to be added and has no log, or had
/// none a moment ago. It may have been a voter before its disk was emptied.
fn joins(founding: &Founding, last: Option<LogId>, rebuilding: &Rebuilding) -> bool {
    let has_all = last.is_some() && rebuilding.reason().is_none();
    matches!(founding, Founding::Join(_)) && !has_all
}

/// Whether a node belongs to a cluster that has had a leader. The list of founding members alone is
/// written by each of them, before anyone was elected.
const fn is_founded(answer: &HelloResponse) -> bool {
    answer.cluster.is_some() || matches!(answer.last_index, Some(1..))
}

/// What was acknowledged in one term may have been cut off in a later one, and then the log ends with
/// an entry of that. So entries are compared as votes compare them: by term first.
fn judge(heard: &Heard, enough: bool, noted: bool, last: Option<LogId>) -> Verdict {
    if heard.acknowledged > last || (heard.founded && (noted || last.is_none())) {
        return Verdict::Behind(heard.acknowledged);
    }
    if enough {
        Verdict::Sound
    } else {
        Verdict::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> Option<LogId> {
        Some(LogId::new(3.into(), index))
    }

    fn heard(founded: bool, acknowledged: Option<LogId>) -> Heard {
        Heard {
            nodes: 2,
            founded,
            acknowledged,
            silent: Vec::new(),
        }
    }

    #[test]
    fn founding_members_with_empty_logs_are_sound_once_a_majority_is_there() {
        assert_eq!(
            judge(&heard(false, None), false, true, None),
            Verdict::Unknown
        );
        assert_eq!(judge(&heard(false, None), true, true, None), Verdict::Sound);
    }

    #[test]
    fn an_empty_log_in_a_cluster_that_exists_is_behind() {
        assert_eq!(
            judge(&heard(true, None), true, true, None),
            Verdict::Behind(None)
        );
        assert_eq!(
            judge(&heard(true, at(9)), true, true, None),
            Verdict::Behind(at(9))
        );
    }

    #[test]
    fn a_node_that_joins_is_behind_until_it_was_rebuilt_once() {
        let dir = tempfile::tempdir().unwrap();
        let (join, founds) = (Founding::Join("mx1:7400".to_owned()), Founding::Bootstrap);
        let mut note = Rebuilding::open(dir.path(), Some("empty".to_owned())).unwrap();
        assert!(joins(&join, None, &note));
        assert!(joins(&join, at(9), &note));
        assert!(!joins(&founds, None, &note));
        note.end().unwrap();
        assert!(!joins(&join, at(9), &note));
    }

    #[test]
    fn a_log_that_was_put_back_is_behind() {
        let heard = heard(true, at(9));
        assert_eq!(judge(&heard, true, false, at(8)), Verdict::Behind(at(9)));
        assert_eq!(judge(&heard, true, false, at(9)), Verdict::Sound);
        let cut_off_since = Some(LogId::new(4.into(), 5));
        assert_eq!(judge(&heard, true, false, cut_off_since), Verdict::Sound);
    }

    #[test]
    fn a_node_that_was_not_rebuilt_in_full_is_still_behind() {
        assert_eq!(
            judge(&heard(true, None), true, true, at(8)),
            Verdict::Behind(None)
        );
        assert_eq!(
            judge(&heard(true, None), true, false, at(8)),
            Verdict::Sound
        );
    }

    #[tokio::test]
    async fn nothing_is_acknowledged_before_the_others_were_asked() {
        let voting = Voting::new();
        let mut waits = std::pin::pin!(voting.others_were_asked());
        assert!(futures::poll!(&mut waits).is_pending());
        voting.enter(Stage::Asking);
        waits.await;
    }

    #[test]
    fn only_a_successor_gets_the_vote_of_a_node_that_rests() {
        let voting = Voting::new();
        for stage in [Stage::Started, Stage::Asking, Stage::Rebuilding] {
            voting.enter(stage);
            assert!(voting.check(true).is_err());
        }
        voting.enter(Stage::Resting);
        assert_eq!(voting.check(false), Err(NoVote::Resting));
        assert_eq!(voting.check(true), Ok(()));
        voting.enter(Stage::Full);
        assert_eq!(voting.check(false), Ok(()));
    }
}
