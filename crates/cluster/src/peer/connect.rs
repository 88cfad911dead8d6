//! Connections to other nodes.

use std::{error::Error as _, io, sync::Arc};

use api::peer::v1::peer_client;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tls::MutualTls;
use tonic::{
    Request,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Uri},
};
use tower::ServiceExt as _;

use super::{contact::Contacts, identity::Identity};
use crate::limits;

/// Opens connections to peers.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    identity: Identity,
    tls: Option<Arc<MutualTls>>,
    contacts: Contacts,
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
    pub(crate) fn new(identity: Identity, tls: Option<Arc<MutualTls>>) -> Self {
        Self {
            identity,
            tls,
            contacts: Contacts::default(),
        }
    }

    pub(super) const fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// Tells the log, once, that a member turns this node away.
    pub(crate) fn refused_by(&self, member: u64, address: &str, reason: &str) {
        self.contacts.with(member, address).refused(reason);
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A client of the node at an address. It connects when it is first used, and again whenever
    /// the connection is lost. `to` is the id that is expected there, if one is.
    pub(crate) fn client(&self, address: &str, to: Option<u64>) -> io::Result<PeerClient> {
        let channel = self.channel(address).map_err(io::Error::other)?;
        let signed = Signed {
            identity: self.identity.clone(),
            to,
        };
        Ok(peer_client::PeerClient::with_interceptor(channel, signed)
            .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX))
    }

    fn channel(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        // "http" also over TLS: with "https" tonic would want certificates of its own, which it
        // could not exchange.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(limits::PEER_CONNECT_TIMEOUT)
            .http2_keep_alive_interval(limits::PEER_KEEPALIVE)
            .keep_alive_timeout(limits::PEER_KEEPALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(limits::PEER_STREAM_WINDOW)
            .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW)
            .tcp_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            return Ok(endpoint.connect_lazy());
        };
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits::PEER_CONNECT_TIMEOUT));
        let host = tls::host_of(address).to_owned();
        // The certificates are those of the moment, at every connection.
        let connector = tower::service_fn(move |uri: Uri| {
            let (tcp, tls, host) = (tcp.clone(), Arc::clone(&tls), host.clone());
            async move {
                let stream = tcp.oneshot(uri).await.map_err(io::Error::other)?;
                let stream = tls.connect(&host, stream.into_inner()).await?;
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}

/// What a peer said, or what went wrong on the way to it.
pub(crate) fn status_words(status: &tonic::Status) -> String {
    let mut cause: Option<&dyn std::error::Error> = status.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    match cause {
        Some(cause) => tls::in_words(cause),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}
