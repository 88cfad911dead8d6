//! The port that peers connect to.

use std::{io, net::SocketAddr, sync::Arc};

use api::peer::v1::peer_server;
use tls::MutualTls;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::TcpIncoming};

use super::Served;
use crate::limits;

/// The bound port.
#[derive(Debug)]
pub(crate) struct PeerServer {
    listener: TcpListener,
    tls: Option<Arc<MutualTls>>,
}

impl PeerServer {
    pub(crate) async fn bind(address: SocketAddr, tls: Option<Arc<MutualTls>>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, tls })
    }
}

/// Serves peers until stopped.
pub(crate) async fn serve(
    server: PeerServer,
    served: Arc<Served>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let PeerServer { listener, tls } = server;
    let service = peer_server::PeerServer::from_arc(served)
        .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
    let router = Server::builder()
        .http2_keepalive_interval(Some(limits::PEER_KEEPALIVE))
        .http2_keepalive_timeout(Some(limits::PEER_KEEPALIVE))
        .initial_stream_window_size(limits::PEER_STREAM_WINDOW)
        .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW)
        .max_frame_size(Some(256 << 10))
        .add_service(service);
    let stop = stop.cancelled_owned();
    // Not tonic's own TLS: its certificates stay as they were at the start.
    match tls {
        Some(tls) => {
            let incoming = tls::incoming(listener, tls);
            router.serve_with_incoming_shutdown(incoming, stop).await
        }
        None => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            router.serve_with_incoming_shutdown(incoming, stop).await
        }
    }
}
