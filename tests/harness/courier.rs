//! Sends letters to a cluster the way a real MTA does: round robin over equal MX hosts, sessions
//! kept open, and another host at once when one says "later" or is gone.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::ClientConfig;

use crate::{
    letter::Letter,
    sender::{Reply, Sender},
    wait,
};

/// One MTA with one message under way at a time, so that what it sends is in order.
#[derive(Debug)]
pub struct Courier {
    hosts: Vec<SocketAddr>,
    sessions: Vec<Option<Sender>>,
    trust: Option<Arc<ClientConfig>>,
    next: usize,
}

/// Proof that a message was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The letter's number.
    pub serial: usize,
    /// The id it is queued under.
    pub id: String,
    /// Which host took it, counted from 0.
    pub host: usize,
    /// Attempts whose outcome the courier could not know, because the connection broke behind DATA:
    /// each may have left a copy.
    pub unknown: usize,
    /// How long the last attempt took.
    pub took: Duration,
}

impl Courier {
    /// Sends in clear to `hosts`.
    #[must_use]
    pub fn new(hosts: &[SocketAddr]) -> Self {
        Self {
            hosts: hosts.to_vec(),
            sessions: hosts.iter().map(|_| None).collect(),
            trust: None,
            next: 0,
        }
    }

    /// Sends over STARTTLS, and only so.
    #[must_use]
    pub fn over_tls(mut self, trust: Arc<ClientConfig>) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Begins with another host than the first.
    #[must_use]
    pub fn starting_at(mut self, host: usize) -> Self {
        self.next = host;
        self
    }

    /// Sends until some host has taken the letter.
    ///
    /// # Errors
    /// When a host refuses it for good, or none takes it within `deadline`: the last thing heard.
    pub fn send(&mut self, letter: &Letter, deadline: Duration) -> Result<Receipt, String> {
        let mut unknown = 0;
        let mut last = String::new();
        let taken = wait::within(deadline, || {
            let host = self.next % self.hosts.len();
            self.next += 1;
            let began = Instant::now();
            match self.attempt(host, letter) {
                Ok(reply) if reply.code == 250 => {
                    let id = reply.queued_as().unwrap_or_default().to_owned();
                    let took = began.elapsed();
                    Some(Ok(Receipt {
                        serial: letter.serial,
                        id,
                        host,
                        unknown,
                        took,
                    }))
                }
                Ok(reply) if reply.is_transient() => {
                    last = reply.to_string();
                    if reply.code == 421 {
                        self.forget(host);
                    }
                    None
                }
                Ok(reply) => Some(Err(format!("letter {}: {reply}", letter.serial))),
                Err(error) => {
                    // A session that could not even be opened has certainly left no copy.
                    unknown += usize::from(self.forget(host));
                    last = error.to_string();
                    None
                }
            }
        });
        taken.unwrap_or_else(|| {
            Err(format!(
                "letter {}: not taken in {deadline:?}: {last}",
                letter.serial
            ))
        })
    }

    fn attempt(&mut self, host: usize, letter: &Letter) -> io::Result<Reply> {
        let address = *self.hosts.get(host).ok_or(io::ErrorKind::NotFound)?;
        let session = self.sessions.get_mut(host).ok_or(io::ErrorKind::NotFound)?;
        if session.is_none() {
            *session = Some(match &self.trust {
                Some(trust) => Sender::connect_tls(address, Arc::clone(trust))?,
                None => Sender::connect(address)?,
            });
        }
        session
            .as_mut()
            .ok_or(io::ErrorKind::NotConnected)?
            .send(letter)
    }

    /// Drops the session with a host; tells whether there was one.
    fn forget(&mut self, host: usize) -> bool {
        self.sessions.get_mut(host).and_then(Option::take).is_some()
    }
}
