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
    sender::{PATIENCE, Reply, Sender},
    wait,
};

/// One MTA with one message under way at a time, so that what it sends is in order.
#[derive(Debug)]
pub struct Courier {
    hosts: Vec<SocketAddr>,
    sessions: Vec<Option<Sender>>,
    trust: Option<Arc<ClientConfig>>,
    patience: Duration,
    stays: bool,
    next: usize,
}

/// One try to hand a letter to a host.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// Which host, counted from 0.
    pub host: usize,
    /// What became of it.
    pub fate: Fate<'a>,
}

/// What becomes of a try.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'a> {
    /// It begins.
    Begun,
    /// No session could be opened: the letter has certainly left no copy.
    Unreachable,
    /// The host answered, with 250 when it took the letter.
    Answered(&'a Reply),
    /// The connection broke or nothing was heard: it may have left a copy.
    Unknown,
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
            patience: PATIENCE,
            stays: false,
            next: 0,
        }
    }

    /// Sends over STARTTLS, and only so.
    #[must_use]
    pub fn over_tls(mut self, trust: Arc<ClientConfig>) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Waits so long for each reply and no longer.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Goes to another host only when one does not take a letter.
    #[must_use]
    pub fn staying(mut self) -> Self {
        self.stays = true;
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
        self.send_noting(letter, deadline, |_| ())
    }

    /// The same, and `note` hears of every try: before anything is sent, and what became of it.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_noting(
        &mut self,
        letter: &Letter,
        deadline: Duration,
        mut note: impl FnMut(Try<'_>),
    ) -> Result<Receipt, String> {
        let mut unknown = 0;
        let mut last = String::new();
        let taken = wait::within(deadline, || {
            let host = self.next % self.hosts.len();
            self.next += 1;
            let began = Instant::now();
            note(Try {
                host,
                fate: Fate::Begun,
            });
            let answer = self.attempt(host, letter);
            if let Ok(reply) = &answer {
                note(Try {
                    host,
                    fate: Fate::Answered(reply),
                });
            }
            match answer {
                Ok(reply) if reply.code == 250 => {
                    if self.stays {
                        self.next = host;
                    }
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
                    let was_open = self.forget(host);
                    unknown += usize::from(was_open);
                    let fate = if was_open {
                        Fate::Unknown
                    } else {
                        Fate::Unreachable
                    };
                    note(Try { host, fate });
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
            let opened = Sender::connect_for(address, self.patience)?;
            *session = Some(match &self.trust {
                Some(trust) => opened.start_tls(Arc::clone(trust))?,
                None => opened,
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
