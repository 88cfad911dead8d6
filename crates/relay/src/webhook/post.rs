//! One POST of a JSON document.

use std::io;
use std::time::Duration;

use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use spool::policy::Webhook;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::outbound::connection::{Broken, server_name};
use crate::outbound::protection::Protection;
use crate::outbound::tls::Connectors;

const AGENT: &str = concat!("layover/", env!("CARGO_PKG_VERSION"));

/// Why a webhook did not take what it was told, or perhaps did not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untold {
    #[error("connecting failed: {0}")]
    Connect(io::Error),
    #[error("the tls handshake failed: {}", tls::in_words(.0))]
    Handshake(io::Error),
    #[error(transparent)]
    Unverifiable(#[from] Broken),
    #[error("its url is not understood: {0}")]
    Url(#[from] hyper::http::uri::InvalidUri),
    #[error("its url is not understood: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer that makes sense: {0}")]
    Http(#[from] hyper::Error),
    #[error("it answers {0}")]
    Refused(StatusCode),
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

/// Posts a document. Only a status of the class 2xx says that it was taken; nothing else of the answer is
/// read, and no redirection is followed.
///
/// # Errors
/// Why it was not taken, or perhaps was not.
pub(super) async fn post(
    webhook: &Webhook,
    connectors: &Connectors,
    body: String,
    patience: Duration,
) -> Result<(), Untold> {
    let status = timeout(patience, connect_and_ask(webhook, connectors, body))
        .await
        .map_err(|_| Untold::Silent(patience))??;
    if status.is_success() {
        Ok(())
    } else {
        Err(Untold::Refused(status))
    }
}

async fn connect_and_ask(
    webhook: &Webhook,
    connectors: &Connectors,
    body: String,
) -> Result<StatusCode, Untold> {
    let stream = TcpStream::connect(&webhook.host)
        .await
        .map_err(Untold::Connect)?;
    if !webhook.is_https {
        return ask(stream, webhook, body).await;
    }
    let connector = connectors
        .connector(&Protection::Verify)
        .map_err(Broken::Unverifiable)?;
    let name = server_name(&webhook.host)?;
    let stream = connector.connect(name, stream).await;
    ask(stream.map_err(Untold::Handshake)?, webhook, body).await
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    webhook: &Webhook,
    body: String,
) -> Result<StatusCode, Untold> {
    let uri: Uri = webhook.url.parse()?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::post(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .body(body)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answered = sender.send_request(request);
    tokio::pin!(answered);
    let answer = tokio::select! {
        biased;
        answer = &mut answered => answer?,
        // What it ended with, if it did not answer, is told by the request.
        _ = connection => answered.await?,
    };
    Ok(answer.status())
}
