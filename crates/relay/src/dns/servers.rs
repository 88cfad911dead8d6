//! Which name servers are asked, and how.

use core::time::Duration;
use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::dnssec::TrustAnchors,
    system_conf::parse_resolv_conf,
};

use super::limits::{
    ANSWERS_KEPT_MAX, KEEP_MAX, KEEP_NONE_MAX, KEEP_NONE_MIN, QUERIES_MAX, QUERY_RETRIES,
    QUERY_TIMEOUT,
};

/// Where the system says which name servers to ask.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where the DNS has its port.
const PORT: u16 = 53;

/// Where it is known from whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// These.
    Listed(Vec<SocketAddr>),
    /// Those that this file names, in the form of [`RESOLV_CONF`].
    System(PathBuf),
}

/// Why it is not known whom to ask.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServersError {
    /// The file can not be read.
    #[error(
        "reading {} failed: {error}; mend it and reload the node, or list [dns] servers", file.display()
    )]
    Unreadable { file: PathBuf, error: io::Error },
    /// Nothing in it is of use.
    #[error(
        "{} is of no use: {error}; mend it and reload the node, or list [dns] servers", file.display()
    )]
    Unusable { file: PathBuf, error: NetError },
    /// The library says no.
    #[error("the resolver could not be made: {0}")]
    Resolver(#[from] NetError),
}

/// The ways to ask them.
#[derive(Debug)]
pub(super) struct Resolvers {
    /// For all questions but one.
    pub(super) caching: TokioResolver,
    /// For who sent a message: that there is no record is kept for a while in any case.
    pub(super) judging: TokioResolver,
    /// For what must be signed.
    pub(super) validating: TokioResolver,
    /// For the question whether they answer: what was kept of earlier answers says nothing of that.
    pub(super) probing: TokioResolver,
    /// Whom they ask.
    pub(super) addresses: Vec<SocketAddr>,
}

/// What is kept of answers.
struct Kept {
    answers: u64,
    /// For how long at least, that there is none.
    none_min: Option<Duration>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            answers: ANSWERS_KEPT_MAX,
            none_min: None,
        }
    }
}

impl Kept {
    fn of_strangers() -> Self {
        Self {
            none_min: Some(KEEP_NONE_MIN),
            ..Self::default()
        }
    }

    fn nothing() -> Self {
        Self {
            answers: 0,
            none_min: None,
        }
    }
}

impl Servers {
    pub(super) fn resolvers(&self, anchors: &Arc<TrustAnchors>) -> Result<Resolvers, ServersError> {
        let addresses = match self {
            Self::Listed(addresses) => addresses.clone(),
            Self::System(file) => read(file)?,
        };
        Ok(Resolvers {
            caching: resolver(&addresses, &Kept::default(), None)?,
            judging: resolver(&addresses, &Kept::of_strangers(), None)?,
            validating: resolver(&addresses, &Kept::default(), Some(anchors))?,
            probing: resolver(&addresses, &Kept::nothing(), None)?,
            addresses,
        })
    }
}

/// Its other settings, such as domains that are searched, are for people's short names.
fn read(file: &Path) -> Result<Vec<SocketAddr>, ServersError> {
    let text = fs::read(file).map_err(|error| ServersError::Unreadable {
        file: file.to_owned(),
        error,
    })?;
    let (config, _) = parse_resolv_conf(text).map_err(|error| ServersError::Unusable {
        file: file.to_owned(),
        error,
    })?;
    let address = |server: &NameServerConfig| SocketAddr::new(server.ip, PORT);
    Ok(config.name_servers().iter().map(address).collect())
}

fn resolver(
    addresses: &[SocketAddr],
    kept: &Kept,
    anchors: Option<&Arc<TrustAnchors>>,
) -> Result<TokioResolver, NetError> {
    let servers = addresses
        .iter()
        .map(|address| server(address.ip(), address.port()))
        .collect();
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = QUERY_TIMEOUT;
    options.attempts = QUERY_RETRIES;
    options.cache_size = kept.answers;
    options.positive_max_ttl = Some(KEEP_MAX);
    options.negative_min_ttl = kept.none_min;
    options.negative_max_ttl = Some(KEEP_NONE_MAX);
    options.max_active_requests = QUERIES_MAX;
    // What one machine calls another is no proof of anything, and not the same on all nodes.
    options.use_hosts_file = ResolveHosts::Never;
    if let Some(anchors) = anchors {
        // Which has it check signatures.
        builder = builder.with_trust_anchor(Arc::clone(anchors));
    }
    builder.build()
}

fn server(ip: IpAddr, port: u16) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(ip);
    for connection in &mut server.connections {
        connection.port = port;
    }
    server
}
