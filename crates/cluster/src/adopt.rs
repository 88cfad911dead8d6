//! Putting another policy in force, on every node before anyone is told that it is.
//!
//! ```text
//!   adopt ──▶ log ──▶ applied by the leader ──▶ every voter asked until it has applied it, too
//! ```
//!
//! A voter that does not say so within [`limits::ADOPTED_PATIENCE`] is named. That is longer than a node
//! without a quorum, or one that hears of a policy and does not get to apply it, keeps its SMTP port open;
//! and a port that is closed opens only when its node goes by the policy of the others (`leadership`): so
//! nobody begins to be answered by the old policy any more.

use std::time::Duration;

use api::peer::v1::HelloRequest;
use futures::future::join_all;
use spool::{Adopt, Command, Outcome, policy::Document};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{Cluster, limits, peer, raft};

/// How often a voter is asked. It applies what the leader has applied within a heartbeat or two.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A policy is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Its version.
    pub version: u64,
    /// Voters that did not say that they go by it, and why not: they are not there, or lag.
    pub silent: Vec<(u64, String)>,
}

/// Why a policy was not put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// There is none to be replaced.
    #[error("the cluster is not founded yet: it has no policy to replace")]
    NotFounded,
    /// It was made for another one.
    #[error(
        "policy {0} is in force by now, which somebody else has applied: look at it with `layover policy \
         diff FILE`, and apply yours again if it is to replace it"
    )]
    Overtaken(u64),
    /// The node that leads can not read it.
    #[error("the policy is not understood by the node that leads: {0}")]
    NotUnderstood(String),
    /// No quorum answered in time.
    #[error(
        "no quorum of nodes answered in time; the policy may come into force all the same: `layover policy \
         diff FILE` tells"
    )]
    NoQuorum,
}

impl Cluster {
    /// Puts a policy in the place of version `replaces`, for `by`. Returns when every voter that can be
    /// reached goes by it. One that is in force already stays so.
    ///
    /// # Errors
    /// Why it is not in force.
    pub async fn adopt(
        &self,
        policy: Document,
        replaces: u64,
        by: String,
    ) -> Result<Adopted, AdoptError> {
        let adopt = Command::Adopt(Adopt {
            policy,
            replaces,
            at: self.0.clock.now(),
            by,
        });
        let proposed = timeout(limits::REQUEST_TIMEOUT, self.0.proposer.propose(adopt)).await;
        let version = match proposed {
            Ok(Ok(Outcome::Adopted(version))) => version,
            Ok(Ok(Outcome::Overtaken(0))) => return Err(AdoptError::NotFounded),
            Ok(Ok(Outcome::Overtaken(version))) => return Err(AdoptError::Overtaken(version)),
            Ok(Ok(Outcome::NotUnderstood(why))) => return Err(AdoptError::NotUnderstood(why)),
            Ok(Ok(_) | Err(_)) | Err(_) => return Err(AdoptError::NoQuorum),
        };
        let silent = self.silent_about(version).await;
        Ok(Adopted { version, silent })
    }

    /// Waits until every voter goes by a policy of this version, or a later one. Returns who did not say
    /// so.
    async fn silent_about(&self, version: u64) -> Vec<(u64, String)> {
        let until = Instant::now() + limits::ADOPTED_PATIENCE;
        // Who votes stands in the same log: with the policy, this node knows whoever voted when that was
        // adopted. If it does not get there, it is named below, and the others are still asked.
        let half = Instant::now() + limits::ADOPTED_PATIENCE / 2;
        self.goes_by(version, half).await.ok();
        let membership = raft::metrics(&self.0.raft).membership_config;
        let voters = membership.voter_ids();
        let asked = voters.map(|id| {
            let address = membership
                .get_node(&id)
                .map(|member| member.address.clone());
            async move {
                let goes_by_it = if id == self.node_id() {
                    self.goes_by(version, until).await
                } else {
                    let address = address.unwrap_or_default();
                    self.other_goes_by(id, &address, version, until).await
                };
                goes_by_it.err().map(|why| (id, why))
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn goes_by(&self, version: u64, until: Instant) -> Result<(), String> {
        let mut changes = self.0.tables.changes();
        let applied = changes.wait_for(|_| self.0.tables.figures().policy_version() >= version);
        match timeout_at(until, applied).await {
            Ok(_) => Ok(()),
            Err(_) => Err("it lags behind the others".to_owned()),
        }
    }

    async fn other_goes_by(
        &self,
        id: u64,
        address: &str,
        version: u64,
        until: Instant,
    ) -> Result<(), String> {
        let client = self.0.peers.client(address, Some(id));
        let mut client = client.map_err(|error| error.to_string())?;
        loop {
            let asked = client.hello(HelloRequest::default());
            let answered = timeout(limits::PEER_REPLY_TIMEOUT, asked);
            let why = match timeout_at(until, answered).await {
                Ok(Ok(Ok(answer))) if answer.get_ref().policy_version >= version => return Ok(()),
                Ok(Ok(Ok(_))) => "it lags behind the others".to_owned(),
                Ok(Ok(Err(status))) => peer::status_words(&status),
                Ok(Err(_)) | Err(_) => "it does not answer".to_owned(),
            };
            if Instant::now() + ASK_AGAIN_AFTER >= until {
                return Err(why);
            }
            sleep(ASK_AGAIN_AFTER).await;
        }
    }
}
