//! Who is a member, and who leads: changed one at a time, on the leader, asked for anywhere.
//!
//! ```text
//!   Cluster::change ──▶ Changer ── leads ──▶ rules ──▶ openraft (joint consensus)
//!   (operator, or a      │   ▲          asks those on whom it hangs, first
//!    node that joins)    └───┘ to the leader's, when another leads
//!
//!   Finisher     on the leader: a learner that has caught up becomes a voter, and a change that
//!                an earlier leader left half done is ended
//!   Belonging    on every node: joins, tells a new address, notices that it does not belong here
//! ```
//!
//! Who was removed is known from the log of memberships itself: the batch that applies a membership
//! without a node retires the node's id.

mod asking;
mod belonging;
mod changer;
mod finisher;
mod rules;
mod strangers;

use std::{sync::Arc, time::Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use belonging::is_blank;
pub(crate) use changer::{Changer, Refused, Tried};
pub(crate) use strangers::{Complaint, ask_around, known_members};

use crate::{Cluster, Config, seldom::Seldom, signals::Signals, tasks::Tasks};

/// Starts what changes members without being asked, and what looks after this node's own place.
pub(crate) fn start(
    tasks: &mut Tasks,
    changer: &Changer,
    config: &Arc<Config>,
    heard: watch::Receiver<Option<Instant>>,
    signals: &Arc<Signals>,
    stop: &CancellationToken,
) {
    tasks.spawn(
        "ending changes of members",
        finisher::finish_changes(changer.clone(), stop.clone()),
    );
    let belonging = belonging::Belonging {
        config: Arc::clone(config),
        raft: changer.0.raft.clone(),
        tables: Arc::clone(&changer.0.tables),
        peers: changer.0.peers.clone(),
        heard,
        signals: Arc::clone(signals),
        said: Seldom::default(),
    };
    tasks.spawn("belonging to the cluster", belonging.run(stop.clone()));
}

/// A change of who is a member or who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a node: a learner at first, a voter as soon as it has caught up.
    Add {
        /// Its id, never used before.
        id: u64,
        /// `host:port` of its peer service.
        address: String,
        /// Whether the node itself asks, because its log is empty.
        blank: bool,
    },
    /// Removes a member for ever. One that leads hands leadership over first.
    Remove {
        /// Its id.
        id: u64,
    },
    /// Hands leadership over.
    Transfer {
        /// The voter that is to lead.
        to: u64,
    },
    /// Notes a member's new address.
    Move {
        /// Its id.
        id: u64,
        /// `host:port` of its peer service.
        address: String,
    },
}

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// False when it was so before.
    pub changed: bool,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It is against the rules, or another one is under way: one sentence that says why and what
    /// would be right.
    #[error("{0}")]
    Refused(String),
    /// No leader carried it out in time.
    #[error(
        "no leader carried it out in time, though it may still be done; \
         `layover cluster status` shows who is a member and who is there"
    )]
    NoLeader,
}

impl Cluster {
    /// Changes who is a member or who leads, through whichever node leads.
    ///
    /// # Errors
    /// It was refused, or no leader carried it out in time.
    pub async fn change(&self, change: &Change) -> Result<Changed, ChangeError> {
        match self.0.changer.change(change).await {
            Tried::Done(done) => Ok(done),
            Tried::Refused(refused) => Err(ChangeError::Refused(refused.why)),
            Tried::Again => Err(ChangeError::NoLeader),
        }
    }

    /// Whether this node votes. A learner takes no mail yet.
    #[must_use]
    pub fn votes(&self) -> bool {
        let metrics = crate::raft::metrics(&self.0.raft);
        let own = self.0.config.node_id;
        metrics.membership_config.voter_ids().any(|id| id == own)
    }
}
