//! Carries changes of members out, or passes them to whoever leads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openraft::{
    ChangeMembers, Instant as _, Precondition,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use super::{
    Change, Changed,
    rules::{self, Picture, Seen, Step},
};
use crate::{
    limits,
    peer::{self, Peers},
    raft::{self, LogId, Member, Raft, RaftMetrics},
    signals::Signals,
    status::Leadership,
    store::Tables,
};

/// Carries changes out; every clone is the same one.
#[derive(Clone)]
pub(crate) struct Changer(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) node_id: u64,
    pub(super) raft: Raft,
    pub(super) tables: Arc<Tables>,
    pub(super) peers: Peers,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) signals: Arc<Signals>,
    /// Held while this leader makes a change.
    pub(super) changing: Mutex<()>,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    Done(Changed),
    Refused(Refused),
    /// Nobody took it, or nobody knows.
    Again,
}

/// A change that is against the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// One sentence: why, and what would be right.
    pub(crate) why: String,
    /// Whether asking again later is in vain.
    pub(crate) for_good: bool,
}

impl Tried {
    const fn done(changed: bool) -> Self {
        Self::Done(Changed { changed })
    }

    fn refused(why: impl Into<String>) -> Self {
        Self::Refused(Refused {
            why: why.into(),
            for_good: false,
        })
    }
}

impl Changer {
    pub(crate) fn new(
        node_id: u64,
        raft: Raft,
        tables: Arc<Tables>,
        peers: Peers,
        signals: Arc<Signals>,
    ) -> Self {
        Self(Arc::new(Inner {
            node_id,
            raft,
            tables,
            peers,
            leadership: signals.leadership.subscribe(),
            signals,
            changing: Mutex::new(()),
        }))
    }

    /// Changes the members through whichever node leads; [`Tried::Again`] when none did in time.
    pub(crate) async fn change(&self, change: &Change) -> Tried {
        let tried = timeout(limits::CHANGE_TIMEOUT, self.change_until_answered(change));
        tried.await.unwrap_or(Tried::Again)
    }

    async fn change_until_answered(&self, change: &Change) -> Tried {
        let mut leadership = self.0.leadership.clone();
        loop {
            let leader = leadership.borrow_and_update().leader;
            let tried = match leader {
                Some(leader) if leader == self.0.node_id => self.change_here(change).await,
                Some(leader) => self.pass_on(leader, change).await,
                None => Tried::Again,
            };
            if tried != Tried::Again {
                return tried;
            }
            // The next leader may be known at once, or the same one be asked again.
            let changed = timeout(limits::PROPOSE_AGAIN_AFTER, leadership.changed());
            if let Ok(Err(_)) = changed.await {
                return Tried::Again;
            }
        }
    }

    async fn pass_on(&self, leader: u64, change: &Change) -> Tried {
        let members = raft::metrics(&self.0.raft).membership_config;
        let Some(member) = members.get_node(&leader) else {
            return Tried::Again;
        };
        let asked = peer::ask_change(&self.0.peers, &member.address, Some(leader), change, true);
        asked.await.unwrap_or(Tried::Again)
    }

    /// Makes a change as the leader; [`Tried::Again`] when this node does not lead, or not any more.
    pub(crate) async fn change_here(&self, change: &Change) -> Tried {
        if !self.0.leadership.borrow().leading {
            return Tried::Again;
        }
        let (picture, _) = self.picture();
        if rules::step(&picture, change) == Ok(Step::Nothing) {
            return Tried::done(false);
        }
        // One that is about to end is waited for, so that one command may follow another.
        let alone = timeout(limits::CHANGING_PATIENCE, self.0.changing.lock());
        let Ok(_alone) = alone.await else {
            return Tried::refused("another change is under way; try again in a moment");
        };
        let (picture, seen) = self.picture_after_asking(change).await;
        match rules::step(&picture, change) {
            Ok(step) => self.take(step, change, seen).await,
            Err(refused) => Tried::Refused(refused),
        }
    }

    async fn take(&self, step: Step, change: &Change, seen: Option<LogId>) -> Tried {
        match (step, change) {
            (Step::Nothing, _) => Tried::done(false),
            (Step::AddLearner, Change::Add { id, address, .. }) => {
                if let Err(why) = self.greet_new(*id, address).await {
                    return Tried::refused(why);
                }
                let added = ChangeMembers::AddNodes(member(*id, address));
                tracing::info!(node = id, %address, "adding a node; it is a learner at first");
                self.propose(added, seen).await
            }
            (Step::SetAddress, Change::Move { id, address }) => {
                if let Err(why) = self.greet(*id, address).await {
                    return Tried::refused(why);
                }
                let moved = ChangeMembers::SetNodes(member(*id, address));
                tracing::info!(node = id, %address, "a member has a new address");
                self.propose(moved, seen).await
            }
            (Step::RemoveLearner, Change::Remove { id }) => {
                tracing::info!(node = id, "removing a learner");
                let removed = ChangeMembers::RemoveNodes(BTreeSet::from([*id]));
                self.propose(removed, seen).await
            }
            (Step::RemoveVoter, Change::Remove { id }) => {
                tracing::info!(node = id, "removing a voter");
                let removed = ChangeMembers::RemoveVoters(BTreeSet::from([*id]));
                self.propose(removed, seen).await
            }
            (Step::HandOver(to), Change::Transfer { .. }) => self.hand_over(to).await,
            // Then the new leader does what was asked for.
            (Step::HandOver(to), _) => match self.hand_over(to).await {
                Tried::Done(_) => Tried::Again,
                other => other,
            },
            (step, _) => Tried::refused(format!("{step:?} is no answer to {change:?}")),
        }
    }

    /// Proposes a change on top of the membership that was judged, and waits until it is committed
    /// and applied; a change of voters takes two entries.
    pub(super) async fn propose(
        &self,
        changes: ChangeMembers<u64, Member>,
        seen: Option<LogId>,
    ) -> Tried {
        let unchanged = Precondition::LastMembershipLogId {
            last_membership_log_id: seen,
        };
        let changed = self
            .0
            .raft
            .change_membership_if(changes, false, [unchanged]);
        match changed.await {
            Ok(_) => Tried::done(true),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => match error
            {
                ChangeMembershipError::InProgress(_) => {
                    Tried::refused("another change of members is under way; try again in a moment")
                }
                error => Tried::refused(format!("consensus refused the change: {error}")),
            },
            // Another leader, another membership, or no consensus at all.
            Err(RaftError::APIError(_) | RaftError::Fatal(_)) => Tried::Again,
        }
    }

    async fn hand_over(&self, to: u64) -> Tried {
        let leads = match self.give_leadership(to).await {
            Some(leader) if leader == to => return Tried::done(true),
            Some(leader) => format!("node {leader} leads"),
            None => "nobody leads yet".to_owned(),
        };
        Tried::refused(format!(
            "node {to} did not take leadership over, {leads}; try again in a moment"
        ))
    }

    /// Gives leadership to a voter that answers, so that the others need not wait for an election
    /// timeout; tells who leads then, if anyone but this node does in time. Deliveries under way end
    /// first; if leadership stays, they go on.
    pub(crate) async fn give_leadership(&self, to: u64) -> Option<u64> {
        let pause = self.0.signals.turns.pause();
        let drained = timeout(limits::HAND_OVER_PATIENCE, pause.drained()).await;
        if drained.is_err() {
            tracing::warn!(
                "deliveries under way did not end in time, and leadership is handed over all the \
                 same: what has no outcome soon may be delivered again"
            );
        }
        tracing::info!(to, "handing leadership over");
        self.0.raft.trigger().transfer_leader(to).await.ok()?;
        let mut leadership = self.0.leadership.clone();
        let own = self.0.node_id;
        let passed = leadership.wait_for(|now| now.leader.is_some_and(|leader| leader != own));
        let passed = timeout(limits::HAND_OVER_TIMEOUT, passed).await;
        passed.ok()?.ok()?.leader
    }

    /// The cluster as this leader knows it, and the log id of the membership it shows.
    pub(super) fn picture(&self) -> (Picture, Option<LogId>) {
        let metrics = raft::metrics(&self.0.raft);
        let seen = *metrics.membership_config.log_id();
        let retired = self.0.tables.figures().retired.clone();
        (picture(&metrics, retired), seen)
    }
}

fn member(id: u64, address: &str) -> BTreeMap<u64, Member> {
    let member = Member {
        address: address.to_owned(),
    };
    BTreeMap::from([(id, member)])
}

fn picture(metrics: &RaftMetrics, retired: BTreeSet<u64>) -> Picture {
    let membership = &metrics.membership_config;
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let last = metrics.last_log_index.unwrap_or(0);
    let replication = metrics.replication.as_ref();
    let heartbeat = metrics.heartbeat.as_ref();
    let seen = |id: &u64, member: &Member| {
        let leads = *id == metrics.id;
        let acked = heartbeat.and_then(|acks| acks.get(id).copied().flatten());
        let matched = replication.and_then(|matched| matched.get(id).copied().flatten());
        Seen {
            address: member.address.clone(),
            voter: voters.contains(id),
            withholds_vote: false,
            silent: if leads {
                Duration::ZERO
            } else {
                acked.map_or(Duration::MAX, |acked| acked.elapsed())
            },
            lag: if leads {
                Some(0)
            } else {
                matched.map(|matched| last.saturating_sub(matched.index))
            },
        }
    };
    Picture {
        leader: metrics.id,
        settled: membership.get_joint_config().len() == 1
            && metrics.committed_membership_config.log_id() == membership.log_id(),
        members: membership
            .nodes()
            .map(|(id, member)| (*id, seen(id, member)))
            .collect(),
        retired,
    }
}
