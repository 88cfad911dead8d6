//! Fetches an MTA-STS policy (RFC 8461 section 3.3): over HTTPS with a public authority's certificate, no redirection.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dns::Dns;
use crate::doctor::limits::{POLICY_BYTES_MAX, POLICY_TIMEOUT};
use crate::outbound::connection::{Broken, server_name};
use crate::outbound::protection::Protection;
use crate::outbound::tls::Connectors;
use crate::route::exchanges::Addresses;
use crate::route::lookups;

const AGENT: &str = concat!("layover/", env!("CARGO_PKG_VERSION"));

const PATH: &str = "/.well-known/mta-sts.txt";

const HTTPS: u16 = 443;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the addresses of {0} are not known: {1}")]
    Untold(String, String),
    #[error("{0} has no address")]
    Nowhere(String),
    #[error("connecting to {0} failed: {1}")]
    Connect(String, io::Error),
    #[error("the tls handshake failed: {}", tls::in_words(.0))]
    Handshake(io::Error),
    #[error(transparent)]
    Unverifiable(#[from] Broken),
    #[error("asking failed: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer that makes sense: {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer is {0}")]
    Refused(StatusCode),
    #[error("the answer has more than {POLICY_BYTES_MAX} octets")]
    TooLong,
    #[error("no answer within {POLICY_TIMEOUT:?}")]
    Silent,
}

/// The text of a domain's policy.
///
/// # Errors
/// Why there is none.
pub(super) async fn policy(dns: &Dns, domain: &str) -> Result<String, FetchError> {
    let fetched = timeout(POLICY_TIMEOUT, fetch(dns, domain)).await;
    fetched.map_err(|_| FetchError::Silent)?
}

async fn fetch(dns: &Dns, domain: &str) -> Result<String, FetchError> {
    let host = format!("mta-sts.{domain}");
    let stream = connected(dns, &host).await?;
    let connectors = Connectors::new();
    let connector = connectors
        .connector(&Protection::Verify)
        .map_err(Broken::Unverifiable)?;
    let name = server_name(&format!("{host}:{HTTPS}"))?;
    let stream = connector.connect(name, stream).await;
    get(stream.map_err(FetchError::Handshake)?, &host).await
}

async fn connected(dns: &Dns, host: &str) -> Result<TcpStream, FetchError> {
    let addresses = match lookups::addresses(dns, host).await {
        Addresses::Known(addresses) => addresses,
        Addresses::Untold(why) => return Err(FetchError::Untold(host.to_owned(), why)),
    };
    let mut last = FetchError::Nowhere(host.to_owned());
    for address in addresses {
        match TcpStream::connect((address, HTTPS)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let at = SocketAddr::new(address, HTTPS).to_string();
                last = FetchError::Connect(at, error);
            }
        }
    }
    Err(last)
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
) -> Result<String, FetchError> {
    let request = Request::get(PATH)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(String::new())?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        match answer.status() {
            StatusCode::OK => text(answer.into_body()).await,
            status => Err(FetchError::Refused(status)),
        }
    };
    let mut answered = pin!(answered);
    tokio::select! {
        biased;
        text = &mut answered => text,
        // What it ended with, if there was no answer, is told by the request.
        _ = connection => answered.await,
    }
}

/// What is not UTF-8 in it is no key and no host, and is passed over by its reader.
async fn text(body: Incoming) -> Result<String, FetchError> {
    let mut body = pin!(body);
    let mut octets = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Some(data) = frame?.data_ref() {
            if octets.len() + data.len() > POLICY_BYTES_MAX {
                return Err(FetchError::TooLong);
            }
            octets.extend_from_slice(data);
        }
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// What comes of an answer.
    async fn got(answer: &str) -> Result<String, FetchError> {
        let (ours, mut theirs) = duplex(1 << 20);
        let serve = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(theirs.read_u8().await.unwrap());
            }
            theirs.write_all(answer.as_bytes()).await.ok();
            drop(theirs);
            String::from_utf8(request).unwrap()
        };
        let (got, request) = tokio::join!(get(ours, "mta-sts.example.com"), serve);
        assert!(
            request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("host: mta-sts.example.com\r\n"),
            "{request}"
        );
        got
    }

    #[tokio::test]
    async fn only_a_whole_answer_of_200_is_a_policy() {
        let text = "version: STSv1\n";
        let whole = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        assert_eq!(got(&whole).await.unwrap(), text);
        let unmeasured = format!("HTTP/1.1 200 OK\r\n\r\n{text}");
        assert_eq!(got(&unmeasured).await.unwrap(), text);
        let elsewhere =
            "HTTP/1.1 301 Moved\r\nLocation: https://example.org/\r\nContent-Length: 0\r\n\r\n";
        assert!(matches!(got(elsewhere).await, Err(FetchError::Refused(_))));
        let broken = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nversion";
        assert!(matches!(got(broken).await, Err(FetchError::Http(_))));
        let long = format!(
            "HTTP/1.1 200 OK\r\n\r\n{}",
            "x".repeat(POLICY_BYTES_MAX + 1)
        );
        assert!(matches!(got(&long).await, Err(FetchError::TooLong)));
        assert!(got("").await.is_err());
    }
}
