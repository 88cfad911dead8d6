//! Asks nodes how they are, before something is done that hangs on them.

use std::time::Duration;

use api::peer::v1 as pb;
use futures::future::join_all;
use tokio::time::timeout;

use super::{
    Change,
    changer::Changer,
    rules::{self, Picture, Seen},
};
use crate::{
    limits, peer,
    raft::{self, LogId},
};

impl Changer {
    /// The picture as [`Changer::picture`] has it, with those on whom the change hangs asked just now: who died a
    /// moment ago still counts as there by what it last said.
    pub(super) async fn picture_after_asking(&self, change: &Change) -> (Picture, Option<LogId>) {
        let (mut picture, seen) = self.picture();
        let asked = rules::hangs_on(&picture, change);
        let answers = asked.into_iter().map(async |(id, address)| {
            let answer = timeout(limits::ASKING_PATIENCE, self.greet(id, &address)).await;
            let is_late = || Err(format!("node {id} at {address} does not answer in time"));
            (id, answer.unwrap_or_else(|_| is_late()))
        });
        for (id, answer) in join_all(answers).await {
            if let Some(seen) = picture.members.get_mut(&id) {
                note(seen, answer);
            }
        }
        (picture, seen)
    }

    /// Meets a node at the address it is said to have, so that no typing error becomes a member.
    pub(super) async fn greet(&self, id: u64, address: &str) -> Result<pb::HelloResponse, String> {
        let unreached = |why: String| {
            format!("node {id} can not be reached at {address}: {why}; see that it runs there")
        };
        let mut client = self
            .0
            .peers
            .client(address, Some(id))
            .map_err(|error| unreached(error.to_string()))?;
        let hello = client.hello(pb::HelloRequest::default());
        match timeout(limits::PEER_REPLY_TIMEOUT, hello).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(unreached(peer::status_words(&status))),
            Err(_) => Err(unreached("it does not answer in time".to_owned())),
        }
    }

    /// # Errors
    /// One sentence: why the node at this address can not be added.
    pub(super) async fn greet_new(&self, id: u64, address: &str) -> Result<(), String> {
        if self.greet(id, address).await?.waits {
            return Ok(());
        }
        Err(format!(
            "node {id} at {address} does not wait to be added; start it on an empty data \
             directory with `join` in [cluster] of its node file"
        ))
    }

    /// Whether a node would vote, by its own word.
    pub(super) async fn would_vote(&self, id: u64) -> bool {
        let membership = raft::metrics(&self.0.raft).membership_config;
        let Some(member) = membership.get_node(&id) else {
            return false;
        };
        match self.greet(id, &member.address).await {
            Ok(answer) => !answer.withholds_vote,
            Err(why) => {
                tracing::debug!(why, "a node that has caught up is no voter yet");
                false
            }
        }
    }
}

fn note(seen: &mut Seen, answer: Result<pb::HelloResponse, String>) {
    match answer {
        Ok(answer) => seen.withholds_vote = answer.withholds_vote,
        Err(why) => {
            tracing::debug!(
                why,
                "a voter does not count for the change that is asked for"
            );
            seen.silent = Duration::MAX;
        }
    }
}
