//! Octets between a primary and a client session, and the patience with both.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf as _;
use rustls_pki_types::ServerName;
use smtp::ForwardPath;
use smtp::client::{Awaiting, Failure, Opinion, Origin, Output, Session};
use spool::policy::Tls;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::dns::Dns;
use crate::outbound::dane::DaneError;
use crate::outbound::limits::{NEXT_ADDRESS, READ_MAX, Timeouts};
use crate::outbound::places::{Place, Share};
use crate::outbound::protection::Protection;
use crate::outbound::resume;
use crate::outbound::stream::Stream;
use crate::outbound::tls::Connectors;
use crate::route::host::Host;

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("connecting failed: {0}")]
    Connect(io::Error),
    #[error("connection lost: {0}")]
    Lost(#[from] io::Error),
    #[error("no {0} within {1:?}")]
    Silent(&'static str, Duration),
    #[error("the tls handshake failed: {}", tls::in_words(.0))]
    Handshake(io::Error),
    #[error("tls can not be verified on this machine: {}", tls::in_words(.0))]
    Unverifiable(rustls::Error),
    #[error("{0:?} is no host name that a certificate could be verified for")]
    HostName(String),
    #[error(transparent)]
    Dane(#[from] DaneError),
    #[error(transparent)]
    Session(#[from] Failure),
    #[error("the session ended early")]
    Ended,
}

/// What a connection to a primary is opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) tls: Tls,
    pub(crate) connectors: &'a Connectors,
    /// Who is asked about certificates.
    pub(crate) dns: &'a Dns,
    pub(crate) timeouts: Timeouts,
    /// Where it takes its place, if mail goes over it.
    pub(crate) share: Option<Share<'a>>,
}

/// One connection with its session.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session,
    /// The reply that was waited for last.
    pub(super) awaiting: Option<Awaiting>,
    /// The route's name for the host: `mail.example.com:25`.
    pub(crate) host: String,
    /// Its place at the host, where mail goes over it.
    pub(super) place: Option<Place>,
    stream: Stream,
    timeouts: Timeouts,
    incoming: Box<[u8]>,
    /// Whether something was written that the stream may still hold.
    unflushed: bool,
    wait: Wait,
}

/// What is waited for, and since when.
#[derive(Debug)]
struct Wait {
    /// After so many replies.
    replies: u64,
    /// Whether that something is sent comes first.
    sends: bool,
    since: Instant,
}

impl Connection {
    /// Connects and goes as far as a session that is ready for a message.
    ///
    /// # Errors
    /// Why the host is of no use now.
    pub(crate) async fn open(host: &Host, terms: Terms<'_>) -> Result<Self, Broken> {
        let protection = Protection::of(host, terms.tls, terms.dns).await?;
        let place = match terms.share {
            Some(share) => Some(share.take(&host.name).await),
            None => None,
        };
        let opened = match Self::open_with(host, terms, &protection).await {
            // Better in clear than not at all: so the policy says.
            Err(Broken::Handshake(error)) if matches!(protection, Protection::Opportunistic) => {
                let error = tls::in_words(&error);
                tracing::warn!(
                    host = host.name,
                    error,
                    "tls handshake failed, going on in clear"
                );
                Self::open_with(host, terms, &Protection::Off).await
            }
            other => other,
        };
        opened.map(|opened| Self { place, ..opened })
    }

    async fn open_with(
        host: &Host,
        terms: Terms<'_>,
        protection: &Protection,
    ) -> Result<Self, Broken> {
        let stream = dial(host, terms.timeouts.connect).await?;
        let mut connection = Self::begin(&host.name, stream, terms, protection)?;
        loop {
            match connection.advance().await {
                Ok(Output::Ready) => return Ok(connection),
                Ok(Output::StartTls) => connection = connection.secure(terms, protection).await?,
                Ok(_) => return Err(Broken::Ended),
                Err(broken) => return Err(connection.of_handshake(broken)),
            }
        }
    }

    /// What has broken this connection, told as the handshake where it is that: a server of TLS 1.3 may find only
    /// behind it that it has failed (RFC 8446 section 4.4.2.4).
    pub(super) fn of_handshake(&self, broken: Broken) -> Broken {
        // TLS runs, and nothing has come over it.
        let is_newly_secured =
            matches!(self.stream, Stream::Tls(_)) && self.session.hello().is_none();
        match broken {
            Broken::Lost(error) if is_newly_secured => Broken::Handshake(error),
            Broken::Session(Failure::Disconnected) if is_newly_secured => {
                Broken::Handshake(io::ErrorKind::UnexpectedEof.into())
            }
            broken => broken,
        }
    }

    /// A connection on which nothing has been said.
    pub(super) fn begin(
        host: &str,
        stream: TcpStream,
        terms: Terms<'_>,
        protection: &Protection,
    ) -> Result<Self, Broken> {
        stream.set_nodelay(true)?;
        Ok(Self {
            session: Session::new(terms.hostname, protection.in_session()),
            awaiting: None,
            host: host.to_owned(),
            place: None,
            stream: Stream::Clear(stream),
            timeouts: terms.timeouts,
            incoming: vec![0; READ_MAX].into_boxed_slice(),
            unflushed: false,
            wait: Wait {
                replies: 0,
                sends: false,
                since: Instant::now(),
            },
        })
    }

    /// Runs the handshake that the session has asked for.
    pub(super) async fn secure(
        mut self,
        terms: Terms<'_>,
        protection: &Protection,
    ) -> Result<Self, Broken> {
        let connector = terms
            .connectors
            .connector(protection)
            .map_err(Broken::Unverifiable)?;
        let name = match protection {
            Protection::Dane(associations) => associations.base(),
            _ => server_name(&self.host)?,
        };
        let Stream::Clear(stream) = self.stream else {
            return Err(Broken::Ended);
        };
        let stream = timeout(self.timeouts.connect, connector.connect(name, stream))
            .await
            .map_err(|_| Broken::Handshake(io::ErrorKind::TimedOut.into()))?
            .map_err(Broken::Handshake)?;
        self.stream = Stream::Tls(Box::new(stream));
        self.session.tls_started();
        Ok(self)
    }

    /// How what goes over it is protected: `TLSv1_3 with TLS13_AES_256_GCM_SHA384`.
    pub(super) fn protection(&self) -> String {
        let Stream::Tls(stream) = &self.stream else {
            return "in clear, without TLS".to_owned();
        };
        let (_, tls) = stream.get_ref();
        match (tls.protocol_version(), tls.negotiated_cipher_suite()) {
            (Some(version), Some(suite)) => format!("{version:?} with {:?}", suite.suite()),
            _ => "TLS".to_owned(),
        }
    }

    /// Carries octets until the session wants something else than the server's words.
    pub(super) async fn advance(&mut self) -> Result<Output, Broken> {
        loop {
            match self.session.poll() {
                Output::Read(awaiting) => {
                    self.awaiting = Some(awaiting);
                    self.carry(awaiting).await?;
                }
                Output::Closed(Some(failure)) => return Err(failure.into()),
                Output::Closed(None) => return Err(Broken::Ended),
                other => return Ok(other),
            }
        }
    }

    /// Sends all that is outgoing, unless the session ends meanwhile.
    pub(super) async fn send(&mut self) -> Result<(), Broken> {
        while self.unflushed || !self.session.outgoing().is_empty() {
            let patience = self.timeouts.block;
            let deadline = Instant::now() + patience;
            self.moved("progress in sending", patience, deadline)
                .await?;
        }
        Ok(())
    }

    /// Asks the server about a recipient.
    ///
    /// # Errors
    /// Why it has not answered; the connection is of no more use.
    pub(crate) async fn ask(&mut self, path: ForwardPath) -> Result<Opinion, Broken> {
        self.ask_by(|session| session.ask(path)).await
    }

    /// Asks the server whether it takes any mail.
    ///
    /// # Errors
    /// Why it has not answered; the connection is of no more use.
    pub(super) async fn ask_for_any(&mut self) -> Result<Opinion, Broken> {
        self.ask_by(Session::ask_for_any).await
    }

    async fn ask_by(&mut self, ask: impl FnOnce(&mut Session)) -> Result<Opinion, Broken> {
        // The reply to an RSET may still be on its way.
        let Output::Ready = self.advance().await? else {
            return Err(Broken::Ended);
        };
        ask(&mut self.session);
        match self.advance().await? {
            Output::Answered(opinion) => Ok(opinion),
            _ => Err(Broken::Ended),
        }
    }

    /// Tells the server who has brought the next message, as far as it wants to know.
    ///
    /// # Errors
    /// The connection is of no more use: it broke, or the server wants nothing of that client
    /// ([`Failure::ClientRefused`]).
    pub(super) async fn pass_on(&mut self, origin: Origin) -> Result<(), Broken> {
        // The reply to an RSET may still be on its way.
        let Output::Ready = self.advance().await? else {
            return Err(Broken::Ended);
        };
        self.session.pass_on(origin);
        match self.advance().await? {
            Output::Ready => Ok(()),
            _ => Err(Broken::Ended),
        }
    }

    /// Says QUIT, and waits a little for the answer.
    pub(crate) async fn quit(mut self) {
        // The connection is given up whatever the server says; a reply to RSET may come first.
        let patience = self.timeouts.quit;
        let goodbye = async {
            if let Ok(Output::Ready) = self.advance().await {
                self.session.quit();
                self.advance().await.ok();
            }
        };
        timeout(patience, goodbye).await.ok();
    }

    /// Carries some octets, either way, while a reply is awaited.
    pub(super) async fn carry(&mut self, awaiting: Awaiting) -> Result<(), Broken> {
        let timeouts = self.timeouts;
        let sends = self.unflushed || !self.session.outgoing().is_empty();
        let (what, patience) = match awaiting {
            _ if sends => ("progress in sending", timeouts.block),
            Awaiting::Greeting => ("greeting", timeouts.greeting),
            Awaiting::Hello => ("reply to EHLO or STARTTLS", timeouts.greeting),
            Awaiting::Client => ("reply to XCLIENT or XFORWARD", timeouts.greeting),
            Awaiting::Mail => ("reply to MAIL", timeouts.command),
            Awaiting::Recipient => ("reply to RCPT", timeouts.command),
            Awaiting::Data => ("reply to DATA", timeouts.data),
            Awaiting::Chunk => ("reply to BDAT", timeouts.data),
            Awaiting::FinalDot => ("reply to the end of data", timeouts.final_dot),
            Awaiting::Reset => ("reply to RSET", timeouts.command),
            Awaiting::Quit => ("reply to QUIT", timeouts.quit),
        };
        // The patience is with a reply as a whole: one that comes octet by octet may take days.
        let replies = self.session.replies();
        if (self.wait.replies, self.wait.sends) != (replies, sends) {
            self.wait = Wait {
                replies,
                sends,
                since: Instant::now(),
            };
        }
        let deadline = self.wait.since + patience;
        self.moved(what, patience, deadline).await
    }

    /// Waits until something came or everything went.
    async fn moved(
        &mut self,
        what: &'static str,
        patience: Duration,
        deadline: Instant,
    ) -> Result<(), Broken> {
        timeout_at(deadline, poll_fn(|cx| self.poll_moved(cx)))
            .await
            .map_err(|_| Broken::Silent(what, patience))??;
        Ok(())
    }

    /// Reads and writes at once: a server that stops reading until its replies are read must not
    /// meet a client that stops reading until its commands are sent.
    fn poll_moved(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut incoming = ReadBuf::new(&mut self.incoming);
        if Pin::new(&mut self.stream)
            .poll_read(cx, &mut incoming)?
            .is_ready()
        {
            match incoming.filled() {
                [] => self.session.disconnected(),
                octets => self.session.receive(octets),
            }
            return Poll::Ready(Ok(()));
        }
        let outgoing = self.session.outgoing();
        if outgoing.is_empty() && !self.unflushed {
            return Poll::Pending;
        }
        while !outgoing.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, outgoing))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            outgoing.advance(sent);
            self.unflushed = true;
        }
        // A TLS stream may hold records that the socket had no room for.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}

/// Connects to the first of a host's addresses that can be connected to. One that swallows packets, as an IPv6
/// address may on a machine without IPv6, is not waited for: the next one is tried beside it (RFC 8305 section 5).
async fn dial(host: &Host, patience: Duration) -> Result<TcpStream, Broken> {
    let addresses = timeout(patience, host.addresses())
        .await
        .map_err(|_| Broken::Silent("address", patience))?
        .map_err(Broken::Connect)?;
    let deadline = Instant::now() + patience;
    let mut addresses = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut refusal = None;
    loop {
        match addresses.next() {
            Some(address) => drop(attempts.spawn(TcpStream::connect(address))),
            None if attempts.is_empty() => {
                let none = || Broken::Connect(io::Error::other("it has no address"));
                return Err(refusal.unwrap_or_else(none));
            }
            None => {}
        }
        let next = match addresses.len() {
            0 => deadline,
            _ => deadline.min(Instant::now() + NEXT_ADDRESS),
        };
        match timeout_at(next, attempts.join_next()).await {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(error)))) => refusal = Some(Broken::Connect(error)),
            Ok(Some(Err(error))) => resume(error),
            Ok(None) => {}
            Err(_) if Instant::now() >= deadline => {
                return Err(Broken::Silent("connection", patience));
            }
            Err(_) => {}
        }
    }
}

/// The host's name without its port, as certificates carry it.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, Broken> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    ServerName::try_from(name).map_err(|_| Broken::HostName(host.to_owned()))
}
