//! The node file as it is written: every key, and the default of what is left out.

use std::{path::PathBuf, time::Duration};

use cluster::FreeSpace;
use serde::Deserialize;
use toml::Spanned;

use super::{
    fault::Fault,
    users::UserTable,
    values::{HostName, Listen, NameServer, Network, PublicAddress, Reach, Share, Size, Span},
};

pub(super) fn parse(text: &str) -> Result<File, Fault> {
    toml::from_str(text).map_err(|error| Fault {
        offset: error.span().map_or(0, |span| span.start),
        message: error.message().to_owned(),
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) node: NodeTable,
    #[serde(default)]
    pub(super) smtp: SmtpTable,
    pub(super) cluster: Spanned<ClusterTable>,
    #[serde(default)]
    pub(super) admin: AdminTable,
    #[serde(default)]
    pub(super) http: HttpTable,
    #[serde(default)]
    pub(super) dns: DnsTable,
    #[serde(default)]
    pub(super) policy: PolicyTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeTable {
    pub(super) id: Spanned<u64>,
    pub(super) hostname: Spanned<String>,
    #[serde(default = "default_data_dir")]
    pub(super) data_dir: Spanned<PathBuf>,
    #[serde(default = "default_share")]
    pub(super) min_free_space: Share,
}

fn default_data_dir() -> Spanned<PathBuf> {
    Spanned::new(0..0, PathBuf::from("/var/lib/layover"))
}

fn default_share() -> Share {
    Share(FreeSpace::Percent(10))
}

/// Recipients that one client may guess in a minute: far more than a sender with an old list names by himself.
const UNKNOWN_PER_MINUTE: u32 = 300;

/// A PEM file; an empty path is none.
pub(super) type PemFile = Option<Spanned<PathBuf>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SmtpTable {
    pub(super) listen: Spanned<Vec<Listen>>,
    pub(super) public_addresses: Vec<PublicAddress>,
    pub(super) tls_cert: PemFile,
    pub(super) tls_key: PemFile,
    pub(super) certificate: Vec<CertificateTable>,
    pub(super) max_message_size: Spanned<Size>,
    pub(super) max_recipients: Spanned<u32>,
    pub(super) max_connections: Spanned<u32>,
    pub(super) max_connections_per_ip: Spanned<u32>,
    pub(super) max_connections_per_minute_per_ip: u32,
    pub(super) max_messages_per_minute_per_ip: u32,
    pub(super) max_recipients_per_minute_per_ip: u32,
    pub(super) max_unknown_recipients_per_minute_per_ip: u32,
    pub(super) trusted: Vec<Network>,
    pub(super) command_timeout: Spanned<Span>,
    pub(super) proxy_protocol_from: Vec<Network>,
    pub(super) commit_timeout: Spanned<Span>,
}

impl Default for SmtpTable {
    fn default() -> Self {
        let any = |address: &str| Listen(address.parse().expect("written as an address"));
        Self {
            listen: unwritten(vec![any("0.0.0.0:25"), any("[::]:25")]),
            public_addresses: Vec::new(),
            tls_cert: None,
            tls_key: None,
            certificate: Vec::new(),
            max_message_size: unwritten(Size(50 << 20)),
            max_recipients: unwritten(1000),
            max_connections: unwritten(2000),
            max_connections_per_ip: unwritten(50),
            max_connections_per_minute_per_ip: 0,
            max_messages_per_minute_per_ip: 0,
            max_recipients_per_minute_per_ip: 0,
            max_unknown_recipients_per_minute_per_ip: UNKNOWN_PER_MINUTE,
            trusted: Vec::new(),
            command_timeout: unwritten(Span(Duration::from_secs(5 * 60))),
            proxy_protocol_from: Vec::new(),
            commit_timeout: unwritten(Span(Duration::from_secs(60))),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CertificateTable {
    pub(super) cert: PemFile,
    pub(super) key: PemFile,
}

fn unwritten<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterTable {
    #[serde(default = "default_cluster_listen")]
    pub(super) listen: Spanned<Listen>,
    pub(super) advertise: Option<Spanned<Reach>>,
    pub(super) bootstrap: Option<Spanned<bool>>,
    pub(super) members: Option<Spanned<Vec<MemberTable>>>,
    pub(super) join: Option<Spanned<String>>,
    pub(super) log_keep: Option<Spanned<u64>>,
    pub(super) log_keep_size: Option<Spanned<Size>>,
    pub(super) tls_ca: PemFile,
    pub(super) tls_cert: PemFile,
    pub(super) tls_key: PemFile,
}

fn default_cluster_listen() -> Spanned<Listen> {
    Spanned::new(0..0, Listen(([127, 0, 0, 1], 7400).into()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberTable {
    pub(super) id: Spanned<u64>,
    pub(super) address: Spanned<Reach>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AdminTable {
    pub(super) listen: Spanned<Listen>,
    pub(super) tls_ca: PemFile,
    pub(super) tls_cert: PemFile,
    pub(super) tls_key: PemFile,
}

impl Default for AdminTable {
    fn default() -> Self {
        let listen = unwritten(Listen(([127, 0, 0, 1], 7401).into()));
        Self {
            listen,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpTable {
    pub(super) listen: Spanned<Listen>,
    pub(super) trusted: Vec<Network>,
    pub(super) metrics_trusted: Vec<Network>,
    pub(super) names: Vec<HostName>,
    pub(super) user: Vec<UserTable>,
}

impl Default for HttpTable {
    fn default() -> Self {
        let loopback = || {
            ["127.0.0.0/8", "::1/128"]
                .map(|network| Network(network.parse().expect("written as a network")))
                .to_vec()
        };
        Self {
            listen: unwritten(Listen(([127, 0, 0, 1], 7402).into())),
            trusted: loopback(),
            metrics_trusted: loopback(),
            names: Vec::new(),
            user: Vec::new(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DnsTable {
    pub(super) servers: Vec<NameServer>,
    /// An empty path is none.
    pub(super) trust_anchors: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PolicyTable {
    pub(super) initial: Option<PathBuf>,
}
