//! The nodes that may be asked, and how one that answers is found.

use std::{error::Error as _, fs, net::IpAddr, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use api::admin::v1::admin_client::AdminClient;
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::arguments::{TlsFiles, Usage};

/// A node on the same continent completes a TCP and TLS handshake well within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Room for a policy with its lists, which is the largest answer.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Longer than a node may wait for a quorum before it says that there is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a node is asked for a sign of life while it answers.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// A node that gives none within this is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// In the metadata of a request: who asks, for the audit log.
const BY: &str = "layover-by-bin";

pub(crate) type Client = AdminClient<InterceptedService<Channel, Asker>>;

/// Who asks, in his own words; empty when he says nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker(String);

impl Interceptor for Asker {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let name = MetadataValue::from_bytes(self.0.as_bytes());
        request.metadata_mut().insert_bin(BY, name);
        Ok(request)
    }
}

/// The nodes that may be asked, in the order in which they are.
#[derive(Debug)]
pub(crate) struct Servers {
    endpoints: Vec<(String, Endpoint)>,
    with_tls: bool,
    asker: Asker,
}

impl Servers {
    pub(crate) fn new(addresses: &[String], files: &TlsFiles) -> anyhow::Result<Self> {
        let tls = tls_config(files)?;
        let endpoints = addresses
            .iter()
            .map(|address| Ok((address.clone(), endpoint(address, tls.clone())?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            endpoints,
            with_tls: tls.is_some(),
            asker: Asker::default(),
        })
    }

    /// Tells the nodes who asks.
    pub(crate) fn asked_by(mut self, by: String) -> Self {
        self.asker = Asker(by);
        self
    }

    /// Asks one node after the other until one has answered. A refusal is an answer; only what
    /// another node may do better is asked of the next.
    pub(crate) async fn ask<T>(
        &self,
        request: impl AsyncFn(Client) -> Result<T, Status>,
    ) -> anyhow::Result<T> {
        self.ask_within(ANSWER_TIMEOUT, request).await
    }

    /// The same for what takes a node longer.
    pub(crate) async fn ask_within<T>(
        &self,
        limit: Duration,
        request: impl AsyncFn(Client) -> Result<T, Status>,
    ) -> anyhow::Result<T> {
        let mut complaints = Vec::new();
        let mut is_reached = false;
        let mut has_answered = false;
        for (address, endpoint) in &self.endpoints {
            let client = match endpoint.connect().await {
                Ok(channel) => {
                    is_reached = true;
                    let client = AdminClient::with_interceptor(channel, self.asker.clone());
                    client.max_decoding_message_size(ANSWER_BYTES_MAX)
                }
                Err(error) => {
                    complaints.push(format!("{address}: {}", root_cause(&error)));
                    continue;
                }
            };
            match within(limit, request(client)).await {
                Ok(answer) => return Ok(answer),
                Err(status) if is_foreign(&status) => {
                    complaints.push(format!("{address}: {}", self.foreign_words(&status)));
                }
                Err(status) if another_may_answer(status.code()) => {
                    let says = if is_answer(&status) { " says" } else { "" };
                    has_answered |= is_answer(&status);
                    complaints.push(format!("{address}{says}: {}", status_words(&status)));
                }
                Err(status) => bail!("{}", status_words(&status)),
            }
        }
        if has_answered {
            bail!("not done, as far as is known: {}", complaints.join("; "));
        }
        bail!(
            "no node answered: {}{}",
            complaints.join("; "),
            self.advice(&complaints, is_reached)
        )
    }

    /// What is told of a port where something else than gRPC is spoken.
    fn foreign_words(&self, status: &Status) -> String {
        let tls = if self.with_tls {
            ""
        } else {
            ", or one that wants TLS (--tls-ca, --tls-cert and --tls-key)"
        };
        format!(
            "the other end does not speak gRPC; it may be another port than that of [admin] listen{tls} ({})",
            status_words(status)
        )
    }

    /// What to look at when no node has answered. `is_reached`: one took the connection.
    fn advice(&self, complaints: &[String], is_reached: bool) -> &'static str {
        let is_remote = |address: &str| !is_loopback(address);
        let is_of_tls = |words: &String| words.contains("certificate") || words.contains("alert");
        if self.with_tls && complaints.iter().any(is_of_tls) {
            "; --tls-ca is what has signed the node's [admin] tls_cert, and the node's [admin] tls_ca what has \
             signed --tls-cert"
        } else if !self.with_tls && self.endpoints.iter().any(|(address, _)| is_remote(address)) {
            " (a node beyond loopback wants --tls-ca, --tls-cert and --tls-key)"
        } else if is_reached {
            ""
        } else {
            "; see whether layoverd runs there (systemctl status layoverd), or name another node with --server"
        }
    }
}

/// Whether an address, "host:port", is of this machine by what it says of itself.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let number = host.parse::<IpAddr>();
    host == "localhost" || number.is_ok_and(|number| number.is_loopback())
}

/// Puts the usual limit on the wait for one answer, or for the next part of one.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    within(ANSWER_TIMEOUT, answer).await
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let told = tokio::time::timeout(limit, answer).await;
    told.unwrap_or_else(|_| {
        let words = format!("no answer within {} s", limit.as_secs());
        Err(Status::deadline_exceeded(words))
    })
}

const fn another_may_answer(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}

/// Whether the other end speaks something else than HTTP/2. Its library says so in words only.
fn is_foreign(status: &Status) -> bool {
    let cause = status.source().map(root_cause);
    cause.is_some_and(|words| words.starts_with("connection error detected"))
}

/// Whether a node has said so, and not the way to it, or the clock here.
fn is_answer(status: &Status) -> bool {
    status.source().is_none() && status.code() != Code::DeadlineExceeded
}

/// What the node said, or what went wrong on the way to it.
fn status_words(status: &Status) -> String {
    if let Some(source) = status.source() {
        return root_cause(source);
    }
    if status.message().is_empty() {
        status.code().description().to_owned()
    } else {
        status.message().to_owned()
    }
}

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    tls::in_words(cause)
}

fn endpoint(address: &str, tls: Option<ClientTlsConfig>) -> anyhow::Result<Endpoint> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let wrong = || {
        let example = "write for example 127.0.0.1:7401";
        Usage(format!(
            "--server {address:?} is no address of a node; {example}"
        ))
    };
    let endpoint =
        Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|_invalid| wrong())?;
    if endpoint.uri().port().is_none() {
        bail!(wrong());
    }
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    match tls {
        Some(tls) => endpoint
            .tls_config(tls)
            .context("the TLS files do not fit together"),
        None => Ok(endpoint),
    }
}

fn tls_config(files: &TlsFiles) -> anyhow::Result<Option<ClientTlsConfig>> {
    match (&files.tls_ca, &files.tls_cert, &files.tls_key) {
        (None, None, None) => Ok(None),
        (Some(ca), Some(cert), Some(key)) => Ok(Some(
            ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(read(ca)?))
                .identity(Identity::from_pem(read(cert)?, read(key)?)),
        )),
        _ => bail!(Usage(
            "--tls-ca, --tls-cert and --tls-key belong together; give all three or none".to_owned()
        )),
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("reading {} failed", file.display()))
}

#[cfg(test)]
mod tests;
