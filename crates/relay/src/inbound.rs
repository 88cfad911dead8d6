//! Sessions in.
//!
//! ```text
//!   Listener ──▶ Connection ⇄ smtp::server::Session
//!   opens and       │ octets of a body        │ questions
//!   closes the      ▼                         ▼
//!   port         Arrival ── stage, accept ──▶ Intake, Policy
//!      │            authentication ── who sent it? ──▶ Dns
//!      │               recipients ── learn ──▶ AddressBook
//!      │                  └── asks the primary
//!    proxy        whose connection it is
//!    Admission    how many there may be, and what a client may do: asked all the time
//! ```
//!
//! What the bytes mean is `smtp`'s affair, what a message comes to is the spool's.

mod admission;
mod arrival;
mod authentication;
mod client_name;
mod connection;
mod crowd;
mod dnsbl;
mod etrn;
mod guesses;
pub mod limits;
mod listener;
mod metrics;
mod offered;
mod origin;
mod pace;
mod ports;
pub mod proxy;
mod rates;
mod receipts;
mod received;
mod recipients;
mod refusal;
mod refused;
mod signs;
#[cfg(test)]
mod tests;
mod unfinished;

use core::time::Duration;
use std::{net::SocketAddr, sync::Arc};

use ipnet::IpNet;
use smtp::server::Settings;
use spool::{Clock, Intake, MessageId};
use tls::ServerTls;
use tokio::sync::Semaphore;

use crate::dns::Dns;
use admission::{Admission, Guest};
use arrival::Arrival;
use authentication::{Authenticator, Screen};
use client_name::Names;
use dnsbl::Lists;
use etrn::Flushes;
pub use listener::Listener;
pub use metrics::Metrics;
use offered::Offered;
pub use ports::BindError;
pub use rates::PerMinute;
use recipients::Verifier;
use signs::Signs;
use unfinished::Unfinished;

use crate::route::Routes;

/// How mail is taken.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's name in greeting, EHLO and `Received`.
    pub hostname: String,
    /// Where to listen. Port 0 takes any that is free.
    pub listen: Vec<SocketAddr>,
    /// Octets of the largest message.
    pub max_message_size: u64,
    /// Recipients of one message at most.
    pub max_recipients: usize,
    /// Connections at most.
    pub max_connections: usize,
    /// Sessions at most of one client: an IPv4 address, or the /64 of an IPv6 address.
    pub max_connections_per_ip: usize,
    /// How much one client may do in a minute.
    pub per_minute: PerMinute,
    /// Networks whose clients are limited only with all others together.
    pub trusted: Vec<IpNet>,
    /// Networks of proxies: each connection from there begins with a PROXY header, which says who
    /// the client is.
    pub proxies: Vec<IpNet>,
    /// How long a client may take for a command, or for the next octets of a body.
    pub command_timeout: Duration,
    /// Networks whose hosts may ask for any domain's mail by ETRN; a domain's primary may in any case.
    pub staff: Vec<IpNet>,
    /// Who asks the DNS about clients and senders.
    pub dns: Arc<Dns>,
}

/// What every session needs and none owns.
#[derive(Debug)]
struct Shared<I> {
    config: Config,
    admission: Arc<Admission>,
    intake: Arc<I>,
    clock: Clock,
    metrics: Metrics,
    tls: Option<Arc<ServerTls>>,
    /// Who finds out who sent a message.
    authenticator: Authenticator,
    /// Who knows whether there is a recipient.
    verifier: Verifier<I>,
    /// Where the primaries are.
    routes: Arc<Routes>,
    flushes: Flushes,
    block_lists: Arc<Lists>,
    /// What clients are called.
    names: Names,
    signs: Signs,
    /// Buffers of a whole piece that no session has.
    large_bodies: Arc<Semaphore>,
    /// Places to wait for whether a client talks first.
    greeting_pauses: Semaphore,
}

impl<I: Intake> Shared<I> {
    fn new(
        config: Config,
        intake: Arc<I>,
        clock: Clock,
        metrics: Metrics,
        tls: Option<Arc<ServerTls>>,
        routes: Arc<Routes>,
    ) -> Self {
        let verifier = Verifier::new(
            Arc::clone(&intake),
            config.hostname.clone(),
            clock,
            metrics.clone(),
            Arc::clone(&routes),
        );
        let dns = Arc::clone(&config.dns);
        let block_lists = Lists::new(Arc::clone(&config.dns), metrics.clone());
        let names = Names::new(Arc::clone(&config.dns));
        Self {
            authenticator: Authenticator::new(dns, &config.hostname, metrics.clone()),
            admission: Admission::new(&config, metrics.clone()),
            config,
            intake,
            clock,
            metrics,
            tls,
            verifier,
            routes,
            flushes: Flushes::default(),
            block_lists: Arc::new(block_lists),
            names,
            signs: Signs::default(),
            large_bodies: Arc::new(Semaphore::new(limits::LARGE_BODIES_MAX)),
            greeting_pauses: Semaphore::new(limits::GREETING_PAUSES_MAX),
        }
    }

    /// Mail may come.
    fn prepare(&self) {
        self.authenticator.prepare(self.intake.policy().as_deref());
    }

    /// Where the body of the message `id` is gathered.
    fn arrival(&self, guest: &Arc<Guest>, id: MessageId) -> Arrival<I> {
        let unfinished = Unfinished::new(Arc::clone(guest));
        let large_bodies = Arc::clone(&self.large_bodies);
        // What a host tells that this node trusts is for the primary to believe.
        let ids = (!guest.is_trusted()).then(|| {
            let policy = self.intake.policy();
            self.authenticator.own_ids(policy.as_deref(), &self.routes)
        });
        let screen = Screen::new(ids);
        Arrival::new(
            Arc::clone(&self.intake),
            large_bodies,
            unfinished,
            screen,
            id,
        )
    }

    fn settings(&self) -> Settings {
        let offered = Offered::by(&*self.intake, self.config.max_message_size);
        Settings {
            hostname: self.config.hostname.clone(),
            size_max: offered.size_max,
            recipients_max: self.config.max_recipients,
            starttls: self.tls.is_some(),
            smtputf8: offered.smtputf8,
            binary_mime: offered.binary_mime,
        }
    }
}

/// What sessions are to know about the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    /// Mail is taken.
    Open,
    /// Mail is not taken now; sessions end at their next command.
    Retiring,
    /// The node stops; sessions end at once, or after the message that is arriving.
    Stopping,
    /// The node stops and can take no message any more; sessions end at once.
    Ended,
}
