//! The node file `layover.toml`: everything that belongs to one machine.
//!
//! ```text
//!   text ──file──▶ tables with the place of every value ──build──▶ Config, or one ConfigError
//! ```
//!
//! A [`Config`] that exists is sound: addresses fit each other, certificates match their keys, and
//! nothing is asked for that this version does not do.

mod build;
mod certificates;
mod fault;
mod file;
mod listening;
mod policy;
#[cfg(test)]
mod reference;
mod start;
#[cfg(test)]
mod tests;
mod users;
mod values;

use std::{
    fmt, fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use cluster::{Founding, FreeSpace};
use ipnet::IpNet;
use relay::{
    dns::{Anchors, Servers},
    inbound::PerMinute,
};
use spool::{Timestamp, policy::Document};
use tls::{MutualFiles, PemPair};

pub(crate) use users::{Role, User};
pub(crate) use values::host_of;

/// The port of the talk between nodes, where an address names none.
pub(crate) const PEER_PORT_DEFAULT: u16 = 7400;

/// Applied entries that stay in the log by default. Delivered bodies stay on the disk
/// as long as their entries; a member that lags further gets a snapshot.
pub(crate) const LOG_KEEP_DEFAULT: u64 = 16_384;

/// Octets that the log holds by default: some minutes of mail on a busy day, and little on any disk
/// that a spool should be on.
pub(crate) const LOG_KEEP_BYTES_DEFAULT: u64 = 1 << 30;

/// A node's configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Unique in the cluster for ever.
    pub(crate) node_id: u64,
    /// What the node calls itself in its banner, in EHLO and in `Received`.
    pub(crate) hostname: String,
    /// Where the spool lives.
    pub(crate) data_dir: PathBuf,
    /// Mail is refused while less is free there.
    pub(crate) min_free_space: FreeSpace,
    /// The SMTP side.
    pub(crate) smtp: Smtp,
    /// The talk between nodes.
    pub(crate) cluster: Peers,
    /// Where gRPC is served.
    pub(crate) admin_listen: SocketAddr,
    /// Certificates of the admin side; `None` only on loopback.
    pub(crate) admin_tls: Option<MutualFiles>,
    /// The HTTP side.
    pub(crate) http: Http,
    /// Whom the DNS is asked of.
    pub(crate) dns: Servers,
    /// What signatures in the DNS are checked by.
    pub(crate) anchors: Anchors,
    /// The policy file, read when the cluster is founded.
    pub(crate) policy_file: Option<PathBuf>,
    /// Where all of it was read; `None` where there is no file.
    pub(crate) source: Option<Source>,
}

/// A node file, and what it said when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    file: PathBuf,
    text: String,
}

/// `[smtp]`.
#[derive(Clone, Debug)]
pub(crate) struct Smtp {
    pub(crate) listen: Vec<SocketAddr>,
    /// Addresses under which the Internet sees this node.
    pub(crate) public_addresses: Vec<IpAddr>,
    /// Certificate chain and key, for STARTTLS.
    pub(crate) tls: Option<PemPair>,
    /// Others, for clients that ask for a name that one of them has; none without the first.
    pub(crate) certificates: Vec<PemPair>,
    pub(crate) max_message_size: u64,
    pub(crate) max_recipients: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_ip: usize,
    /// What one client may do in a minute.
    pub(crate) per_minute: PerMinute,
    /// Whose clients are limited only with all others together.
    pub(crate) trusted: Vec<IpNet>,
    /// Where every connection begins with a PROXY header.
    pub(crate) proxies: Vec<IpNet>,
    pub(crate) command_timeout: Duration,
    pub(crate) commit_timeout: Duration,
}

/// `[cluster]`.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: String,
    pub(crate) founding: Founding,
    /// `None` only where every address is loopback.
    pub(crate) tls: Option<MutualFiles>,
    /// Applied entries that stay in the log for members that lag.
    pub(crate) log_keep: u64,
    /// Octets that the log holds at most.
    pub(crate) log_keep_bytes: u64,
}

/// `[http]`.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    /// Who may see pages.
    pub(crate) trusted: Vec<IpNet>,
    /// Who may read `/metrics`.
    pub(crate) metrics_trusted: Vec<IpNet>,
    /// By which names the page may be asked for, in normal form: this node's, that by which other nodes reach it, and
    /// what else it is called.
    pub(crate) names: Vec<String>,
    /// Who may log in to the page; where nobody is listed, all who are trusted use it.
    pub(crate) users: Vec<User>,
}

/// The first thing that is wrong with a file: one line, which an editor can jump to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ConfigError {
    file: PathBuf,
    line: usize,
    column: usize,
    message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file.display(),
            self.line,
            self.column,
            self.message
        )
    }
}

/// All that is wrong with a file, one mistake at least.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// One line: the first of them, and how many more there are.
    pub(crate) fn summary(&self) -> String {
        let first = self.0.first().map(ToString::to_string).unwrap_or_default();
        match self.0.len().saturating_sub(1) {
            0 => first,
            more => format!("{first} (and {more} more; `layoverd check` tells all)"),
        }
    }
}

impl fmt::Display for ConfigErrors {
    /// One line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl ConfigError {
    fn at(file: &Path, text: &str, offset: usize, message: &str) -> Self {
        let (line, column) = spool::policy::line_and_column(text, offset);
        Self {
            file: file.to_owned(),
            line,
            column,
            message: spool::policy::one_line(message),
        }
    }

    fn unreadable(file: &Path, error: &io::Error) -> Self {
        let message = format!("reading the file failed: {error}; it must exist and be readable");
        Self::at(file, "", 0, &message)
    }
}

impl Config {
    /// Reads and checks the node file; certificates must be valid at the given moment.
    pub(crate) fn read(file: &Path, now: Timestamp) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(file).map_err(|error| ConfigError::unreadable(file, &error))?;
        let tables = file::parse(&text)
            .map_err(|fault| ConfigError::at(file, &text, fault.offset, &fault.message))?;
        let config = build::build(tables, now)
            .map_err(|fault| ConfigError::at(file, &text, fault.offset, &fault.message))?;
        let file = file.to_owned();
        Ok(Self {
            source: Some(Source { file, text }),
            ..config
        })
    }

    /// What is on the disk with which a node could not start, whatever else its file says.
    pub(crate) fn check_start(&self) -> Result<(), ConfigError> {
        let Some(source) = &self.source else {
            return Ok(());
        };
        let at = |fault: fault::Fault| {
            ConfigError::at(&source.file, &source.text, fault.offset, &fault.message)
        };
        let tables = file::parse(&source.text).map_err(at)?;
        start::check(self, &tables).map_err(at)
    }

    /// What has become of the node file since it was read, if anything: better told now than at the next start.
    pub(crate) fn news(&self, now: Timestamp) -> Option<String> {
        let source = self.source.as_ref()?;
        match Self::read(&source.file, now) {
            Err(error) => Some(format!("this node would not start again with it: {error}")),
            Ok(read) if read.source.as_ref() != Some(source) => Some(
                "it was changed since this node was started, and is used as it is now from the next start on"
                    .to_owned(),
            ),
            Ok(_) => None,
        }
    }

    /// Reads and checks the policy file and the files that it names, if there is one.
    pub(crate) fn read_policy(&self) -> Result<Option<Document>, ConfigErrors> {
        let policy = self.policy_file.as_ref().map(|file| policy::read(file));
        policy.transpose()
    }
}
