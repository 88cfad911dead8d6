//! A body that is damaged on this node's disk is fetched from another member.

use api::peer::v1::PieceRequest;
use bytes::Bytes;
use spool::Message;
use tokio::time::timeout;

use crate::{
    Cluster, limits,
    peer::{PeerClient, status_words},
    raft,
    store::{GROUP, MendError, Mending},
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
        let own = self.0.config.node_id;
        let membership = raft::metrics(&self.0.raft).membership_config;
        let others = membership.nodes().filter(|(id, _)| **id != own);
        let mut said = Vec::new();
        for (&id, member) in others {
            match self.mend_from(id, &member.address, message, &mending).await {
                Ok(()) => {
                    self.0.store.metrics().storage_bodies_mended.inc();
                    tracing::warn!(
                        message = %message.id,
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
        let fetch = |index| fetch(client.clone(), index);
        mending.mend(message, fetch).await
    }
}

/// A piece as another member has it, or why it gave none.
async fn fetch(mut client: PeerClient, index: u64) -> Result<Bytes, String> {
    let asked = client.piece(PieceRequest {
        group: GROUP,
        index,
    });
    match timeout(limits::PIECE_REPLY_TIMEOUT, asked).await {
        Ok(Ok(answer)) => Ok(answer.into_inner().piece),
        Ok(Err(status)) => Err(status_words(&status)),
        Err(_) => Err(format!(
            "no answer within {:?}",
            limits::PIECE_REPLY_TIMEOUT
        )),
    }
}
