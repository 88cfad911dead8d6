//! Connections to other nodes.

use std::{error::Error as _, io};

use api::peer::v1::peer_client;
use tonic::{
    Request,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as TlsIdentity},
};

use super::identity::Identity;
use crate::{config::PeerTls, limits};

/// How often an idle connection is asked for a sign of life, and how long that may take.
const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(5);

/// Opens connections to peers.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    identity: Identity,
    tls: Option<ClientTlsConfig>,
}

/// Calls one peer.
pub(crate) type PeerClient = peer_client::PeerClient<InterceptedService<Channel, Signed>>;

/// Signs every call of one client.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    identity: Identity,
    to: Option<u64>,
}

impl Interceptor for Signed {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, tonic::Status> {
        self.identity.sign(request.metadata_mut(), self.to);
        Ok(request)
    }
}

impl Peers {
    /// Reads the certificates.
    pub(crate) fn new(identity: Identity, tls: Option<&PeerTls>) -> io::Result<Self> {
        let tls = match tls {
            None => None,
            Some(files) => {
                let pem = |path: &std::path::Path| std::fs::read(path);
                Some(
                    ClientTlsConfig::new()
                        .ca_certificate(Certificate::from_pem(pem(&files.ca)?))
                        .identity(TlsIdentity::from_pem(pem(&files.cert)?, pem(&files.key)?)),
                )
            }
        };
        Ok(Self { identity, tls })
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A client of the node at an address. It connects when it is first used, and again whenever
    /// the connection is lost. `to` is the id that is expected there, if one is.
    pub(crate) fn client(&self, address: &str, to: Option<u64>) -> io::Result<PeerClient> {
        let channel = self
            .endpoint(address)
            .map_err(io::Error::other)?
            .connect_lazy();
        let signed = Signed {
            identity: self.identity.clone(),
            to,
        };
        Ok(peer_client::PeerClient::with_interceptor(channel, signed)
            .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX))
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, tonic::transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
            .connect_timeout(limits::PEER_CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(limits::PEER_STREAM_WINDOW)
            .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW)
            .tcp_nodelay(true);
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.clone().domain_name(host_of(address))),
            None => Ok(endpoint),
        }
    }
}

/// What a peer said, or what went wrong on the way to it.
pub(crate) fn status_words(status: &tonic::Status) -> String {
    let mut cause: Option<&dyn std::error::Error> = status.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    match cause {
        Some(cause) => cause.to_string(),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address: what the peer's certificate
/// must name.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}
