//! What may be written on the command line.

use std::{fmt, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::{certs::Name, doctor::Receiver, since::Since};

/// Asks and steers a Layover cluster. Any node answers any command.
#[derive(Debug, Parser)]
#[command(name = "layover", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// A node's admin address; several are tried in turn.
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "LAYOVER_SERVER",
        value_delimiter = ',',
        default_value = "127.0.0.1:7401"
    )]
    pub(crate) server: Vec<String>,
    /// Print one JSON document.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Who changes something, as the audit log tells later.
    #[arg(
        long,
        global = true,
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

/// PEM files for nodes that listen beyond loopback.
#[derive(Debug, Default, Args)]
pub(crate) struct TlsFiles {
    /// The authority that signed the nodes' certificates.
    #[arg(long, global = true, value_name = "FILE", env = "LAYOVER_TLS_CA")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The certificate to show to the nodes.
    #[arg(long, global = true, value_name = "FILE", env = "LAYOVER_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, global = true, value_name = "FILE", env = "LAYOVER_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
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

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Messages in order of arrival.
    List(List),
    /// How many messages stand in each domain's queue, by age.
    Summary,
    /// Envelope, attempts and header of one message.
    Show {
        /// The message's id, as in the logs and in the reply to its sender.
        id: String,
    },
    /// The message itself (.eml) on standard output, as it would leave.
    Export {
        /// The message's id.
        id: String,
    },
    /// Keep messages from being delivered until they are released.
    Hold(Selection),
    /// Let messages that are held be delivered again, each in its old place.
    Release(Selection),
    /// Drop messages for good. Of more than one it is asked first.
    Delete {
        #[command(flatten)]
        selection: Selection,
        /// Ask nothing.
        #[arg(long)]
        yes: bool,
    },
    /// Try messages now, also for recipients whom the primary has refused.
    Retry(Selection),
    /// Give messages up and tell their senders. Of more than one it is asked first.
    Bounce {
        #[command(flatten)]
        selection: Selection,
        /// Ask nothing.
        #[arg(long)]
        yes: bool,
    },
}

/// What to list.
#[derive(Debug, Default, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// At most this many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

/// Which messages to change: those that are named, or those that all of a filter applies to.
#[derive(Debug, Default, Args)]
pub(crate) struct Selection {
    /// The messages' ids.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Every message.
    #[arg(long)]
    pub(crate) all: bool,
    /// Why; the audit log keeps it.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Every domain: where its mail goes, how its primary is, what waits.
    List,
    /// Look at the primary step by step, from the node that is asked. Nothing is sent.
    Probe {
        /// The domain, as the policy names it.
        domain: String,
    },
    /// The last times in which no mail could leave, what waited at their ends, and how fast that was delivered.
    Outages {
        /// The domain, as the policy names it; all of them when left out.
        domain: Option<String>,
    },
    /// Take mail for a domain, and send none.
    Pause {
        /// The domain, as the policy names it.
        domain: String,
        /// For how long: 30m, 2h, 1d. Without it, until it is resumed.
        #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
        span: Option<Duration>,
        /// Why; the status shows it, and the audit log keeps it.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        reason: String,
    },
    /// Send a domain's mail again.
    Resume {
        /// The domain, as the policy names it.
        domain: String,
        /// Why; the audit log keeps it.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        reason: String,
    },
}

/// Which messages are meant.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Filter {
    /// With recipients in this domain of the policy. The whole message is meant; `delete` and `bounce`
    /// leave it alone while it has other recipients.
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// From this sender; "@example.com" for a whole domain, "<>" for the null sender.
    #[arg(long)]
    pub(crate) sender: Option<String>,
    /// To this recipient; "@example.com" for a whole domain. Of other recipients see --domain.
    #[arg(long)]
    pub(crate) recipient: Option<String>,
    /// In this state.
    #[arg(long)]
    pub(crate) state: Option<State>,
    /// Received at least this long ago: 90s, 15m, 1h, 2d.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) older: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// May be tried now.
    Waiting,
    /// To be tried later.
    Deferred,
    /// Not before an operator releases it.
    Held,
    /// Only recipients are left that the primary refused for good.
    Rejected,
}

impl State {
    /// The admin service's word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Deferred => "deferred",
            Self::Held => "held",
            Self::Rejected => "rejected",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// The policy in force, as it was written.
    Show,
    /// Put a policy in force on every node at once.
    Apply {
        /// The policy file; the files that it names are looked for from its folder on.
        file: PathBuf,
    },
    /// What a policy would change, line by line.
    Diff {
        /// The policy file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecipientsCommand {
    /// Who is known to be valid or unknown, since when, and from where.
    List {
        /// The domain, as the policy names it.
        domain: String,
    },
    /// Make addresses valid until they are forgotten, whatever the primary says.
    Add {
        /// The domain, as the policy names it.
        domain: String,
        /// Addresses, or local parts.
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },
    /// Forget what is known, so that the primary is asked again.
    Forget {
        /// The domain, as the policy names it.
        domain: String,
        /// Addresses, or local parts.
        #[arg(value_name = "ADDRESS", required_unless_present = "all")]
        addresses: Vec<String>,
        /// Everybody.
        #[arg(long, conflicts_with = "addresses")]
        all: bool,
    },
}

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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, error::ErrorKind};

    use super::*;

    fn parsed(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_before_and_behind_the_command() {
        for line in [
            "layover --json --server a:1 --server b:2 status",
            "layover status --json --server a:1,b:2",
        ] {
            let arguments = parsed(line).unwrap();
            assert!(arguments.json);
            assert_eq!(arguments.server, ["a:1", "b:2"]);
        }
    }

    #[test]
    fn without_a_server_the_local_node_is_asked() {
        assert_eq!(parsed("layover status").unwrap().server, ["127.0.0.1:7401"]);
    }

    #[test]
    fn the_list_takes_every_filter() {
        let line = "layover queue list --domain d --sender s --recipient r --state deferred --older 1h --limit 5";
        let Command::Queue(QueueCommand::List(List { filter, limit })) =
            parsed(line).unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!(filter.state, Some(State::Deferred));
        assert_eq!(filter.older, Some(Duration::from_secs(3600)));
        assert_eq!((filter.domain.as_deref(), limit), (Some("d"), Some(5)));
    }

    #[test]
    fn what_is_not_there_is_a_usage_error() {
        for (line, kind) in [
            (
                "layover",
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ),
            ("layover queue lose x", ErrorKind::InvalidSubcommand),
            ("layover queue hold --limit 5", ErrorKind::UnknownArgument),
            ("layover queue export", ErrorKind::MissingRequiredArgument),
            ("layover domain pause", ErrorKind::MissingRequiredArgument),
            (
                "layover domain pause d --for ever",
                ErrorKind::ValueValidation,
            ),
            ("layover audit --since soon", ErrorKind::ValueValidation),
            ("layover queue show", ErrorKind::MissingRequiredArgument),
            ("layover queue list --state new", ErrorKind::InvalidValue),
            ("layover replay", ErrorKind::MissingRequiredArgument),
            ("layover replay --since noon", ErrorKind::ValueValidation),
            ("layover trace", ErrorKind::MissingRequiredArgument),
            (
                "layover queue list --older soon",
                ErrorKind::ValueValidation,
            ),
            ("layover queue list --limit 0", ErrorKind::ValueValidation),
            (
                "layover recipients list",
                ErrorKind::MissingRequiredArgument,
            ),
            (
                "layover recipients add example.com",
                ErrorKind::MissingRequiredArgument,
            ),
            (
                "layover recipients forget example.com",
                ErrorKind::MissingRequiredArgument,
            ),
            (
                "layover recipients forget example.com a --all",
                ErrorKind::ArgumentConflict,
            ),
            ("layover domain probe", ErrorKind::MissingRequiredArgument),
            ("layover cluster add 4", ErrorKind::MissingRequiredArgument),
            ("layover cluster add 0 x:1", ErrorKind::ValueValidation),
            ("layover cluster remove four", ErrorKind::ValueValidation),
            ("layover cluster promote 4", ErrorKind::InvalidSubcommand),
            (
                "layover cluster certs dir",
                ErrorKind::MissingRequiredArgument,
            ),
            (
                "layover cluster certs dir mx1:7400",
                ErrorKind::ValueValidation,
            ),
            ("layover status --frob", ErrorKind::UnknownArgument),
            ("layover backup", ErrorKind::MissingRequiredArgument),
            ("layover completions tcsh", ErrorKind::InvalidValue),
            ("layover policy apply", ErrorKind::MissingRequiredArgument),
            ("layover policy edit x", ErrorKind::InvalidSubcommand),
        ] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.kind(), kind, "{line}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
