//! Carries one session's octets, asks the spool, and keeps the time.

mod answers;

use core::{pin::pin, time::Duration};
use std::{io, net::SocketAddr, sync::Arc};

use bytes::{Buf as _, BytesMut};
use smtp::{
    ReversePath,
    server::{Output, Question, Session},
};
use spool::{Intake, MessageId, policy::Recipients};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::watch,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, info, trace};

use super::{
    Serving, Shared,
    admission::Guest,
    arrival::Arrival,
    authentication::Evaluation,
    client_name::ClientName,
    crowd::Crowd,
    dnsbl::Inquiry,
    guesses::Guesses,
    limits::{
        BODY_READ_SIZE, CROWDED_COMMAND_TIMEOUT, HANDSHAKE_TIMEOUT, LINGER, LINGER_OCTETS_MAX,
        READ_SIZE,
    },
    offered::Declared,
    pace::Pace,
    receipts::Receipts,
    refused::Reason,
};

/// Why a session stopped before its dialogue had ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("client closed the connection")]
    Closed,
    #[error("client took too long")]
    TimedOut,
    #[error("this node stops, and takes no message any more")]
    Ended,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What a stretch of dialogue over one kind of stream ended with.
enum End {
    StartTls,
    Closed,
}

/// What ended a wait for the client.
enum Wake {
    Octets(usize),
    Serving(Serving),
    TimedOut,
}

/// Serves one client to the end. `early` says that it sent something before the greeting.
pub(super) async fn serve<I, S>(
    shared: Arc<Shared<I>>,
    mut stream: S,
    peer: SocketAddr,
    guest: Guest,
    serving: watch::Receiver<Serving>,
    early: bool,
) where
    I: Intake,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    debug!("session begins");
    let mut connection = Connection::new(shared, peer, guest, serving);
    match connection.converse(&mut stream, early).await {
        Ok(()) => debug!("session ends"),
        Err(cause) => connection.log_broken(&cause),
    }
}

struct Connection<I: Intake> {
    shared: Arc<Shared<I>>,
    peer: SocketAddr,
    guest: Arc<Guest>,
    crowd: Crowd,
    guesses: Guesses,
    /// What the block lists say of the client, once they are asked.
    inquiry: Option<Inquiry>,
    /// What the client is called, once it is asked for.
    name: Option<ClientName>,
    serving: watch::Receiver<Serving>,
    session: Session,
    arrival: Arrival<I>,
    /// Finds out who sends the message that is arriving.
    evaluation: Option<Evaluation>,
    /// The policy's domain of each recipient that was accepted.
    domains: Vec<String>,
    /// What was declared about the message.
    declared: Declared,
    /// The reverse-path, for the log.
    sender: String,
    reverse_path: ReversePath,
    /// The body that is arriving is refused already, and counted.
    body_refused: bool,
    /// Version and cipher suite.
    tls: Option<String>,
    pace: Pace,
    receipts: Receipts,
}

impl<I: Intake> Connection<I> {
    fn new(
        shared: Arc<Shared<I>>,
        peer: SocketAddr,
        guest: Guest,
        mut serving: watch::Receiver<Serving>,
    ) -> Self {
        let guest = Arc::new(guest);
        let mut session = Session::new(shared.settings());
        apply(&mut session, *serving.borrow_and_update());
        let arrival = shared.arrival(&guest, MessageId(0));
        if let Some(policy) = shared.intake.policy() {
            shared.block_lists.prepare(&policy);
        }
        shared.names.prepare(peer.ip());
        let pace = Pace::new(shared.config.command_timeout);
        Self {
            shared,
            peer,
            crowd: guest.crowd(),
            guest,
            guesses: Guesses::default(),
            inquiry: None,
            name: None,
            serving,
            session,
            arrival,
            evaluation: None,
            domains: Vec::new(),
            declared: Declared::default(),
            sender: String::new(),
            reverse_path: ReversePath::Null,
            body_refused: false,
            tls: None,
            pace,
            receipts: Receipts::default(),
        }
    }

    async fn converse<S>(&mut self, stream: &mut S, early: bool) -> Result<(), Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if early {
            self.read(stream).await?;
        }
        match self.carry(stream).await? {
            End::Closed => self.close(stream).await,
            End::StartTls => {
                // Boxed: a TLS session is large, and most stretches of code here never see one.
                let mut secure = Box::new(self.shake_hands(stream).await?);
                match self.carry(&mut *secure).await? {
                    End::Closed | End::StartTls => self.close(&mut *secure).await,
                }
            }
        }
        Ok(())
    }

    /// Does what the session says until this kind of stream has served its time.
    async fn carry<S>(&mut self, stream: &mut S) -> Result<End, Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        loop {
            match self.session.next(&mut self.arrival.body) {
                Output::Read => {
                    self.flush(stream).await?;
                    self.read(stream).await?;
                }
                Output::Flush => self.flush(stream).await?,
                Output::Body => {
                    let (began, pieces) = (Instant::now(), self.arrival.pieces());
                    self.arrival.make_room(self.shared.clock).await;
                    self.pace.forgive(began.elapsed());
                    self.pace.grow(self.arrival.pieces() > pieces);
                }
                Output::Discard => self.refuse_body(),
                Output::Abandon => self.arrival.give_up(),
                Output::Ask(question) => {
                    if self.question_may_block(&question) {
                        self.flush(stream).await?;
                    }
                    self.answer(question).await;
                }
                Output::StartTls => {
                    self.flush(stream).await?;
                    return Ok(End::StartTls);
                }
                Output::Close => {
                    self.flush(stream).await?;
                    return Ok(End::Closed);
                }
            }
        }
    }

    /// Questions about addresses are answered out of memory, unless a primary or a block list is asked.
    fn question_may_block(&self, question: &Question) -> bool {
        match question {
            Question::Sender { .. } => false,
            Question::Recipient(path) => {
                let is_inquiring = self.inquiry.as_ref().is_some_and(Inquiry::is_under_way);
                is_inquiring
                    || self.shared.intake.policy().is_some_and(|policy| {
                        let domain = policy.domain_of(path);
                        domain.is_ok_and(|domain| {
                            matches!(domain.recipients, Recipients::Verify { .. })
                        })
                    })
            }
            Question::Etrn(_) | Question::Message(_) => true,
        }
    }

    /// Writes what has gathered; then it is the client's turn.
    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<(), Broken> {
        let replies = self.session.replies();
        if !replies.has_remaining() {
            return Ok(());
        }
        trace!(replies = %replies.escape_ascii(), "replies");
        let write = async {
            stream.write_all_buf(replies).await?;
            stream.flush().await
        };
        match self
            .crowd
            .bound(allowing(self.shared.config.command_timeout), write)
            .await
        {
            Some(written) => written?,
            None => return Err(self.timed_out()),
        }
        if self.session.is_receiving() && self.arrival.octets() > 0 {
            self.pace.go_on();
        } else {
            self.pace.restart();
        }
        Ok(())
    }

    /// Waits until the client has sent something, or the session has something else to go on with.
    async fn read<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<(), Broken> {
        self.receipts.written(self.session.unread());
        let wake = self.wake(stream).await?;
        let is_pressed = self.crowd.is_short() && !self.guest.is_trusted();
        self.session.press(is_pressed);
        match wake {
            Wake::Octets(0) => Err(Broken::Closed),
            Wake::Octets(octets) => {
                self.pace.count(octets);
                for id in self.receipts.arrived(self.session.unread()) {
                    self.shared.intake.confirm(*id);
                }
                // A client that always has something ready must not keep the news from its session.
                if self.serving.has_changed().unwrap_or(false) {
                    let serving = *self.serving.borrow_and_update();
                    self.heed(serving);
                }
                Ok(())
            }
            Wake::Serving(serving) => {
                self.heed(serving);
                Ok(())
            }
            Wake::TimedOut => {
                let cause = self.timed_out();
                if self.session.is_receiving() {
                    self.log_broken(&cause);
                }
                self.session.time_out();
                Ok(())
            }
        }
    }

    /// Does what the news of the node mean for this session.
    fn heed(&mut self, serving: Serving) {
        if serving == Serving::Ended && self.session.is_receiving() {
            self.log_broken(&Broken::Ended);
        }
        apply(&mut self.session, serving);
    }

    async fn wake<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<Wake, Broken> {
        let in_body = self.session.is_reading_body();
        let between_chunks = self.session.is_receiving() && !in_body;
        let (pace, now) = (self.pace, Instant::now());
        let deadline = |is_crowded| {
            if in_body {
                pace.body_deadline(now, is_crowded)
            } else if between_chunks {
                let of_body = pace.body_deadline(now, is_crowded);
                pace.command_deadline(is_crowded).min(of_body)
            } else {
                pace.command_deadline(is_crowded)
            }
        };
        let unread = self.session.unread();
        unread.reserve(if in_body { BODY_READ_SIZE } else { READ_SIZE });
        let read = pin!(self.crowd.bound(deadline, stream.read_buf(unread)));
        tokio::select! {
            biased;
            read = read => match read {
                Some(octets) => Ok(Wake::Octets(octets?)),
                None => Ok(Wake::TimedOut),
            },
            Ok(()) = self.serving.changed() => Ok(Wake::Serving(*self.serving.borrow_and_update())),
        }
    }

    async fn shake_hands<'a, S>(
        &mut self,
        stream: &'a mut S,
    ) -> Result<TlsStream<&'a mut S>, Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let tls = self.shared.tls.as_ref().ok_or(Broken::Closed)?;
        let handshake = TlsAcceptor::from(tls.config()).accept(stream);
        let secure = match self
            .crowd
            .bound(allowing(HANDSHAKE_TIMEOUT), handshake)
            .await
        {
            Some(secure) => secure?,
            None => return Err(self.timed_out()),
        };
        self.tls = description(secure.get_ref().1);
        debug!(tls = self.tls.as_deref(), "tls established");
        self.session.secured();
        self.arrival.give_up();
        self.pace.restart();
        Ok(secure)
    }

    /// Ends the connection so that the client reads the last reply.
    async fn close<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) {
        let farewell = async {
            stream.shutdown().await?;
            let mut thrown_away = BytesMut::with_capacity(READ_SIZE);
            let mut octets = 0;
            while octets < LINGER_OCTETS_MAX {
                thrown_away.clear();
                match stream.read_buf(&mut thrown_away).await? {
                    0 => break,
                    more => octets += more,
                }
            }
            io::Result::Ok(())
        };
        if let Ok(Err(error)) = timeout(LINGER, farewell).await {
            trace!(%error, "connection closed roughly");
        }
    }

    /// The client's time is over. While places are short it could have had more.
    fn timed_out(&self) -> Broken {
        if self.crowd.is_short() {
            self.guest.refuse(Reason::Slow);
        }
        Broken::TimedOut
    }

    /// Anyone can break off, so only what was a message in the making is worth a line.
    fn log_broken(&self, cause: &Broken) {
        if self.session.is_receiving() && !self.body_refused {
            self.shared.metrics.messages_broken.inc();
            let octets = self.arrival.octets();
            info!(target: "mail", peer = %self.peer, from = %self.sender, octets, %cause, "broken off");
        } else {
            debug!(%cause, "session broken off");
        }
    }
}

fn apply(session: &mut Session, serving: Serving) {
    match serving {
        Serving::Open => {}
        Serving::Retiring => session.retire(),
        Serving::Stopping => session.shut_down(),
        Serving::Ended => session.cut_off(),
    }
}

/// A deadline so far from now, and no further than that of a command while places are short.
fn allowing(time: Duration) -> impl Fn(bool) -> Instant {
    let now = Instant::now();
    move |is_crowded| {
        let time = if is_crowded {
            time.min(CROWDED_COMMAND_TIMEOUT)
        } else {
            time
        };
        now + time
    }
}

/// Version and cipher suite, as they stand in `Received` and in the spool.
fn description(tls: &rustls::ServerConnection) -> Option<String> {
    let version = match tls.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => return None,
    };
    let suite = tls.negotiated_cipher_suite()?.suite();
    Some(format!("{version} {}", suite.as_str().unwrap_or("unknown")))
}
