//! The port that peers connect to.

use std::{io, net::SocketAddr, sync::Arc};

use api::peer::v1::peer_server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{
    Certificate, Identity as TlsIdentity, Server, ServerTlsConfig, server::TcpIncoming,
};

use super::Served;
use crate::{config::PeerTls, limits};

/// The bound port, with its certificates read.
#[derive(Debug)]
pub(crate) struct PeerServer {
    listener: TcpListener,
    tls: Option<ServerTlsConfig>,
}

impl PeerServer {
    pub(crate) async fn bind(address: SocketAddr, tls: Option<&PeerTls>) -> io::Result<Self> {
        let tls = match tls {
            None => None,
            Some(files) => Some(
                ServerTlsConfig::new()
                    .identity(TlsIdentity::from_pem(
                        std::fs::read(&files.cert)?,
                        std::fs::read(&files.key)?,
                    ))
                    .client_ca_root(Certificate::from_pem(std::fs::read(&files.ca)?)),
            ),
        };
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            tls,
        })
    }
}

/// Serves peers until stopped.
pub(crate) async fn serve(
    server: PeerServer,
    served: Arc<Served>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let mut builder = Server::builder()
        .initial_stream_window_size(limits::PEER_STREAM_WINDOW)
        .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW)
        .max_frame_size(Some(256 << 10));
    if let Some(tls) = server.tls {
        builder = builder.tls_config(tls)?;
    }
    let service = peer_server::PeerServer::from_arc(served)
        .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
    let incoming = TcpIncoming::from(server.listener).with_nodelay(Some(true));
    builder
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
}
