//! Who talks to whom, in the metadata of every call.

use std::sync::Arc;

use tonic::{
    Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
};

use crate::store::Tables;

const CLUSTER: &str = "layover-cluster";
const FROM: &str = "layover-from";
const TO: &str = "layover-to";
const ADDRESS: &str = "layover-address";
/// In the metadata of a refusal: which kind of stranger the caller is.
const REFUSAL: &str = "layover-refusal";

/// Why a caller does not belong here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It belongs to another cluster.
    Foreign,
    /// It was a member once.
    Removed,
}

impl Stranger {
    const fn word(self) -> &'static str {
        match self {
            Self::Foreign => "cluster",
            Self::Removed => "removed",
        }
    }

    fn refusal(self, why: String) -> Status {
        let mut status = Status::failed_precondition(why);
        let word = MetadataValue::from_static(self.word());
        status.metadata_mut().insert(REFUSAL, word);
        status
    }
}

/// Whether a call was refused because this node does not belong where it called.
pub(crate) fn stranger(status: &Status) -> Option<Stranger> {
    let word = status.metadata().get(REFUSAL)?.to_str().ok()?;
    [Stranger::Foreign, Stranger::Removed]
        .into_iter()
        .find(|kind| kind.word() == word)
}

/// This node, and the cluster it belongs to once that has a name.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node_id: u64,
    /// What the others are told to reach it by, `host:port`.
    pub(crate) address: String,
    pub(crate) tables: Arc<Tables>,
}

impl Identity {
    pub(crate) fn cluster(&self) -> Option<u128> {
        self.tables.figures().cluster
    }

    /// Writes who calls whom into a call.
    pub(super) fn sign(&self, metadata: &mut MetadataMap, to: Option<u64>) {
        metadata.insert(FROM, MetadataValue::from(self.node_id));
        if let Ok(address) = MetadataValue::try_from(self.address.as_str()) {
            metadata.insert(ADDRESS, address);
        }
        if let Some(to) = to {
            metadata.insert(TO, MetadataValue::from(to));
        }
        if let Some(cluster) = self.cluster()
            && let Ok(cluster) = MetadataValue::try_from(format!("{cluster:032x}"))
        {
            metadata.insert(CLUSTER, cluster);
        }
    }

    /// Refuses a call that is meant for another node, comes from another cluster, or from a node that
    /// was removed. A node that has no cluster yet is told its name by the log, so it listens to
    /// anyone who names it.
    pub(super) fn check(&self, metadata: &MetadataMap) -> Result<u64, Status> {
        let from: u64 = number(metadata.get(FROM))
            .ok_or_else(|| Status::invalid_argument("layover-from is missing"))?;
        if number(metadata.get(TO)).is_some_and(|to: u64| to != self.node_id) {
            return Err(Status::failed_precondition(format!(
                "this is node {}, not the node that was called",
                self.node_id
            )));
        }
        let theirs = metadata.get(CLUSTER).and_then(|value| value.to_str().ok());
        let theirs = theirs.and_then(|text| u128::from_str_radix(text, 16).ok());
        let (ours, retired) = {
            let figures = self.tables.figures();
            (figures.cluster, figures.retired.contains(&from))
        };
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Err(Stranger::Foreign.refusal(format!(
                    "node {} belongs to cluster {ours:032x}, the caller to {theirs:032x}",
                    self.node_id
                )))
            }
            _ if retired => {
                Err(Stranger::Removed.refusal(format!("node {from} was removed from this cluster")))
            }
            _ => Ok(from),
        }
    }
}

/// The address that a caller gives for itself. Nodes of version 0.1 give none.
pub(super) fn address(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(ADDRESS)?.to_str().ok()
}

fn number(value: Option<&MetadataValue<Ascii>>) -> Option<u64> {
    value?.to_str().ok()?.parse().ok()
}
