//! Who talks to whom, in the metadata of every call.

use std::{str::FromStr, sync::Arc};

use tonic::{
    Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
};

use crate::store::Tables;

const CLUSTER: &str = "layover-cluster";
const FROM: &str = "layover-from";
const TO: &str = "layover-to";
const ADDRESS: &str = "layover-address";
const PROTOCOL: &str = "layover-protocol";

/// The number of the language that members speak: peer calls and the commands in the log. Raised when
/// a node of the number before would misunderstand something. Nodes that speak the same run side by
/// side, whatever their versions; others refuse each other, before the one puts into the log what
/// the other can not read.
const SPOKEN: u32 = 6;

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
        metadata.insert(PROTOCOL, MetadataValue::from(SPOKEN));
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

    /// Refuses a call that is meant for another node, comes from another cluster, from a node that was
    /// removed, or from one that speaks another protocol. A node that has no cluster yet is told its name by the log, so it listens to
    /// anyone who names it.
    pub(super) fn check(&self, metadata: &MetadataMap) -> Result<u64, Status> {
        let from: u64 = number(metadata.get(FROM))
            .ok_or_else(|| Status::invalid_argument("layover-from is missing"))?;
        speaks_the_same(from, metadata)?;
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

/// The first nodes did not say what they speak.
fn speaks_the_same(from: u64, metadata: &MetadataMap) -> Result<(), Status> {
    let spoken = number(metadata.get(PROTOCOL)).unwrap_or(1);
    if spoken == SPOKEN {
        return Ok(());
    }
    let (older, newer) = if spoken < SPOKEN {
        ("the caller", "this node")
    } else {
        ("this node", "the caller")
    };
    Err(Status::failed_precondition(format!(
        "node {from} speaks protocol {spoken}, this node {SPOKEN}: upgrade {older} to the version of {newer}"
    )))
}

/// The address that a caller gives for itself.
pub(super) fn address(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(ADDRESS)?.to_str().ok()
}

fn number<T: FromStr>(value: Option<&MetadataValue<Ascii>>) -> Option<T> {
    value?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(spoken: Option<u32>) -> Result<(), String> {
        let mut metadata = MetadataMap::new();
        if let Some(spoken) = spoken {
            metadata.insert(PROTOCOL, MetadataValue::from(spoken));
        }
        speaks_the_same(7, &metadata).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn nodes_that_do_not_speak_the_same_are_told_whom_to_upgrade() {
        assert_eq!(calls(Some(SPOKEN)), Ok(()));
        let newer = calls(Some(SPOKEN + 1)).unwrap_err();
        assert!(newer.ends_with("upgrade this node to the version of the caller"));
        for older in [None, Some(SPOKEN - 1)] {
            let why = calls(older).unwrap_err();
            let spoken = older.unwrap_or(1);
            let told = format!("node 7 speaks protocol {spoken}, this node {SPOKEN}: ");
            assert!(why.starts_with(&told), "{why}");
            assert!(why.ends_with("upgrade the caller to the version of this node"));
        }
    }
}
