//! How many connections there may be, in all and from one client, and how much a client may do.
//!
//! ```text
//!   accepted ──enter──▶ Place ──seat──▶ Guest ──▶ a session
//!                one of all      one of its client's
//! ```
//!
//! All of it is counted on this node alone and in memory that does not grow with the number of
//! strangers.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tracing::{info, warn};

use super::{
    Config, Metrics,
    authentication::Places,
    crowd::Crowd,
    limits::{
        CALM_PERCENT, CROWDED_PERCENT, EVALUATIONS_PER_CLIENT_MAX, NAMES_PER_CLIENT_MAX,
        TELL_EVERY, UNFINISHED_MAX, UNFINISHED_PER_CLIENT_MAX,
    },
    origin::{Origin, is_in},
    rates::{Deed, Rates},
    refused::{Reason, Refused},
};

/// Who is there, and who was lately.
#[derive(Debug)]
pub(super) struct Admission {
    max: usize,
    max_per_client: usize,
    unfinished_max: u64,
    unfinished_per_client_max: u64,
    /// Networks whose clients are not limited one by one.
    trusted: Vec<IpNet>,
    metrics: Metrics,
    /// Whether places are short.
    crowded: watch::Sender<bool>,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    /// Connections in all.
    all: usize,
    /// Those who have sessions.
    clients: HashMap<Origin, Client>,
    /// Octets that are staged of bodies which are not complete.
    unfinished: u64,
    rates: Rates,
    refused: Refused,
    /// When the log was last told that places are short.
    told_crowded: Option<Instant>,
}

#[derive(Debug)]
struct Client {
    sessions: usize,
    unfinished: u64,
    /// For the evaluations of its messages.
    evaluations: Arc<Places>,
    /// For questions after its name.
    names: Arc<Semaphore>,
}

/// A connection's place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Admission>);

/// A client at its place. Both are free again when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    place: Place,
    origin: Origin,
    is_trusted: bool,
}

impl Admission {
    pub(super) fn new(config: &Config, metrics: Metrics) -> Arc<Self> {
        let books = Books {
            all: 0,
            clients: HashMap::new(),
            unfinished: 0,
            rates: Rates::new(config.per_minute),
            refused: Refused::default(),
            told_crowded: None,
        };
        let largest = config.max_message_size;
        Arc::new(Self {
            max: config.max_connections,
            max_per_client: config.max_connections_per_ip,
            unfinished_max: UNFINISHED_MAX.max(4 * largest),
            unfinished_per_client_max: UNFINISHED_PER_CLIENT_MAX.max(2 * largest),
            trusted: config.trusted.clone(),
            metrics,
            crowded: watch::Sender::new(false),
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
        self.look_around(&mut books);
        Some(Place(Arc::clone(self)))
    }

    /// Counts a connection that is turned away.
    pub(super) fn refuse(&self, address: IpAddr, reason: Reason) {
        self.metrics.refused(reason).inc();
        self.books().refused.note(Origin::of(address), reason);
    }

    /// Tells the log what has come together since it was told last.
    pub(super) fn tell(&self) {
        let mut books = self.books();
        self.tell_crowded(&mut books);
        let told = books.refused.take();
        drop(books);
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

    /// Notices that places have become short, or enough again.
    fn look_around(&self, books: &mut Books) {
        let percent = books.all.saturating_mul(100);
        let (crowded_from, calm_at) = (
            self.max.saturating_mul(CROWDED_PERCENT),
            self.max.saturating_mul(CALM_PERCENT),
        );
        let changed = self.crowded.send_if_modified(|crowded| {
            let before = *crowded;
            *crowded = percent >= crowded_from || (before && percent > calm_at);
            *crowded != before
        });
        if changed {
            self.metrics.crowded.set(i64::from(*self.crowded.borrow()));
            self.tell_crowded(books);
        }
    }

    fn tell_crowded(&self, books: &mut Books) {
        let is_news = books
            .told_crowded
            .is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if is_news && *self.crowded.borrow() {
            books.told_crowded = Some(Instant::now());
            let (connections, max) = (books.all, self.max);
            warn!(
                connections,
                max, "connections are short: clients get less time"
            );
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self {
            sessions: 0,
            unfinished: 0,
            evaluations: Arc::new(Places::new(EVALUATIONS_PER_CLIENT_MAX)),
            names: Arc::new(Semaphore::new(NAMES_PER_CLIENT_MAX)),
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
        let is_trusted = is_in(&admission.trusted, address);
        let is_crowded = *admission.crowded.borrow();
        let mut books = admission.books();
        let sessions = books
            .clients
            .get(&origin)
            .map_or(0, |client| client.sessions);
        let refused = if is_trusted {
            None
        } else if sessions >= admission.max_per_client {
            Some(Reason::PerIp)
        } else {
            let now = Instant::now();
            let allowed = books.rates.allow(origin, Deed::Connection, is_crowded, now);
            (!allowed).then_some(Reason::Rate)
        };
        if let Some(reason) = refused {
            drop(books);
            admission.refuse(address, reason);
            return Err(reason);
        }
        books.clients.entry(origin).or_default().sessions += 1;
        drop(books);
        admission.metrics.open.inc();
        Ok(Guest {
            place: self,
            origin,
            is_trusted,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut books = self.0.books();
        books.all = books.all.saturating_sub(1);
        self.0.look_around(&mut books);
    }
}

impl Guest {
    fn admission(&self) -> &Admission {
        &self.place.0
    }

    /// Whether it is not limited for itself.
    pub(super) const fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// What its session is to know of the others.
    pub(super) fn crowd(&self) -> Crowd {
        Crowd::new(self.admission().crowded.subscribe())
    }

    /// Counts something it does, and says whether it may.
    pub(super) fn may(&self, deed: Deed) -> bool {
        if self.is_trusted {
            return true;
        }
        let admission = self.admission();
        let is_crowded = *admission.crowded.borrow();
        let mut books = admission.books();
        books
            .rates
            .allow(self.origin, deed, is_crowded, Instant::now())
    }

    /// Whether it may not do something once more now. Counts nothing.
    pub(super) fn has_spent(&self, deed: Deed) -> bool {
        if self.is_trusted {
            return false;
        }
        let admission = self.admission();
        let is_crowded = *admission.crowded.borrow();
        let books = admission.books();
        books
            .rates
            .is_spent(self.origin, deed, is_crowded, Instant::now())
    }

    /// Counts that it is sent away.
    pub(super) fn refuse(&self, reason: Reason) {
        let admission = self.admission();
        admission.metrics.refused(reason).inc();
        admission.books().refused.note(self.origin, reason);
    }

    /// Its places for evaluations, which all its sessions share.
    pub(super) fn evaluations(&self) -> Arc<Places> {
        let mut books = self.admission().books();
        let client = books.clients.entry(self.origin).or_default();
        Arc::clone(&client.evaluations)
    }

    /// Its places for questions after its name, which all its sessions share.
    pub(super) fn names(&self) -> Arc<Semaphore> {
        let mut books = self.admission().books();
        let client = books.clients.entry(self.origin).or_default();
        Arc::clone(&client.names)
    }

    /// Sets aside so many octets of what may be staged; says whether there was as much.
    pub(super) fn set_aside(&self, octets: u64) -> bool {
        let admission = self.admission();
        let mut books = admission.books();
        let Books {
            clients,
            unfinished,
            ..
        } = &mut *books;
        let client = clients.entry(self.origin).or_default();
        let per_client_max = if self.is_trusted {
            admission.unfinished_max
        } else {
            admission.unfinished_per_client_max
        };
        let fits = *unfinished + octets <= admission.unfinished_max
            && client.unfinished + octets <= per_client_max;
        if fits {
            *unfinished += octets;
            client.unfinished += octets;
        }
        fits
    }

    /// Gives back what was set aside.
    pub(super) fn give_back(&self, octets: u64) {
        let mut books = self.admission().books();
        books.unfinished = books.unfinished.saturating_sub(octets);
        if let Some(client) = books.clients.get_mut(&self.origin) {
            client.unfinished = client.unfinished.saturating_sub(octets);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut books = self.admission().books();
        match books.clients.get_mut(&self.origin) {
            Some(client) if client.sessions > 1 => client.sessions -= 1,
            _ => drop(books.clients.remove(&self.origin)),
        }
        drop(books);
        self.admission().metrics.open.dec();
    }
}

#[cfg(test)]
mod tests;
