//! The HTTP side: `/metrics`, `/healthz`, `/readyz`, and the web page.

mod door;
mod names;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use cluster::Cluster;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{
    admin::AdminService,
    config::Http,
    metrics::{self, Metrics},
    page,
    page::Page,
    readiness,
};

/// What the answers are made of.
#[derive(Debug)]
struct Site {
    cluster: Cluster,
    metrics: Metrics,
    settings: Http,
}

/// Answers until the token is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: Http,
    cluster: Cluster,
    metrics: Metrics,
    service: Arc<AdminService>,
    stop: CancellationToken,
) {
    let page = Arc::new(Page::new(service, settings.users.clone()));
    let known = [&settings.trusted[..], &settings.metrics_trusted].concat();
    let site = Arc::new(Site {
        cluster,
        metrics,
        settings,
    });
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route("/metrics", get(scrape))
        .merge(page::router(Arc::clone(&page)))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), admit))
        .with_state(site);
    tokio::join!(
        door::serve(listener, known, router, stop.clone()),
        page.count(stop)
    );
}

/// Lets only those through who may see what they ask for. Whether the node lives and takes mail is
/// no secret: whoever balances load asks it from anywhere, by any name.
async fn admit(
    State(site): State<Arc<Site>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let Http {
        trusted,
        metrics_trusted,
        names,
        ..
    } = &site.settings;
    let refusal = match request.uri().path() {
        "/healthz" | "/readyz" => None,
        "/metrics" => refusal(metrics_trusted, peer),
        _ => refusal(trusted, peer).or_else(|| names::refusal(names, &request)),
    };
    match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

fn refusal(networks: &[IpNet], peer: SocketAddr) -> Option<Response> {
    let words = "forbidden: this address is not among the trusted networks\n";
    (!is_in(networks, peer)).then(|| (StatusCode::FORBIDDEN, words).into_response())
}

fn is_in(networks: &[IpNet], peer: SocketAddr) -> bool {
    // A socket that listens on [::] shows IPv4 peers as ::ffff:a.b.c.d.
    let address = peer.ip().to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

async fn readiness(State(site): State<Arc<Site>>) -> Response {
    match readiness::obstacle(&site.cluster) {
        None => "ready\n".into_response(),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}\n"),
        )
            .into_response(),
    }
}

async fn scrape(State(site): State<Arc<Site>>) -> Response {
    match site.metrics.scrape().await {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::TYPE)], page).into_response(),
        Err(error) => {
            error!(%error, "writing the metrics failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_looked_up_by_its_own_address_in_either_family() {
        let networks = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        for peer in ["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "[::1]:1"] {
            assert!(is_in(&networks, peer.parse().unwrap()), "{peer}");
        }
        for peer in ["10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[::2]:1"] {
            assert!(!is_in(&networks, peer.parse().unwrap()), "{peer}");
        }
    }
}
