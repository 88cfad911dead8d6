//! What the leader brings to its end by itself: learners become voters once they have caught up and
//! would vote, and a change that an earlier leader left half done is ended. So neither hangs on
//! whoever asked for it.

use std::collections::BTreeSet;

use openraft::ChangeMembers;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    changer::{Changer, Tried},
    rules,
};
use crate::{limits, raft};

/// Looks, while this node leads, until stopped.
pub(super) async fn finish_changes(changer: Changer, stop: CancellationToken) {
    let mut tick = interval(limits::FINISH_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        if changer.0.leadership.borrow().leading {
            let finished = timeout(limits::CHANGE_TIMEOUT, finish_one(&changer));
            // What did not end in time is looked at again.
            stop.run_until_cancelled(finished).await;
        }
    }
}

async fn finish_one(changer: &Changer) {
    let grown = grown_up(changer).await;
    let Ok(_alone) = changer.0.changing.try_lock() else {
        return;
    };
    let (picture, seen) = changer.picture();
    if is_half_done(changer) {
        tracing::info!("ending a change of members that an earlier leader left half done");
        let none = ChangeMembers::AddVoterIds(BTreeSet::new());
        changer.propose(none, seen).await;
    } else if let Some(id) = grown
        && rules::grown_up(&picture) == grown
    {
        let grown = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
        if let Tried::Done(_) = changer.propose(grown, seen).await {
            tracing::info!(node = id, "the node that was added is a voter now");
        }
    }
}

/// The learner that may become a voter, and says that it would vote. It is asked before anything else
/// is kept waiting.
async fn grown_up(changer: &Changer) -> Option<u64> {
    let (picture, _) = changer.picture();
    let id = rules::grown_up(&picture)?;
    changer.would_vote(id).await.then_some(id)
}

/// Whether the members are those of two memberships at once, for good: nobody goes on.
fn is_half_done(changer: &Changer) -> bool {
    let metrics = raft::metrics(&changer.0.raft);
    let membership = &metrics.membership_config;
    membership.get_joint_config().len() > 1
        && metrics.committed_membership_config.log_id() == membership.log_id()
}
