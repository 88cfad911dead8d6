//! Takes connections, within limits, while mail can be taken.

use core::{mem::MaybeUninit, time::Duration};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
};

use bytes::BytesMut;
use socket2::SockRef;
use spool::{Clock, Intake};
use tls::ServerTls;
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, field, info, info_span, warn};

use super::{
    BindError, Config, Metrics, Serving, Shared,
    admission::Place,
    connection,
    limits::{ACCEPT_RETRY, GREETING_PAUSE, REOPEN_RETRY, STOP_FAREWELL, STOP_GRACE, TELL_EVERY},
    origin::is_in,
    ports::Ports,
    proxy::{self, Unnamed},
    refusal,
    refused::Reason,
    signs,
};
use crate::route::Routes;

/// The ports that mail comes in by. They are bound from the start, and closed until it runs.
#[derive(Debug)]
pub struct Listener {
    config: Config,
    ports: Ports,
    tls: Option<Arc<ServerTls>>,
}

/// What the listener does next.
enum Action {
    Stop,
    Adjust,
    GoOn,
    Tell,
    Serve(TcpStream, SocketAddr),
    Pause(io::Error),
}

impl Listener {
    /// Binds the addresses of the configuration. STARTTLS is offered where there is a certificate.
    ///
    /// # Errors
    /// Which one cannot be had, and why.
    pub fn bind(config: Config, tls: Option<Arc<ServerTls>>) -> Result<Self, BindError> {
        let ports = Ports::bind(&config.listen)?;
        Ok(Self { config, ports, tls })
    }

    /// Where it listens, with the numbers that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.ports.addresses()
    }

    /// Serves until it is told to stop, and ends when the last session has.
    ///
    /// While `accepting` is false the ports are closed, so that every sender moves on to the next
    /// MX host at once, and sessions under way end at their next command. After `stop` a session
    /// ends at once, or after the message that is arriving, and in any case within some seconds; where the
    /// spool takes nothing any more, as in a node that was removed from its cluster, none waits for one.
    pub async fn run<I: Intake>(
        self,
        intake: Arc<I>,
        routes: Arc<Routes>,
        clock: Clock,
        metrics: Metrics,
        accepting: watch::Receiver<bool>,
        stop: CancellationToken,
    ) {
        let Self { config, ports, tls } = self;
        let shared = Arc::new(Shared::new(config, intake, clock, metrics, tls, routes));
        let (serving, _) = watch::channel(Serving::Open);
        let sessions = JoinSet::new();
        let mut running = Running {
            shared,
            ports,
            serving,
            sessions,
            number: 0,
            told_untaken: None,
        };
        running.serve_until_stopped(accepting, stop).await;
        running.finish().await;
    }
}

struct Running<I: Intake> {
    shared: Arc<Shared<I>>,
    ports: Ports,
    serving: watch::Sender<Serving>,
    sessions: JoinSet<()>,
    /// Sessions so far, which gives each its number in the log.
    number: u64,
    /// When the log was last told that connections can not be taken.
    told_untaken: Option<Instant>,
}

impl<I: Intake> Running<I> {
    async fn serve_until_stopped(
        &mut self,
        mut accepting: watch::Receiver<bool>,
        stop: CancellationToken,
    ) {
        let mut to_open = self.adjust(*accepting.borrow_and_update());
        let mut telling = interval(TELL_EVERY);
        telling.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let action = tokio::select! {
                biased;
                () = stop.cancelled() => Action::Stop,
                changed = accepting.changed() => match changed {
                    Ok(()) => Action::Adjust,
                    Err(_) => Action::Stop,
                },
                () = sleep(REOPEN_RETRY), if to_open => Action::Adjust,
                Some(_) = self.sessions.join_next() => Action::GoOn,
                _ = telling.tick() => Action::Tell,
                accepted = self.ports.accept(), if self.ports.is_open() => match accepted {
                    Ok((stream, peer)) => Action::Serve(stream, peer),
                    Err(error) if is_of_its_client(&error) => Action::GoOn,
                    Err(error) => Action::Pause(error),
                },
            };
            match action {
                Action::Stop => return,
                Action::Adjust => to_open = self.adjust(*accepting.borrow_and_update()),
                Action::GoOn => {}
                Action::Tell => self.shared.admission.tell(),
                Action::Serve(stream, peer) => self.serve(stream, peer),
                Action::Pause(error) => {
                    self.tell_untaken(&error);
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn tell_untaken(&mut self, error: &io::Error) {
        let told = self.told_untaken;
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told_untaken = Some(Instant::now());
            warn!(%error, "connections can not be taken");
        }
    }

    /// Opens or closes the ports; says whether they are still to be opened.
    fn adjust(&mut self, accepting: bool) -> bool {
        if !accepting {
            if self.ports.is_open() {
                self.ports.close();
                info!("smtp ports closed: no mail can be taken now");
            }
            self.serving.send_replace(Serving::Retiring);
            return false;
        }
        if self.ports.is_open() {
            return false;
        }
        match self.ports.open() {
            Ok(()) => {
                self.serving.send_replace(Serving::Open);
                self.shared.prepare();
                info!(addresses = ?self.ports.addresses(), "smtp ports open");
                false
            }
            Err(error) => {
                error!(%error, "smtp ports could not be opened");
                true
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, peer: SocketAddr) {
        let Some(place) = self.shared.admission.enter(peer.ip()) else {
            turn_away(&stream, &self.shared.config.hostname);
            return;
        };
        self.number += 1;
        let accepted = Accepted {
            stream,
            peer,
            place,
            number: self.number,
        };
        let (shared, serving) = (Arc::clone(&self.shared), self.serving.subscribe());
        self.sessions.spawn(accepted.attend(shared, serving));
    }

    /// Lets the sessions end.
    async fn finish(mut self) {
        drop(self.ports);
        let serving = match self.shared.intake.ready() {
            Ok(()) => Serving::Stopping,
            Err(_) => Serving::Ended,
        };
        self.serving.send_replace(serving);
        if !have_ended(&mut self.sessions, STOP_GRACE).await {
            warn!(
                sessions = self.sessions.len(),
                "sessions cut off at the stop"
            );
            // They are told, as far as they wait for their client. What is left then waits for something else.
            self.serving.send_replace(Serving::Ended);
            have_ended(&mut self.sessions, STOP_FAREWELL).await;
            self.sessions.abort_all();
            have_ended(&mut self.sessions, Duration::from_secs(1)).await;
        }
    }
}

/// Whether all sessions have ended within this time.
async fn have_ended(sessions: &mut JoinSet<()>, time: Duration) -> bool {
    let joined = async { while sessions.join_next().await.is_some() {} };
    timeout(time, joined).await.is_ok()
}

/// Whether a connection could not be taken because of its client, or of the way to it: the next ones can.
fn is_of_its_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

/// A connection that has a place.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    number: u64,
}

impl Accepted {
    /// Finds out whose it is, and serves that client to the end.
    async fn attend<I: Intake>(
        mut self,
        shared: Arc<Shared<I>>,
        serving: watch::Receiver<Serving>,
    ) {
        let client = if is_in(&shared.config.proxies, self.peer.ip()) {
            match self.ask_proxy(&shared).await {
                Some(client) => client,
                None => return,
            }
        } else {
            self.peer
        };
        let Ok(guest) = self.place.seat(client.ip()) else {
            turn_away(&self.stream, &shared.config.hostname);
            return;
        };
        let span = info_span!("session", id = self.number, peer = %client, proxy = field::Empty);
        if client != self.peer {
            span.record("proxy", field::display(self.peer));
        }
        let stream = self.stream;
        let sign = Arc::clone(&shared);
        let mut stop = serving.clone();
        let stopping = async move {
            let is_stop = |serving: &Serving| matches!(serving, Serving::Stopping | Serving::Ended);
            stop.wait_for(is_stop).await.is_ok()
        };
        // A stop does not wait for the DNS.
        let heed = async {
            tokio::select! {
                () = signs::heed(&sign, client.ip()) => {}
                _ = stopping => {}
            }
        };
        let session = async move {
            let early = talks_first(&shared.greeting_pauses, &stream).await;
            connection::serve(shared, stream, client, guest, serving, early).await;
        };
        tokio::join!(session.instrument(span), heed);
    }

    /// Who connects through a proxy; `None` when the connection is to be closed.
    async fn ask_proxy<I: Intake>(&mut self, shared: &Shared<I>) -> Option<SocketAddr> {
        shared.metrics.unnamed.inc();
        let client = proxy::client(&mut self.stream, self.peer).await;
        shared.metrics.unnamed.dec();
        let cause = match client {
            Ok(client) => return Some(client),
            Err(cause) => cause,
        };
        let peer = self.peer;
        debug!(%peer, %cause, "connection of a proxy closed");
        if !matches!(cause, Unnamed::Silent) {
            shared.admission.refuse(peer.ip(), Reason::ProxyHeader);
        }
        None
    }
}

/// Whether a client does not wait for the greeting.
async fn talks_first(pauses: &Semaphore, stream: &TcpStream) -> bool {
    if let Ok(_place) = pauses.try_acquire() {
        drop(timeout(GREETING_PAUSE, stream.peek(&mut [0])).await);
    }
    SockRef::from(stream)
        .peek(&mut [MaybeUninit::uninit()])
        .is_ok_and(|octets| octets > 0)
}

/// Tells a client that there is no place for it.
fn turn_away(stream: &TcpStream, hostname: &str) {
    let mut reply = BytesMut::new();
    refusal::too_many_connections(hostname).write_to(&mut reply);
    // A fresh socket has room for one line; if not, the client hears nothing but the end.
    drop(SockRef::from(stream).send(&reply));
}
