//! Reaching a primary, and learning from it what it offers.

use spool::policy::Domain;
use spool::ports::OutboxError;
use spool::{Offers, Outbox};

use crate::outbound::Shared;
use crate::outbound::connection::{Connection, Terms};
use crate::outbound::worker::shortened;

impl<O: Outbox> Shared<O> {
    /// Opens a connection to the first of the primary's hosts that talks to us.
    ///
    /// # Errors
    /// In words, why none does.
    pub(super) async fn connect(&self, domain: &Domain) -> Result<Connection, String> {
        let terms = Terms {
            hostname: &self.config.hostname,
            tls: domain.tls,
            connectors: &self.connectors,
            timeouts: self.config.timeouts,
        };
        let connected = self.config.routes.connect(domain, terms).await;
        connected.map_err(shortened)
    }

    /// Records what the primary of a domain offers that was just connected to, where that is news.
    ///
    /// # Errors
    /// Why it could not be recorded.
    pub(super) async fn note_offers(
        &self,
        domain: &Domain,
        connection: &Connection,
    ) -> Result<(), OutboxError> {
        let Some(offers) = connection.session.offered().map(Offers::from) else {
            return Ok(());
        };
        let known = self.outbox.destination(&domain.name).learned;
        if known.is_some_and(|known| known.offers == offers) {
            return Ok(());
        }
        let (name, host) = (&domain.name, &connection.host);
        tracing::info!(domain = %name, %host, ?offers, "primary offers something new");
        self.outbox
            .note_offers(domain, offers, self.clock.now())
            .await
    }
}
