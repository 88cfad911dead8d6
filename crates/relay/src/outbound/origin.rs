//! Telling a primary who brought a message, where the policy and the primary want it (`xclient`).
//!
//! It goes before the message by XCLIENT or XFORWARD (`smtp::client::Origin`). A primary that wants to hear
//! of no client gets the mail as from us; one that does not want this client has judged his message.

use memchr::memmem;
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
            let dns = self.shared.config.routes.dns();
            match dns.confirmed_name(address.ip()).await {
                Ok(Some(name)) => HostName::Confirmed(name),
                Ok(None) => HostName::Unknown,
                Err(error) => {
                    tracing::debug!(message = %message.id, %error, "the client's name is not known");
                    HostName::Untold
                }
            }
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

/// Whether a message was brought by EHLO. Our own trace field tells (RFC 3848): it is the last of those in
/// front of the message.
fn is_extended(message: &Message) -> bool {
    let trace = &message.trace;
    let received = memmem::rfind(trace, b"Received: from ").unwrap_or_default();
    let received = trace.get(received..).unwrap_or_default();
    memmem::find(received, b" with SMTP id ").is_none()
}
