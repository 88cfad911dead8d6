//! What may be written on the command line.

mod cluster;
mod domain;
mod queue;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, fmt, path::PathBuf};

use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
    parser::ValueSource,
};
use clap_complete::Shell;

use crate::since::Since;

pub(crate) use cluster::{Certs, ClusterCommand};
pub(crate) use domain::{DomainCommand, PolicyCommand, RecipientsCommand};
#[cfg(test)]
pub(crate) use queue::State;
pub(crate) use queue::{Filter, List, QueueCommand, Selection};

/// What stands before the arguments that all commands have, below those of their own.
const FOR_ALL: &str = "Options of all commands";

/// Where a node on this machine is asked.
const HERE: &str = "127.0.0.1:7401";

/// Asks and steers a Layover cluster. Any node answers any command.
#[derive(Debug, Parser)]
#[command(name = "layover", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// A node's admin address; several are tried in turn.
    #[arg(
        long,
        global = true,
        help_heading = FOR_ALL,
        value_name = "ADDR",
        env = "LAYOVER_SERVER",
        value_delimiter = ',',
        value_parser = trimmed,
        default_value = HERE
    )]
    pub(crate) server: Vec<String>,
    /// Print one JSON document.
    #[arg(long, global = true, help_heading = FOR_ALL)]
    pub(crate) json: bool,
    /// Who changes something, as the audit log tells later.
    #[arg(
        long,
        global = true,
        help_heading = FOR_ALL,
        value_name = "WHO",
        env = "USER",
        default_value = "somebody"
    )]
    pub(crate) by: String,
    #[command(flatten)]
    pub(crate) tls: TlsFiles,
    #[command(subcommand)]
    pub(crate) command: Command,
}

fn trimmed(address: &str) -> Result<String, Infallible> {
    Ok(address.trim().to_owned())
}

impl Arguments {
    /// What the command line and the environment say. A usage error ends the program here, with exit code 2.
    pub(crate) fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut arguments = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        // A variable that is empty is as good as none; an option that is, is a slip.
        if matches.value_source("server") == Some(ValueSource::EnvVariable)
            && arguments.server.iter().all(String::is_empty)
        {
            arguments.server = vec![HERE.to_owned()];
        }
        arguments
    }
}

/// PEM files for nodes that listen beyond loopback.
#[derive(Debug, Default, Args)]
pub(crate) struct TlsFiles {
    /// The authority that signed the nodes' certificates.
    #[arg(long, global = true, help_heading = FOR_ALL, value_name = "FILE", env = "LAYOVER_TLS_CA")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The certificate to show to the nodes.
    #[arg(long, global = true, help_heading = FOR_ALL, value_name = "FILE", env = "LAYOVER_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, global = true, help_heading = FOR_ALL, value_name = "FILE", env = "LAYOVER_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// What the primary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Receiver {
    /// Postfix: a table of addresses, and where it is named.
    Postfix,
    /// Exchange Server: commands for its shell.
    Exchange,
    /// Rspamd: files in local.d.
    Rspamd,
    /// SpamAssassin: lines of local.cf.
    Spamassassin,
}

/// Arguments that make sense one by one, and not together.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Nodes, domains and their primaries, and what is wrong.
    Status,
    /// The same, drawn again every second. The arrows select a domain, q quits.
    Top,
    /// The messages in the spool.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Where a message came from and how its deliveries went, in the spool or gone.
    Trace {
        /// The message's id, as in the logs and in the reply to its sender.
        id: String,
    },
    /// Try now, ignoring every retry timer.
    Flush {
        /// Only this domain of the policy.
        domain: Option<String>,
        /// Show progress, and return once everything is delivered.
        #[arg(long)]
        wait: bool,
        /// Why; the audit log keeps it.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        reason: String,
    },
    /// Who changed what, and why.
    Audit {
        /// Only what was changed since then: 2h, 2026-01-31 or 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "TIME")]
        since: Option<Since>,
    },
    /// Deliver again what was delivered since a moment: the primary was restored from a copy of before.
    Replay {
        /// A moment (2026-01-31T12:00:00Z), or how long ago it was (6h, 2d).
        #[arg(long, value_name = "TIME")]
        since: Since,
        /// Only to recipients in this domain of the policy.
        #[arg(long)]
        domain: Option<String>,
    },
    /// On what all nodes agree: whose mail is taken, and where it goes.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The policy's domains and their primaries, and whose mail is kept back for a while.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// What is known of the recipients of a domain with recipients = "verify".
    #[command(subcommand)]
    Recipients(RecipientsCommand),
    /// The nodes and their Raft.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Whether all is set up rightly: DNS, certificates, clocks, disks, nodes, primaries. Exit code 1: it is not.
    Doctor {
        /// Only this domain of the policy, and the nodes.
        domain: Option<String>,
        /// Show also what is as it should be.
        #[arg(long)]
        all: bool,
        /// Look at nothing: print what lets the nodes' addresses pass at a primary.
        #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["domain", "all"])]
        allow_list: Option<Receiver>,
    },
    /// Sends a message through each node to the canary mailbox, and follows it. Exit code 1: not all have arrived.
    Drill {
        /// Only this domain of the policy; otherwise all that have a canary.
        domain: Option<String>,
    },
    /// What of the log of the node that is asked is shown; with a filter: shows that from now on, until its next start.
    LogLevel {
        /// A level, or levels of targets: debug, info,relay::outbound=debug. As usual: info.
        filter: Option<String>,
    },
    /// A consistent copy of the spool, for `layoverd restore --from DIR`.
    Backup {
        /// A new or empty directory of this machine.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// A script on standard output that completes commands in a shell. Needs no server.
    Completions {
        /// Whose script.
        shell: Shell,
    },
    /// Writes the man pages of all commands to a directory. Needs no server.
    Manual {
        /// Where to; it is made if it is missing.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}
