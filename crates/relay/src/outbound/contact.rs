//! Reaching a primary, and learning from it what it offers.

use spool::policy::Domain;
use spool::ports::OutboxError;
use spool::{Destination, Offers, Outbox, Reachability, alarm};

use crate::outbound::Shared;
use crate::outbound::connection::{Connection, Terms};
use crate::outbound::limits::Timeouts;
use crate::outbound::places::Share;
use crate::outbound::words::shortened;

impl<O: Outbox> Shared<O> {
    /// Opens a connection to the first of the primary's hosts that talks to us.
    ///
    /// # Errors
    /// In words, why none does.
    pub(super) async fn connect(&self, domain: &Domain) -> Result<Connection, String> {
        self.connect_within(domain, self.config.timeouts).await
    }

    /// The same for mail: waits for a place at the host, which all domains share.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(super) async fn connect_for_mail(&self, domain: &Domain) -> Result<Connection, String> {
        let share = Share {
            places: &self.config.places,
            max: domain.connections as usize,
        };
        self.reach(domain, self.config.timeouts, Some(share)).await
    }

    /// The same with another patience.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(super) async fn connect_within(
        &self,
        domain: &Domain,
        timeouts: Timeouts,
    ) -> Result<Connection, String> {
        self.reach(domain, timeouts, None).await
    }

    async fn reach(
        &self,
        domain: &Domain,
        timeouts: Timeouts,
        share: Option<Share<'_>>,
    ) -> Result<Connection, String> {
        let terms = Terms {
            hostname: &self.config.hostname,
            tls: domain.tls,
            connectors: &self.connectors,
            dns: self.config.routes.dns(),
            timeouts,
            share,
        };
        let unreached = match self.config.routes.connect(domain, terms).await {
            Ok(connection) => return Ok(connection),
            Err(unreached) => unreached,
        };
        if let Some(host) = &unreached.without_starttls
            && let Err(error) = self.note_starttls(domain, host, false).await
        {
            tracing::debug!(domain = domain.name, %error, "that TLS is gone was not recorded");
        }
        Err(shortened(unreached.words))
    }

    /// Records whether the primary of a domain is up, and tells the log of the alarm that begins or ends with
    /// it.
    ///
    /// # Errors
    /// Why it could not be recorded.
    pub(super) async fn observe(
        &self,
        domain: &str,
        reachability: Reachability,
    ) -> Result<(), OutboxError> {
        let outbox = &self.outbox;
        let had_none = outbox.destination(domain).no_route().is_some();
        outbox
            .observe(domain, reachability, self.clock.now())
            .await?;
        let now = outbox.destination(domain);
        if now.no_route().is_some() != had_none {
            tell_alarm(domain, alarm::NO_ROUTE, &now);
        }
        Ok(())
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
        if let Some(is_offered) = connection.session.offers_starttls() {
            let host = &connection.host;
            self.note_starttls(domain, host, is_offered).await?;
        }
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

    /// Records whether a host offers STARTTLS, where that is news, and tells the log of the alarm that begins
    /// or ends with it.
    async fn note_starttls(
        &self,
        domain: &Domain,
        host: &str,
        is_offered: bool,
    ) -> Result<(), OutboxError> {
        let name = &domain.name;
        let known = self.outbox.destination(name).starttls;
        if known
            .as_ref()
            .map_or(!is_offered, |known| known.is_offered == is_offered)
        {
            return Ok(());
        }
        let (outbox, now) = (&self.outbox, self.clock.now());
        outbox.note_starttls(domain, host, is_offered, now).await?;
        if known.is_none() {
            return Ok(());
        }
        tell_alarm(name, alarm::TLS_GONE, &outbox.destination(name));
        Ok(())
    }
}

/// Tells the log whether an alarm of a domain is raised now.
pub(super) fn tell_alarm(domain: &str, name: &'static str, now: &Destination) {
    let raised = alarm::of_destination(domain, now);
    match raised.iter().find(|alarm| alarm.name == name) {
        Some(raised) => {
            tracing::warn!(target: "alarm", name, %domain, "{}", raised.words);
        }
        None => tracing::info!(target: "alarm", name, %domain, "alarm cleared"),
    }
}
