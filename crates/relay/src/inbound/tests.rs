mod authentication;
mod bodies;
mod capabilities;
mod chunks;
mod client_names;
mod dialogues;
mod dnsbl;
mod etrn;
mod limits;
pub(super) mod memory;
mod proxied;
mod quotas;
mod recipients;
mod repeats;
mod sentry;
mod signs;
mod sockets;
#[path = "../../../../tests/harness/transcript.rs"]
#[expect(
    unreachable_pub,
    reason = "shared with the harness, where they are public"
)]
mod transcript;
mod verified;

use core::time::Duration;
use std::{fs, net::SocketAddr, sync::Arc};

use prometheus_client::registry::Registry;
use spool::{Clock, Timestamp};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream,
    },
    sync::watch,
    task::JoinHandle,
};

use super::{Config, Metrics, PerMinute, Serving, Shared, connection};
use crate::dns::tests::asking_nobody;
use memory::Memory;
use tls::ServerTls;

use crate::route::tests::routes_without_dns;

pub(super) fn config() -> Config {
    Config {
        hostname: "mx.example.net".into(),
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        max_message_size: 20 * 1024 * 1024,
        max_recipients: 1000,
        max_connections: 10,
        max_connections_per_ip: 10,
        per_minute: PerMinute::default(),
        trusted: Vec::new(),
        proxies: Vec::new(),
        command_timeout: Duration::from_secs(300),
        staff: Vec::new(),
        dns: asking_nobody(),
    }
}

fn clock() -> Clock {
    Clock(|| Timestamp(1_700_000_000_000))
}

pub(super) fn metrics() -> Metrics {
    Metrics::register(&mut Registry::default())
}

fn server_tls() -> (Arc<ServerTls>, rustls::RootCertStore) {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let made = rcgen::generate_simple_self_signed(vec!["mx.example.net".to_owned()]).unwrap();
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (Arc::new(ServerTls::load(&cert, &key).unwrap()), roots)
}

fn connector(roots: rustls::RootCertStore) -> tokio_rustls::TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

/// A session over a pipe.
struct Piped {
    client: Client<DuplexStream>,
    memory: Arc<Memory>,
    serving: watch::Sender<Serving>,
    session: JoinHandle<()>,
}

impl Piped {
    async fn start(config: Config, memory: Memory, tls: Option<Arc<ServerTls>>) -> Self {
        Self::start_after(b"", config, memory, tls).await
    }

    /// Starts the session when the client has said something already.
    async fn start_after(
        early: &[u8],
        config: Config,
        memory: Memory,
        tls: Option<Arc<ServerTls>>,
    ) -> Self {
        let (near, far) = tokio::io::duplex(1024 * 1024);
        let memory = Arc::new(memory);
        let intake = Arc::clone(&memory);
        let shared = Arc::new(Shared::new(
            config,
            intake,
            clock(),
            metrics(),
            tls,
            routes_without_dns(),
        ));
        let (serving, receiver) = watch::channel(Serving::Open);
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        let mut client = Client(BufReader::new(near));
        client.send(early).await;
        let talked = !early.is_empty();
        let place = shared.admission.enter(peer.ip()).unwrap();
        let guest = place.seat(peer.ip()).unwrap();
        let session = tokio::spawn(connection::serve(
            shared, far, peer, guest, receiver, talked,
        ));
        Self {
            client,
            memory,
            serving,
            session,
        }
    }
}

/// The other end of a session.
struct Client<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next line without its CRLF; empty when the server has closed.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    /// Sends a command and reads one reply of one line.
    async fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes()).await;
        self.line().await
    }

    /// Goes up to where the body is expected.
    async fn begin(&mut self) {
        assert!(self.line().await.starts_with("220 "));
        self.begin_again().await;
    }

    async fn begin_again(&mut self) {
        for (command, code) in [
            ("HELO client.example", "250 "),
            ("MAIL FROM:<a@sender.example>", "250 2.1.0 "),
            ("RCPT TO:<b@example.com>", "250 2.1.5 "),
            ("DATA", "354 "),
        ] {
            let reply = self.ask(command).await;
            assert!(reply.starts_with(code), "{command}: {reply}");
        }
    }
}
