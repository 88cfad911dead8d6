//! What is damaged on this node's disk is fetched from another member: the body of a message that is
//! to be delivered, and a piece of one that the log of a follower may lack.

use api::peer::v1::{PieceRequest, PieceResponse};
use bytes::Bytes;
use spool::Message;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Cluster, codec, limits,
    peer::{PeerClient, Peers, status_words},
    raft::{self, LogId, Raft},
    store::{GROUP, Lost, MendError, Mending},
};

/// A body is damaged here, and stays so.
#[derive(Debug, thiserror::Error)]
pub enum Unmended {
    /// This node is the whole cluster.
    #[error("there is no other node that could have it whole")]
    Alone,
    /// What each of the other members said.
    #[error("no other node gave it whole: {0}")]
    NotGiven(String),
}

impl Cluster {
    /// Makes the body of a message whole with what another member has. Returns once it is fsync'd
    /// and was read back as it was accepted. One body is mended at a time: they come over the line
    /// that everything else needs, too.
    ///
    /// # Errors
    /// No member that answers has the body as it was accepted, or this node's disk does not take it.
    pub async fn mend(&self, message: &Message) -> Result<(), Unmended> {
        let mending = self.0.mending.lock().await;
        // Two that deliver it to two domains may have found it damaged.
        if mending.is_whole(&message.body).await {
            return Ok(());
        }
        let mut said = Vec::new();
        for (id, address) in others(&self.0.peers, &self.0.raft) {
            match self.mend_from(id, &address, message, &mending).await {
                Ok(()) => {
                    self.0.store.metrics().storage_bodies_mended.inc();
                    tracing::warn!(
                        id = %message.id,
                        from = id,
                        "the body of a message was damaged on this node and was fetched from \
                         another: check this node's disk"
                    );
                    return Ok(());
                }
                Err(error) => said.push(format!("node {id}: {error}")),
            }
        }
        if said.is_empty() {
            return Err(Unmended::Alone);
        }
        Err(Unmended::NotGiven(said.join("; ")))
    }

    async fn mend_from(
        &self,
        member: u64,
        address: &str,
        message: &Message,
        mending: &Mending,
    ) -> Result<(), MendError> {
        // A connection of its own, as for every purpose.
        let client = self.0.peers.client(address, Some(member));
        let client = client.map_err(MendError::Address)?;
        let fetch = |index| {
            let client = client.clone();
            async move { Ok(fetch(client, index).await?.piece) }
        };
        mending.mend(message, fetch).await
    }
}

/// Asks the other members for what can not be read here while the log is sent, until stopped.
pub(crate) async fn find_lost(
    peers: Peers,
    raft: Raft,
    mut wanted: mpsc::Receiver<Lost>,
    stop: CancellationToken,
) {
    while let Some(Lost { log_id, found }) = stop.run_until_cancelled(wanted.recv()).await.flatten()
    {
        let asked = stop.run_until_cancelled(ask_for(&peers, &raft, log_id));
        if let Some((from, piece)) = asked.await.flatten() {
            tracing::warn!(
                index = log_id.index,
                from,
                "a piece of the log can not be read on this node and was fetched from another, \
                 for a follower: check this node's disk"
            );
            drop(found.send(piece));
        }
    }
}

/// The piece that an entry carried, from the first member that has that very entry whole.
async fn ask_for(peers: &Peers, raft: &Raft, log_id: LogId) -> Option<(u64, Bytes)> {
    for (id, address) in others(peers, raft) {
        let Ok(client) = peers.client(&address, Some(id)) else {
            continue;
        };
        let Ok(answer) = fetch(client, log_id.index).await else {
            continue;
        };
        if answer.log_id.map(codec::log_id_from) == Some(log_id) {
            return Some((id, answer.piece));
        }
    }
    None
}

/// The other members, with their addresses.
fn others(peers: &Peers, raft: &Raft) -> Vec<(u64, String)> {
    let own = peers.identity().node_id;
    let membership = raft::metrics(raft).membership_config;
    let others = membership.nodes().filter(|(id, _)| **id != own);
    others
        .map(|(id, member)| (*id, member.address.clone()))
        .collect()
}

/// A piece as another member has it, or why it gave none.
async fn fetch(mut client: PeerClient, index: u64) -> Result<PieceResponse, String> {
    let asked = client.piece(PieceRequest {
        group: GROUP,
        index,
    });
    match timeout(limits::PIECE_REPLY_TIMEOUT, asked).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(status_words(&status)),
        Err(_) => Err(format!(
            "no answer within {:?}",
            limits::PIECE_REPLY_TIMEOUT
        )),
    }
}
