//! The admin service's port.

use std::{sync::Arc, time::Duration};

use api::admin::v1::admin_server::AdminServer;
use spool::policy::DOCUMENT_BYTES_MAX;
use tls::MutualTls;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::TcpIncoming};
use tracing::error;

use super::AdminService;

/// Room for a policy with its lists; one that is a little too large is to be told by how much.
const REQUEST_BYTES_MAX: usize = 2 * DOCUMENT_BYTES_MAX;

/// Longer than the wait for a quorum behind any of the answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A peer that is gone without a word is noticed within twice this.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Answers until the token is cancelled. Demands certificates where they are configured.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<MutualTls>>,
    service: Arc<AdminService>,
    stop: CancellationToken,
) {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<AdminServer<AdminService>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(api::ADMIN_DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors were made by the build");
    let router = Server::builder()
        .timeout(ANSWER_TIMEOUT)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(AdminServer::from_arc(service).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(health)
        .add_service(reflection);
    let stop = stop.cancelled_owned();
    let served = match tls {
        Some(tls) => {
            let incoming = tls::incoming(listener, tls);
            router.serve_with_incoming_shutdown(incoming, stop).await
        }
        None => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            router.serve_with_incoming_shutdown(incoming, stop).await
        }
    };
    if let Err(error) = served {
        error!(%error, "the admin service stopped");
    }
}
