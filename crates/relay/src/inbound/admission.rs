//! How many connections there may be, in all and from one client.
//!
//! ```text
//!   accepted ──enter──▶ Place ──seat──▶ Guest ──▶ a session
//!                one of all      one of its client's
//! ```
//!
//! All of it is counted on this node alone.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::info;

use super::{
    Config, Metrics,
    origin::Origin,
    refused::{Reason, Refused},
};

/// Who is there.
#[derive(Debug)]
pub(super) struct Admission {
    max: usize,
    max_per_client: usize,
    metrics: Metrics,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    /// Connections in all.
    all: usize,
    /// Sessions of those who have any.
    clients: HashMap<Origin, usize>,
    refused: Refused,
}

/// A connection's place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Admission>);

/// A client at its place. Both are free again when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    place: Place,
    origin: Origin,
}

impl Admission {
    pub(super) fn new(config: &Config, metrics: Metrics) -> Arc<Self> {
        let books = Books {
            all: 0,
            clients: HashMap::new(),
            refused: Refused::default(),
        };
        Arc::new(Self {
            max: config.max_connections,
            max_per_client: config.max_connections_per_ip,
            metrics,
            books: Mutex::new(books),
        })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection that was accepted from `address`, if there is one.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut books = self.books();
        if books.all >= self.max {
            drop(books);
            self.refuse(address, Reason::Full);
            return None;
        }
        books.all += 1;
        Some(Place(Arc::clone(self)))
    }

    /// Counts a connection that is turned away.
    pub(super) fn refuse(&self, address: IpAddr, reason: Reason) {
        self.metrics.refused(reason).inc();
        self.books().refused.note(Origin::of(address), reason);
    }

    /// Tells the log what has come together since it was told last.
    pub(super) fn tell(&self) {
        let told = self.books().refused.take();
        for (client, reason, connections) in told.clients {
            let reason = reason.name();
            info!(%client, connections, reason, "connections refused in the last minute");
        }
        if told.others > 0 {
            let connections = told.others;
            info!(
                connections,
                "connections of other clients refused in the last minute"
            );
        }
    }
}

impl Place {
    /// Gives the place to the client at `address`.
    ///
    /// # Errors
    /// Why that client has no more; the place is then free.
    pub(super) fn seat(self, address: IpAddr) -> Result<Guest, Reason> {
        let admission = Arc::clone(&self.0);
        let origin = Origin::of(address);
        let mut books = admission.books();
        let sessions = books.clients.get(&origin).copied().unwrap_or(0);
        if sessions >= admission.max_per_client {
            drop(books);
            admission.refuse(address, Reason::PerIp);
            return Err(Reason::PerIp);
        }
        books.clients.insert(origin, sessions + 1);
        drop(books);
        admission.metrics.open.inc();
        Ok(Guest {
            place: self,
            origin,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut books = self.0.books();
        books.all = books.all.saturating_sub(1);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let admission = &self.place.0;
        let mut books = admission.books();
        match books.clients.get_mut(&self.origin) {
            Some(sessions) if *sessions > 1 => *sessions -= 1,
            _ => drop(books.clients.remove(&self.origin)),
        }
        drop(books);
        admission.metrics.open.dec();
    }
}

#[cfg(test)]
mod tests;
