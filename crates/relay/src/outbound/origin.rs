//! Telling a primary who brought a message, where the policy and the primary want it (`xclient`).
//!
//! It goes before the message by XCLIENT or XFORWARD (`smtp::client::Origin`). A primary that wants to hear
//! of no client gets the mail as from us; one that does not want this client has judged his message.

use smtp::client::{Failure, HostName, Origin, Verdict};
use smtp::extensions::Attribute;
use spool::{Message, Outbox};

use crate::outbound::connection::{Broken, Connection};
use crate::outbound::delivery::Aborted;
use crate::outbound::open::Open;
use crate::outbound::worker::{Parting, Worker};

impl<O: Outbox> Worker<O> {
    /// A connection on which a message can be sent as what it is, the open one or another, and who is to be
    /// told of there.
    pub(super) async fn open_for(
        &self,
        message: &Message,
        open: Option<Open>,
    ) -> Result<(Open, Option<Origin>), Parting> {
        if let Some(open) = open {
            let origin = self.origin(message, &open.connection).await;
            if open.connection.session.can_speak_for(origin.as_ref()) {
                return Ok((open, origin));
            }
            open.connection.quit().await;
        }
        let open = self.opened(self.open().await?);
        let origin = self.origin(message, &open.connection).await;
        Ok((open, origin))
    }

    /// Who brought a message, if the primary is to know and wants to.
    async fn origin(&self, message: &Message, connection: &Connection) -> Option<Origin> {
        let address = message.client.address;
        // One that we have written ourselves was brought by nobody.
        let is_ours = message.client.is_nobody();
        if !self.domain.xclient || is_ours || !connection.session.wants_origin() {
            return None;
        }
        let offered = connection.session.offered()?;
        let asks_name = [&offered.xclient, &offered.xforward]
            .iter()
            .any(|attributes| attributes.contains(&Attribute::Name));
        let name = if asks_name {
            self.host_name(message).await
        } else {
            HostName::Unknown
        };
        Some(Origin {
            address,
            name,
            helo: message.client.helo.clone(),
            extended: is_extended(message),
            ident: message.id.to_string(),
        })
    }

    /// What the client is called: as it was when the message came, or as it is now if that was not known.
    async fn host_name(&self, message: &Message) -> HostName {
        if let Some(name) = name_on_arrival(message) {
            return HostName::Confirmed(name.to_owned());
        }
        let dns = self.shared.config.routes.dns();
        match dns.confirmed_name(message.client.address.ip()).await {
            Ok(Some(name)) => HostName::Confirmed(name),
            Ok(None) => HostName::Unknown,
            Err(error) => {
                tracing::debug!(id = %message.id, %error, "the client's name is not known");
                HostName::Untold
            }
        }
    }

    /// Passes a client on. Returns what becomes of his message, if the primary wants nothing of him.
    pub(super) async fn pass_on(
        &self,
        origin: Option<Origin>,
        open: &mut Open,
    ) -> Result<Option<Verdict>, Aborted> {
        let Some(origin) = origin else {
            return Ok(None);
        };
        let connection = &mut open.connection;
        match connection.pass_on(origin).await {
            Ok(()) => {}
            Err(Broken::Session(Failure::ClientRefused(reply))) => {
                return Ok(Some(Verdict::of_client(reply)));
            }
            Err(broken) => return Err(connection.aborted(broken)),
        }
        if let Some(reply) = connection.session.take_refusal() {
            let (domain, host) = (&self.domain.name, &connection.host);
            tracing::warn!(
                domain, host, %reply,
                "the primary offers XCLIENT or XFORWARD and refuses it to this node: its mail goes without"
            );
        }
        Ok(None)
    }
}

/// The lines of our own `Received` field that tell of the client and of us. What clients may write in the
/// fields in front of a message is no line by itself.
fn received(message: &Message) -> (&str, &str) {
    let trace = core::str::from_utf8(&message.trace).unwrap_or_default();
    let mut lines = trace.lines();
    let from = lines.find(|line| line.starts_with("Received: from "));
    (from.unwrap_or_default(), lines.next().unwrap_or_default())
}

/// What the client was called when the message came.
fn name_on_arrival(message: &Message) -> Option<&str> {
    let (from, _) = received(message);
    let (_, client) = from.split_once(" (")?;
    let (name, _) = client.split_once(" [")?;
    (name != "unknown").then_some(name)
}

/// Whether a message was brought by EHLO (RFC 3848).
fn is_extended(message: &Message) -> bool {
    let (_, by) = received(message);
    !by.contains(" with SMTP id ")
}
