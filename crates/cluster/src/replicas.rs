//! Whether all members have made the same of the log, octet for octet.

use futures::{Stream, stream::FuturesUnordered};
use tokio::time::timeout;

use crate::{
    Cluster, codec, limits, peer, raft,
    store::{self, GROUP, SpoolDigest},
};

/// One member's copy of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The member's id.
    pub id: u64,
    /// Where it is reached.
    pub address: String,
    /// What its copy hashes to, or why it did not say.
    pub digest: Result<SpoolDigest, String>,
}

impl Cluster {
    /// Asks every member at once what its copy of the spool hashes to; the answers as they come.
    pub fn replicas(&self) -> impl Stream<Item = Replica> + Send + 'static {
        let membership = raft::metrics(&self.0.raft).membership_config;
        let members = membership.nodes().map(|(id, member)| {
            let (cluster, id, address) = (self.clone(), *id, member.address.clone());
            async move {
                let digest = if id == cluster.node_id() {
                    cluster.digest().await
                } else {
                    cluster.digest_of(id, &address).await
                };
                Replica {
                    id,
                    address,
                    digest,
                }
            }
        });
        members.collect::<FuturesUnordered<_>>()
    }

    async fn digest(&self) -> Result<SpoolDigest, String> {
        let digest = store::digest(&self.0.tables, &self.0.stop).await;
        digest.map_err(|error| format!("reading the spool failed: {error}"))
    }

    async fn digest_of(&self, id: u64, address: &str) -> Result<SpoolDigest, String> {
        let client = self.0.peers.client(address, Some(id));
        let mut client = client.map_err(|error| error.to_string())?;
        let asked = client.digest(api::peer::v1::DigestRequest { group: GROUP });
        match timeout(limits::DIGEST_TIMEOUT, asked).await {
            Ok(Ok(answer)) => {
                let digest = codec::digest_from(answer.into_inner());
                digest.map_err(|error| error.to_string())
            }
            Ok(Err(status)) if status.code() == tonic::Code::Unimplemented => {
                Err("its version can not say; upgrade it".to_owned())
            }
            Ok(Err(status)) => Err(peer::status_words(&status)),
            Err(_) => Err(format!("no answer within {:?}", limits::DIGEST_TIMEOUT)),
        }
    }
}
