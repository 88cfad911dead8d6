//! From the greeting to a session that is ready.

use super::{Session, State};
use crate::client::offered::offered_by;
use crate::client::{Failure, Tls};
use crate::{Extensions, Reply};

impl Session {
    /// Whether the server offers STARTTLS, as far as it has said in clear; one that knows HELO only does not.
    #[must_use]
    pub const fn offers_starttls(&self) -> Option<bool> {
        self.starttls
    }

    pub(super) fn say_hello(&mut self, secured: bool) {
        self.step(|session, _| session.ehlo(secured));
    }

    pub(super) fn ehlo(&mut self, secured: bool) -> State {
        let name = self.introduced.name().unwrap_or(&self.hostname);
        self.outgoing.command(format_args!("EHLO {name}"));
        State::Ehlo { secured }
    }

    pub(super) fn after_ehlo(&mut self, secured: bool, reply: &Reply) -> State {
        if reply.is_permanent() {
            let name = self.introduced.name().unwrap_or(&self.hostname);
            self.outgoing.command(format_args!("HELO {name}"));
            return State::Helo { secured };
        }
        if !reply.is_positive() {
            return self.unwelcome(reply.clone());
        }
        let offered = offered_by(reply);
        if !secured {
            self.starttls = Some(offered.starttls);
        }
        self.hello = Some(reply.clone());
        match self.tls {
            Tls::Opportunistic | Tls::Require if !secured && offered.starttls => {
                self.outgoing.command("STARTTLS");
                State::StartTls(offered)
            }
            Tls::Require if !secured => State::Closed(Some(Failure::TlsNotOffered)),
            _ => self.ready(offered),
        }
    }

    fn ready(&mut self, offered: Extensions) -> State {
        self.extensions = offered;
        self.extensions.chunking &= !self.forgoes_chunking;
        self.told = true;
        State::Ready
    }

    /// Nobody is let in under the name that was said: we, or the client that was passed on.
    const fn unwelcome(&self, reply: Reply) -> State {
        State::Closed(Some(if self.introduced.as_whom().is_some() {
            Failure::ClientRefused(reply)
        } else {
            Failure::Refused(reply)
        }))
    }

    pub(super) fn after_helo(&mut self, secured: bool, reply: Reply) -> State {
        if !reply.is_positive() {
            return self.unwelcome(reply);
        }
        self.hello = Some(reply);
        if !secured {
            self.starttls = Some(false);
        }
        match self.tls {
            Tls::Require if !secured => State::Closed(Some(Failure::TlsNotOffered)),
            _ => State::Ready,
        }
    }

    pub(super) fn after_starttls(&mut self, offered: Extensions, reply: Reply) -> State {
        match (reply.code, self.tls) {
            (220, _) => State::Handshake,
            (_, Tls::Require) => State::Closed(Some(Failure::TlsRefused(reply))),
            _ => self.ready(offered),
        }
    }
}
