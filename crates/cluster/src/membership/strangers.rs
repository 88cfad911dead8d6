//! Whether this node belongs to the cluster: asked of those who should know.

use std::collections::BTreeSet;

use api::peer::v1::HelloRequest;
use tokio::time::timeout;

use crate::{
    config::{Config, Founding},
    limits,
    peer::{Peers, Stranger, stranger},
    raft::StoredMembership,
};

/// What others say against this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// It was removed.
    Removed(String),
    /// Most say that it is of another cluster than they are.
    Foreign(String),
    /// Some say so: it is they who are of another cluster.
    Disputed(String),
}

/// Everyone this node knows of, with every address: members by their membership, and those that the
/// configuration names. The data of another cluster knows other addresses than the configuration.
pub(crate) fn known_members(
    config: &Config,
    membership: &StoredMembership,
) -> BTreeSet<(u64, String)> {
    let mut known = BTreeSet::new();
    if let Founding::Members(members) = &config.founding {
        known.extend(members.iter().cloned());
    }
    let members = membership.nodes();
    known.extend(members.map(|(id, member)| (*id, member.address.clone())));
    known.retain(|(id, _)| *id != config.node_id);
    known
}

/// Asks everyone whether this node belongs to their cluster. Those who do not answer do not count:
/// a node must be able to run while it is alone.
pub(crate) async fn ask_around(
    config: &Config,
    peers: &Peers,
    known: BTreeSet<(u64, String)>,
) -> Option<Complaint> {
    let ids: BTreeSet<u64> = known.iter().map(|(id, _)| *id).collect();
    let answers = known.into_iter().map(|(id, address)| async move {
        let mut client = peers.client(&address, None).ok()?;
        let hello = client.hello(HelloRequest::default());
        match timeout(limits::PEER_REPLY_TIMEOUT, hello).await {
            Ok(Err(status)) => {
                let kind = stranger(&status)?;
                Some((kind, id, address, status.message().to_owned()))
            }
            _ => None,
        }
    });
    let complaints: Vec<_> = futures::future::join_all(answers)
        .await
        .into_iter()
        .flatten()
        .collect();
    let dir = config.data_dir.display();
    let removed = complaints
        .iter()
        .find(|(kind, ..)| *kind == Stranger::Removed);
    if let Some((_, id, address, words)) = removed {
        // Only what a majority has committed is known of a removal, so one voice is enough.
        let who = format!("node {id} at {address} says: {words}");
        return Some(Complaint::Removed(removal(config, &who)));
    }
    let (_, id, address, words) = complaints.first()?;
    // One node with foreign data must not keep the others from running.
    let complaining: BTreeSet<u64> = complaints.iter().map(|(_, id, ..)| *id).collect();
    if complaining.len() * 2 <= ids.len() {
        return Some(Complaint::Disputed(format!(
            "node {id} at {address} is of another cluster: {words}"
        )));
    }
    let ours = peers.identity().cluster().unwrap_or_default();
    Some(Complaint::Foreign(format!(
        "data_dir {dir} belongs to cluster {ours:032x}, but node {id} at {address} does not: \
         {words}; use the data directory that belongs to this cluster"
    )))
}

/// What is said of a node that was removed.
pub(super) fn removal(config: &Config, who_says: &str) -> String {
    format!(
        "node {} was removed from its cluster and takes no part any more ({who_says}); to use this \
         machine again, empty data_dir {} and start it with a new id and `join`",
        config.node_id,
        config.data_dir.display()
    )
}
