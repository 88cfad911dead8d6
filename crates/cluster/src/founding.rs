//! How a cluster comes to be.

use std::collections::BTreeMap;

use openraft::errors::{InitializeError, RaftError};

use crate::{
    claim,
    config::{Config, Founding},
    failure::StartError,
    membership::{self, Complaint},
    peer::Peers,
    raft::{Member, Raft, StoredMembership},
};

/// Asks the members who answer whether this node belongs to their cluster. Those who do not answer
/// are not waited for: a node must be able to start alone.
pub(crate) async fn ask_members(
    config: &Config,
    peers: &Peers,
    stored: &StoredMembership,
) -> Result<(), StartError> {
    // A cluster that has no name yet knows no strangers.
    if peers.identity().cluster().is_none() {
        return Ok(());
    }
    let known = membership::known_members(config, stored);
    match membership::ask_around(config, peers, known).await {
        None => Ok(()),
        Some(Complaint::Disputed(why)) => {
            tracing::warn!("{why}");
            Ok(())
        }
        Some(Complaint::Foreign(why)) => Err(StartError(why)),
        Some(Complaint::Removed(why)) => {
            if let Err(error) = claim::mark_removed(&config.data_dir, &why) {
                tracing::warn!(%error, "noting in the data directory that this node was removed failed");
            }
            Err(StartError(why))
        }
    }
}

/// Founds the cluster, if it has not been founded. All founding members do this with the same
/// list, so it does not matter who is first.
pub(crate) async fn initialize(config: &Config, raft: &Raft) -> Result<(), StartError> {
    let members: BTreeMap<u64, Member> = match &config.founding {
        Founding::Bootstrap => [(
            config.node_id,
            Member {
                address: config.advertise.clone(),
            },
        )]
        .into(),
        Founding::Members(members) => members
            .iter()
            .map(|(id, address)| {
                (
                    *id,
                    Member {
                        address: address.clone(),
                    },
                )
            })
            .collect(),
        // Whoever has the cluster sends it to this node.
        Founding::Join(_) => return Ok(()),
    };
    match raft.initialize(members).await {
        // "Not allowed" is the answer of a node that has a log: the cluster is there.
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(StartError(format!("founding the cluster failed: {error}"))),
    }
}
