//! Until when the certificates of each member are valid.
//!
//! Each node knows that of its own and tells it to whoever asks (hello). It is asked for when somebody wants to
//! see it: a certificate may be exchanged at any time.

use std::collections::BTreeMap;

use api::peer::v1 as pb;
use futures::future::join_all;
use spool::Timestamp;
use tokio::time::timeout;

use crate::{Cluster, limits, raft};

/// When a certificate ends that a node uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateEnd {
    /// What for: `smtp`, `cluster` or `admin`.
    pub usage: String,
    /// The last moment at which it is valid.
    pub not_after: Timestamp,
}

impl Cluster {
    /// The certificates of the members that tell of theirs, by their ids: those that are there, and new enough.
    pub async fn certificates(&self) -> BTreeMap<u64, Vec<CertificateEnd>> {
        let membership = raft::metrics(&self.0.raft).membership_config;
        let own = self.0.config.certificates.borrow().clone();
        let others = membership.nodes().filter(|(id, _)| **id != self.node_id());
        let asked = others.map(|(id, member)| self.certificates_of(*id, &member.address));
        let told = join_all(asked).await.into_iter().flatten();
        told.chain([(self.node_id(), own)]).collect()
    }

    async fn certificates_of(&self, id: u64, address: &str) -> Option<(u64, Vec<CertificateEnd>)> {
        let mut client = self.0.peers.client(address, Some(id)).ok()?;
        let hello = client.hello(pb::HelloRequest::default());
        let answer = timeout(limits::PEER_LOOK_TIMEOUT, hello).await;
        let told = answer.ok()?.ok()?.into_inner().certificates?;
        Some((id, from(told)))
    }
}

/// As it is told to others.
pub(crate) fn to(ends: &[CertificateEnd]) -> pb::Certificates {
    let ends = ends.iter().map(|end| pb::CertificateEnd {
        usage: end.usage.clone(),
        not_after_ms: end.not_after.0,
    });
    pb::Certificates {
        ends: ends.collect(),
    }
}

fn from(told: pb::Certificates) -> Vec<CertificateEnd> {
    let ends = told.ends.into_iter().map(|end| CertificateEnd {
        usage: end.usage,
        not_after: Timestamp(end.not_after_ms),
    });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let ends = ["cluster", "smtp"].map(|usage| CertificateEnd {
            usage: usage.to_owned(),
            not_after: Timestamp(1_772_357_400_000),
        });
        assert_eq!(from(to(&ends)), ends);
        assert_eq!(from(to(&[])), []);
    }
}
