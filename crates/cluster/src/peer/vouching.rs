//! Whether a caller that this node does not know is a member all the same: asked of those it knows.
//!
//! Whoever leads was made a member by a majority, so that others know it although this node may be
//! behind. One of them who knows it is enough, since everyone who is asked is a member. It is turned
//! away when more than half of the voters do not know it, this node included. While too few answer to
//! say so, it is heard: the cluster may have changed all its members but those that are down, and then
//! only the caller can bring this node on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use api::peer::v1::HelloRequest;
use tokio::time::timeout;

use super::connect::Peers;
use crate::{limits, raft::StoredMembership};

/// What others have said of callers.
pub(super) struct Vouching {
    peers: Peers,
    verdicts: Mutex<HashMap<u64, Verdict>>,
    /// Held while they are asked, once for all calls of one caller.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Verdict {
    is_member: bool,
    since: Instant,
}

impl Verdict {
    fn counts(&self) -> bool {
        self.since.elapsed() < limits::VERDICT_KEEP
    }
}

impl Vouching {
    pub(super) fn new(peers: Peers) -> Self {
        Self {
            peers,
            verdicts: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Whether a caller is to be heard as a member, given the members that are known here.
    pub(super) async fn is_member(&self, caller: u64, known: &StoredMembership) -> bool {
        if let Some(verdict) = self.verdict(caller) {
            return verdict;
        }
        let _alone = self.asking.lock().await;
        if let Some(verdict) = self.verdict(caller) {
            return verdict;
        }
        let said = self.ask_about(caller, known).await;
        let voters: BTreeSet<u64> = known.voter_ids().collect();
        let is_member = judge(&voters, self.peers.identity().node_id, &said);
        if self.note(caller, is_member) && !is_member {
            tracing::warn!(
                from = caller,
                "refused a node that is no member of this cluster"
            );
        }
        is_member
    }

    /// What each member says that answers and knows its cluster.
    async fn ask_about(&self, caller: u64, known: &StoredMembership) -> BTreeMap<u64, bool> {
        let own = self.peers.identity().node_id;
        let others = known.nodes().filter(|(id, _)| **id != own);
        let asked = others.map(|(id, member)| async move {
            let mut client = self.peers.client(&member.address, Some(*id)).ok()?;
            let hello = client.hello(HelloRequest {
                about: Some(caller),
            });
            let answer = timeout(limits::VOUCHING_PATIENCE, hello).await.ok()?.ok()?;
            Some((*id, answer.into_inner().knows?))
        });
        let answers = futures::future::join_all(asked).await;
        answers.into_iter().flatten().collect()
    }

    fn verdict(&self, caller: u64) -> Option<bool> {
        let verdict = self.verdicts().get(&caller).copied();
        verdict
            .filter(Verdict::counts)
            .map(|verdict| verdict.is_member)
    }

    /// Keeps a verdict for a while; returns whether it is another one than before.
    fn note(&self, caller: u64, is_member: bool) -> bool {
        let mut verdicts = self.verdicts();
        if verdicts.len() >= limits::REFUSED_CALLERS_MAX {
            verdicts.retain(|_, verdict| verdict.counts());
        }
        let verdict = Verdict {
            is_member,
            since: Instant::now(),
        };
        let before = verdicts.insert(caller, verdict);
        before.is_none_or(|before| before.is_member != is_member)
    }

    fn verdicts(&self) -> MutexGuard<'_, HashMap<u64, Verdict>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `voters`: as known to node `own`, which does not know the caller. `said`: who of the members knows
/// it, as far as they have answered.
fn judge(voters: &BTreeSet<u64>, own: u64, said: &BTreeMap<u64, bool>) -> bool {
    if said.values().any(|knows| *knows) {
        return true;
    }
    let knows_not = |id: &u64| *id == own || said.contains_key(id);
    voters.iter().filter(|id| knows_not(id)).count() * 2 <= voters.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict of node 1, with so many voters, on what others say.
    fn heard(voters: u64, said: &[(u64, bool)]) -> bool {
        judge(&(1..=voters).collect(), 1, &said.iter().copied().collect())
    }

    #[test]
    fn one_member_that_knows_the_caller_is_enough() {
        assert!(heard(3, &[(2, false), (3, true)]));
        assert!(heard(1, &[(2, true)]), "a learner's word counts too");
    }

    #[test]
    fn whom_more_than_half_do_not_know_is_turned_away() {
        assert!(!heard(1, &[]));
        assert!(!heard(2, &[(2, false)]));
        assert!(!heard(3, &[(2, false)]));
        assert!(!heard(5, &[(2, false), (3, false)]));
        // A learner has no share in it.
        assert!(heard(3, &[(4, false)]));
    }

    #[test]
    fn a_node_that_can_ask_too_few_hears_whoever_calls() {
        assert!(heard(2, &[]));
        assert!(heard(3, &[]));
        assert!(heard(5, &[(2, false)]));
    }
}
