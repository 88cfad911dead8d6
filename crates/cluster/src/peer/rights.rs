//! What a caller may ask of this node.
//!
//! ```text
//!   hello; joining, or moving, oneself            anyone
//!   commands, pieces, digests, other changes      members
//!   entries, snapshots, votes                     members, and who is one as others know
//! ```
//!
//! A certificate of the authority says who a machine is, and not that it belongs here: one that was
//! removed keeps its certificate. Who is a member says the last membership in this node's log, committed
//! or not. That may be behind: a follower that lags must hear of a new member from that member, if it leads
//! by then (Raft paper section 6). So for what replicates the log, the others are asked about a caller that is
//! unknown here. A node that knows no members waits for whoever has the log, and has nothing to lose.

use openraft::async_runtime::watch::WatchReceiver as _;
use tonic::Status;

use super::{connect::Peers, vouching::Vouching};
use crate::{
    membership::Change,
    raft::{RaftMetricsWatch, StoredMembership, Vote},
};

/// Who may ask what.
pub(super) struct Rights {
    members: RaftMetricsWatch,
    vouching: Vouching,
}

/// What this node's own log says of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Member,
    /// It is no member, or none that this node has heard of.
    Stranger,
    /// No member is known at all.
    Nobody,
}

impl Rights {
    pub(super) fn new(members: RaftMetricsWatch, peers: Peers) -> Self {
        Self {
            members,
            vouching: Vouching::new(peers),
        }
    }

    /// Refuses what only members may ask. A member that is unknown here asks a node that is behind, and
    /// is heard once that has caught up.
    pub(super) fn check_member(&self, from: u64) -> Result<(), Status> {
        members_only(&self.members.borrow_watched().membership_config, from)
    }

    /// Refuses to take entries, or to give a vote, when the caller is no member: not here, and not as
    /// the others know.
    pub(super) async fn check_consensus(&self, from: u64) -> Result<(), Status> {
        let membership = self.members.borrow_watched().membership_config.clone();
        match known(&membership, from) {
            Known::Member | Known::Nobody => Ok(()),
            Known::Stranger if self.vouching.is_member(from, &membership).await => Ok(()),
            Known::Stranger => Err(refused(from)),
        }
    }

    /// Refuses a change of members that the caller may not ask for: a stranger may join, and nothing
    /// else. `passed_on` is what only members do.
    pub(super) fn check_change(
        &self,
        from: u64,
        change: &Change,
        passed_on: bool,
    ) -> Result<(), Status> {
        let members = self.members.borrow_watched();
        check_change(&members.membership_config, from, change, passed_on)
    }
}

fn members_only(membership: &StoredMembership, from: u64) -> Result<(), Status> {
    match known(membership, from) {
        Known::Member | Known::Nobody => Ok(()),
        Known::Stranger => Err(refused(from)),
    }
}

fn check_change(
    membership: &StoredMembership,
    from: u64,
    change: &Change,
    passed_on: bool,
) -> Result<(), Status> {
    match change {
        Change::Add {
            id, blank: true, ..
        }
        | Change::Move { id, .. }
            if !passed_on =>
        {
            if *id == from {
                return Ok(());
            }
            Err(Status::invalid_argument(
                "a node can only ask this for itself",
            ))
        }
        _ => members_only(membership, from),
    }
}

/// Refuses a vote that is not the caller's own: candidates and leaders speak for themselves.
pub(super) fn check_own(vote: &Vote, from: u64) -> Result<(), Status> {
    let node = vote.leader_id.voted_for;
    if node == from {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "node {from} shows a vote of node {node}"
    )))
}

fn known(membership: &StoredMembership, id: u64) -> Known {
    if membership.get_node(&id).is_some() {
        Known::Member
    } else if membership.nodes().next().is_some() {
        Known::Stranger
    } else {
        Known::Nobody
    }
}

fn refused(from: u64) -> Status {
    Status::permission_denied(format!(
        "node {from} is no member of this cluster; start it on an empty data directory with `join` in \
         [cluster] of its node file, or wait until this node has caught up"
    ))
}

/// Whether a membership has a member; `None` when it has none at all, and so says nothing.
pub(super) fn knows(membership: &StoredMembership, id: u64) -> Option<bool> {
    match known(membership, id) {
        Known::Member => Some(true),
        Known::Stranger => Some(false),
        Known::Nobody => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tonic::Code;

    use super::*;
    use crate::raft::{Member, Membership};

    /// Of these nodes, which are all voters but node 3, a learner.
    fn membership(ids: &[u64]) -> StoredMembership {
        let nodes: BTreeMap<u64, Member> = ids.iter().map(|id| (*id, Member::default())).collect();
        let voters = ids.iter().copied().filter(|id| *id != 3).collect();
        StoredMembership::new(None, Membership::new(vec![voters], nodes).unwrap())
    }

    fn joining(id: u64) -> Change {
        let address = "mx:7400".to_owned();
        let blank = true;
        Change::Add { id, address, blank }
    }

    fn moving(id: u64) -> Change {
        let address = "mx:7400".to_owned();
        Change::Move { id, address }
    }

    #[track_caller]
    fn assert_refused(said: Result<(), Status>) {
        assert_eq!(said.unwrap_err().code(), Code::PermissionDenied);
    }

    #[test]
    fn members_are_heard_and_strangers_are_not() {
        let members = membership(&[1, 2, 3]);
        for from in [1, 2, 3] {
            members_only(&members, from).unwrap();
        }
        assert_refused(members_only(&members, 4));
    }

    #[test]
    fn a_node_that_knows_no_members_hears_anyone() {
        members_only(&StoredMembership::default(), 4).unwrap();
        assert_eq!(knows(&StoredMembership::default(), 4), None);
        assert_eq!(knows(&membership(&[1, 2]), 4), Some(false));
        assert_eq!(knows(&membership(&[1, 2]), 2), Some(true));
    }

    #[test]
    fn a_stranger_may_join_and_ask_for_nothing_else() {
        let members = membership(&[1, 2, 3]);
        check_change(&members, 4, &joining(4), false).unwrap();
        for change in [joining(5), moving(1)] {
            let said = check_change(&members, 4, &change, false).unwrap_err();
            assert_eq!(said.code(), Code::InvalidArgument);
        }
        for change in [joining(4), joining(5), moving(1), moving(4)] {
            assert_refused(check_change(&members, 4, &change, true));
        }
        for change in [Change::Remove { id: 1 }, Change::Transfer { to: 2 }] {
            for passed_on in [true, false] {
                assert_refused(check_change(&members, 4, &change, passed_on));
            }
        }
    }

    #[test]
    fn members_pass_on_what_others_ask_for() {
        let members = membership(&[1, 2, 3]);
        for change in [joining(4), moving(2), Change::Remove { id: 1 }] {
            check_change(&members, 3, &change, true).unwrap();
        }
        check_change(&members, 2, &moving(2), false).unwrap();
    }

    #[test]
    fn nobody_votes_or_leads_in_the_name_of_another() {
        check_own(&Vote::new(7, 2), 2).unwrap();
        assert_refused(check_own(&Vote::new_committed(7, 2), 3));
    }
}
