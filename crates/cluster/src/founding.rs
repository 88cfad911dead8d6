//! How a cluster comes to be, and how a node recognises its own data directory.

use std::{collections::BTreeMap, fs, io};

use openraft::errors::{InitializeError, RaftError};
use tokio::time::timeout;

use crate::{
    config::{Config, Founding},
    disk, limits,
    peer::Peers,
    raft::{Member, Raft},
    start::StartError,
};

/// The file in a data directory that says whose it is. Written once, before anything else.
const NODE_FILE: &str = "NODE";

/// Claims an empty data directory for this node, or checks that it is this node's.
pub(crate) fn claim(config: &Config) -> Result<(), StartError> {
    let dir = &config.data_dir;
    let failed = |error: io::Error| {
        StartError(format!(
            "data_dir {} can not be used: {error}",
            dir.display()
        ))
    };
    fs::create_dir_all(dir).map_err(failed)?;
    let file = dir.join(NODE_FILE);
    let ours = describe(config);
    match fs::read_to_string(&file) {
        Ok(theirs) if theirs == ours => Ok(()),
        Ok(theirs) => Err(StartError(format!(
            "data_dir {} is not this node's: it says \"{}\", the configuration says \"{}\"; \
             give the node its own data_dir, or correct [node] id and [cluster] members",
            dir.display(),
            theirs.trim().replace('\n', ", "),
            ours.trim().replace('\n', ", "),
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk::create_synced(&file, &ours).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn describe(config: &Config) -> String {
    let ids = config.founding.ids(config.node_id);
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    format!(
        "layover data, format 1\nnode {}\nfounded by {}\n",
        config.node_id,
        ids.join(" ")
    )
}

/// Asks the founding members who answer whether they belong to the same cluster. Those who do not
/// answer are not asked again: a node must be able to start alone.
pub(crate) async fn ask_around(config: &Config, peers: &Peers) -> Result<(), StartError> {
    let Some(ours) = peers.identity().cluster() else {
        return Ok(());
    };
    let Founding::Members(members) = &config.founding else {
        return Ok(());
    };
    let asked = members
        .iter()
        .filter(|(id, _)| *id != config.node_id)
        .map(|(id, address)| async {
            let mut client = peers.client(address, None).ok()?;
            let hello = client.hello(api::peer::v1::HelloRequest {});
            match timeout(limits::PEER_REPLY_TIMEOUT, hello).await {
                Ok(Err(status)) if status.code() == tonic::Code::FailedPrecondition => {
                    Some((*id, address.clone(), status.message().to_owned()))
                }
                _ => None,
            }
        });
    let complaints: Vec<_> = futures::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect();
    let Some((id, address, words)) = complaints.first() else {
        return Ok(());
    };
    // One node with foreign data must not keep the others from starting.
    if complaints.len() * 2 <= members.len() {
        tracing::warn!(member = id, %address, reason = %words, "member is of another cluster");
        return Ok(());
    }
    Err(StartError(format!(
        "data_dir {} belongs to cluster {ours:032x}, but node {id} at {address} does not: \
         {words}; use the data directory that belongs to this cluster",
        config.data_dir.display()
    )))
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
    };
    match raft.initialize(members).await {
        // "Not allowed" is the answer of a node that has a log: the cluster is there.
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(StartError(format!("founding the cluster failed: {error}"))),
    }
}
