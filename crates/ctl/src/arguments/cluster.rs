//! `layover cluster`: its nodes, and their certificates.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::certs::Name;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Every member: role, lag, when it last answered.
    Status,
    /// Add a node that was started with `join`, and wait until it is a voter.
    Add {
        /// Its id, never used before.
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
        /// Where the members reach it: HOST or HOST:PORT.
        address: String,
    },
    /// Remove a member for ever; its id can not be used again.
    Remove {
        /// Its id.
        id: u64,
    },
    /// Make a voter the leader.
    TransferLeader {
        /// Its id.
        id: u64,
    },
    /// Whether all nodes have the same spool, octet for octet.
    Verify,
    /// Lets everything go out of the answering node's log that is applied.
    Snapshot,
    /// Makes a private authority, and a certificate for each name. Needs no server.
    Certs(Certs),
}

/// What certificates to make.
#[derive(Debug, Args)]
pub(crate) struct Certs {
    /// Where the files are, or are to be.
    pub(crate) dir: PathBuf,
    /// How the other nodes reach a node, without a port: a host name or an IP address.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<Name>,
    /// Where a name has a certificate, make a new one for its key.
    #[arg(long)]
    pub(crate) renew: bool,
}
