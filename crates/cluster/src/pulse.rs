//! Whether each member answers this node, how soon, and what time it is there.

use std::time::{Duration, Instant};

use api::peer::v1::HelloRequest;
use futures::future::join_all;
use tokio::time::timeout;

use crate::{Cluster, limits, peer, peer::PeerClient, raft};

/// What became of a greeting to another member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The member's id.
    pub id: u64,
    /// Where it is reached.
    pub address: String,
    /// What it answered, or why it did not.
    pub answer: Result<Answered, String>,
}

/// A member's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// From the question to the answer, over a connection that is open.
    pub took: Duration,
    /// By how many milliseconds its clock is ahead of this node's, give or take half of `took`; `None` from
    /// older nodes, which do not say.
    pub clock_ahead_ms: Option<i64>,
}

impl Cluster {
    /// Greets every other member, all at the same time; in order of their ids.
    pub async fn pulses(&self) -> Vec<Pulse> {
        let membership = raft::metrics(&self.0.raft).membership_config;
        let others = membership.nodes().filter(|(id, _)| **id != self.node_id());
        let asked = others.map(|(id, member)| async {
            Pulse {
                id: *id,
                address: member.address.clone(),
                answer: self.greet(*id, &member.address).await,
            }
        });
        join_all(asked).await
    }

    async fn greet(&self, id: u64, address: &str) -> Result<Answered, String> {
        let client = self.0.peers.client(address, Some(id));
        let mut client = client.map_err(|error| error.to_string())?;
        // The first one opens the connection.
        hello(&mut client).await?;
        let (asked, before) = (Instant::now(), self.0.clock.now());
        let theirs = hello(&mut client).await?;
        let took = asked.elapsed();
        let half_ms = i64::try_from(took.as_millis() / 2).unwrap_or(i64::MAX);
        let clock_ahead_ms = theirs.map(|theirs| {
            let ahead = i128::from(theirs) - i128::from(before.0) - i128::from(half_ms);
            i64::try_from(ahead).unwrap_or(i64::MAX)
        });
        Ok(Answered {
            took,
            clock_ahead_ms,
        })
    }
}

/// What time it is there, if it says so.
async fn hello(client: &mut PeerClient) -> Result<Option<u64>, String> {
    let asked = client.hello(HelloRequest::default());
    match timeout(limits::PEER_REPLY_TIMEOUT, asked).await {
        Ok(Ok(answer)) => Ok(answer.into_inner().now_ms),
        Ok(Err(status)) => Err(peer::status_words(&status)),
        Err(_) => Err(format!("no answer within {:?}", limits::PEER_REPLY_TIMEOUT)),
    }
}
