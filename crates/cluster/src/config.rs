//! What a node needs to know to take part in a cluster.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use spool::{Courses, policy::Document, ports::MailHost};
use tls::MutualTls;
use tokio::sync::watch;

use crate::certificates::CertificateEnd;

/// What a node needs to know to take part.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's id, unique in the cluster for ever.
    pub node_id: u64,
    /// Where RocksDB lives.
    pub data_dir: PathBuf,
    /// Where peers reach this node.
    pub listen: SocketAddr,
    /// What the others are told to reach it by, `host:port`.
    pub advertise: String,
    /// How this node is known to the Internet.
    pub mail_host: MailHost,
    /// How this node's deliveries are getting on, for whoever asks any node.
    pub courses: Arc<dyn Courses>,
    /// Until when this node's certificates are valid, for all uses; it changes when they are exchanged.
    pub certificates: watch::Receiver<Vec<CertificateEnd>>,
    /// How the cluster comes to be, at the first start.
    pub founding: Founding,
    /// The policy that is proposed when the cluster is founded.
    pub policy: Option<Document>,
    /// Certificates for the talk between peers; `None` only on loopback.
    pub tls: Option<Arc<MutualTls>>,
    /// How long a message may wait for the quorum.
    pub commit_timeout: Duration,
    /// Mail is refused while less is free on the data directory's disk.
    pub min_free_space: FreeSpace,
    /// How many applied entries stay in the log, for followers that lag; one that lags further gets
    /// a snapshot.
    pub log_keep: u64,
    /// How many octets the log may hold at most, pieces of bodies included. Older entries go, however
    /// few there are.
    pub log_keep_bytes: u64,
}

/// How a cluster comes to be. Matters only while the data directory is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Founding {
    /// Of this node alone.
    Bootstrap,
    /// Of these nodes, the same list on each: id and `host:port`.
    Members(Vec<(u64, String)>),
    /// It is there: its member at this `host:port` is asked to add this node.
    Join(String),
}

/// How much of a disk must stay free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeSpace {
    /// Hundredths of the disk's size.
    Percent(u8),
    /// Octets.
    Bytes(u64),
}

impl Founding {
    /// The ids of the nodes that found the cluster, in order; none when it is there.
    pub(crate) fn ids(&self, own: u64) -> Vec<u64> {
        let mut ids = match self {
            Self::Bootstrap => vec![own],
            Self::Members(members) => members.iter().map(|(id, _)| *id).collect(),
            Self::Join(_) => Vec::new(),
        };
        ids.sort_unstable();
        ids
    }

    /// How a founding node is reached, where the list says so.
    pub(crate) fn address_of(&self, id: u64) -> Option<&str> {
        match self {
            Self::Bootstrap | Self::Join(_) => None,
            Self::Members(members) => {
                let found = members.iter().find(|(member, _)| *member == id);
                found.map(|(_, address)| address.as_str())
            }
        }
    }
}
