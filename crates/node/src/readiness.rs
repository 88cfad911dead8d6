//! Whether this node takes mail.

use cluster::Cluster;
use spool::Intake as _;

/// Why the node takes no mail, as a sentence without its full stop; `None` when it does.
pub(crate) fn obstacle(cluster: &Cluster) -> Option<String> {
    if cluster.policy().is_none() {
        return Some("the cluster is not founded yet, or this node has not heard of it".to_owned());
    }
    if !cluster.votes() {
        return Some(
            "this node is no voter of its cluster: it is being added, or was removed".to_owned(),
        );
    }
    if let Err(refusal) = cluster.ready() {
        return Some(refusal.to_string());
    }
    (!*cluster.accepting().borrow())
        .then(|| "this node sees no quorum, or its storage has failed".to_owned())
}
