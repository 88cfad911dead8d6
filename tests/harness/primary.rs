//! A stand-in primary: takes mail, keeps every octet of it, and misbehaves on cue.

mod cue;
mod session;
#[cfg(test)]
mod tests;

use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

pub use cue::{Cue, Offer, Stage};
use rustls::ServerConfig;
use session::Session;

use crate::{Port, letter};

/// One message as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The reverse-path, without angle brackets.
    pub from: String,
    /// The forward-paths this primary had said 250 to.
    pub to: Vec<String>,
    /// What was said besides the paths.
    pub said: Said,
    /// The octets after DATA, un-stuffed, or those of all chunks; trace fields included.
    pub body: Vec<u8>,
    /// Which session brought it, counted from 1.
    pub session: usize,
    /// Whether it came over TLS.
    pub tls: bool,
    /// When its final dot was read.
    pub at: Instant,
}

/// What a client said in a transaction besides the paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The parameters of MAIL, as they were written.
    pub mail: Vec<String>,
    /// Those of each RCPT that was said 250 to.
    pub rcpt: Vec<Vec<String>>,
    /// In how many chunks the body came; 0 when it came by DATA.
    pub chunks: usize,
}

impl Received {
    /// The letter's number, when it is one of ours.
    #[must_use]
    pub fn serial(&self) -> Option<usize> {
        letter::serial(&self.body)
    }
}

/// What the threads of a primary share.
#[derive(Debug)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// Everyone whom a RCPT has named, in lower case.
    named: Mutex<Vec<String>>,
    cue: Mutex<Cue>,
    sockets: Mutex<Vec<TcpStream>>,
    sessions: AtomicUsize,
    closing: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

/// A primary mail server; down (its port closed) until [`Primary::up`] is called.
#[derive(Debug)]
pub struct Primary {
    port: Port,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Primary {
    /// A primary that is down.
    #[must_use]
    pub fn down_at_first() -> Self {
        Self::build(Port::free(), None)
    }

    /// A primary that is up.
    #[must_use]
    pub fn started() -> Self {
        let mut primary = Self::build(Port::free(), None);
        primary.up();
        primary
    }

    /// A primary that offers STARTTLS; down at first.
    #[must_use]
    pub fn with_tls(config: Arc<ServerConfig>) -> Self {
        Self::build(Port::free(), Some(config))
    }

    /// A primary at an address that someone else chose; down at first.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self::build(Port::given(address), None)
    }

    fn build(port: Port, tls: Option<Arc<ServerConfig>>) -> Self {
        let shared = Shared {
            received: Mutex::default(),
            named: Mutex::default(),
            cue: Mutex::default(),
            sockets: Mutex::default(),
            sessions: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            tls,
        };
        Self {
            port,
            shared: Arc::new(shared),
            accepting: None,
        }
    }

    /// Where it listens, when it does.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Opens the port.
    ///
    /// # Panics
    /// When the port, which is reserved, can not be listened on.
    pub fn up(&mut self) {
        if self.accepting.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address()).expect("the reserved port is free");
        self.shared.closing.store(false, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        self.accepting = Some(thread::spawn(move || shared.accept(&listener)));
    }

    /// Closes the port and breaks every session off.
    pub fn down(&mut self) {
        let Some(accepting) = self.accepting.take() else {
            return;
        };
        self.shared.closing.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address()));
        drop(accepting.join());
        for socket in lock(&self.shared.sockets).drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }

    /// Changes how it behaves from now on.
    pub fn on_cue(&self, change: impl FnOnce(&mut Cue)) {
        change(&mut lock(&self.shared.cue));
    }

    /// Everything that arrived so far, in order of the final dots.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// The same, and they are forgotten here.
    #[must_use]
    pub fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut lock(&self.shared.received))
    }

    /// How many messages arrived so far.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.shared.received).len()
    }

    /// How often a recipient was named, in lower case, with a message or without.
    #[must_use]
    pub fn times_named(&self, recipient: &str) -> usize {
        let named = lock(&self.shared.named);
        named.iter().filter(|named| *named == recipient).count()
    }

    /// How many sessions were opened so far.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shared.sessions.load(Ordering::SeqCst)
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.down();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            let Ok(copy) = stream.try_clone() else {
                continue;
            };
            lock(&self.sockets).push(copy);
            let number = self.sessions.fetch_add(1, Ordering::SeqCst) + 1;
            let shared = Arc::clone(self);
            // The thread ends with its socket, which `down` shuts.
            thread::spawn(move || drop(Session::new(shared, stream, number).run()));
        }
    }
}

/// A session that panicked must not take the record of what arrived with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
