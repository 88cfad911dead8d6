//! Passing on to the server who brought a message.
//!
//! With XCLIENT the server takes us for that client until it is told of another, and starts again from its
//! greeting. With XFORWARD it only writes him in its log, for the next message. Where it wants to hear of
//! neither, the message goes as from ourselves: to be told of a client is a wish of the server's own.

use super::{Session, State};
use crate::client::{Failure, Origin};
use crate::{Extensions, Reply};

/// As whom a server takes us.
#[derive(Debug, Default)]
pub(super) struct Introduced {
    /// The commands that made it take us for another client, if there were any.
    as_whom: Option<Vec<String>>,
    /// What that client calls himself.
    name: Option<String>,
    forgoes_xclient: bool,
    forgoes_xforward: bool,
    /// Why something is forgone, until the driver has been told.
    refusal: Option<Reply>,
}

impl Introduced {
    pub(super) const fn as_whom(&self) -> Option<&Vec<String>> {
        self.as_whom.as_ref()
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Commands that pass a client on, under way.
#[derive(Debug)]
pub(super) struct Introduction {
    origin: Box<Origin>,
    commands: Vec<String>,
    /// How many of them were taken.
    taken: usize,
    /// XCLIENT, and not XFORWARD.
    is_xclient: bool,
}

impl Session {
    /// Whether the server wants to know who brought a message: it offers XCLIENT or XFORWARD, and has not
    /// refused it.
    #[must_use]
    pub fn wants_origin(&self) -> bool {
        let (xclient, xforward) = (&self.extensions.xclient, &self.extensions.xforward);
        !(self.introduced.forgoes_xclient || xclient.is_empty())
            || !(self.introduced.forgoes_xforward || xforward.is_empty())
    }

    /// Whether the server can be made to take the next message for this client's, or for our own without one.
    /// It can not where it takes us for another client and is not to be told of this one: the message needs a
    /// new connection.
    #[must_use]
    pub fn can_speak_for(&self, origin: Option<&Origin>) -> bool {
        let is_free = self.introduced.as_whom().is_none();
        is_free || origin.is_some_and(|it| !it.xclient(&self.extensions.xclient).is_empty())
    }

    /// Tells the server who has brought the next message, as far as it wants to know, on a session that is
    /// ready. It is ready again afterwards, unless the server wants nothing of that client:
    /// [`Failure::ClientRefused`].
    pub fn pass_on(&mut self, origin: Origin) {
        if !matches!(self.state, State::Ready) {
            return;
        }
        self.step(|session, _| session.introduce(Box::new(origin)));
    }

    /// By which reply the server has refused to be told of clients at all, since this was asked last.
    pub const fn take_refusal(&mut self) -> Option<Reply> {
        self.introduced.refusal.take()
    }

    fn introduce(&mut self, origin: Box<Origin>) -> State {
        let commands = origin.xclient(&self.extensions.xclient);
        if !self.introduced.forgoes_xclient && !commands.is_empty() {
            if self.introduced.as_whom() == Some(&commands) {
                return State::Ready;
            }
            return self.begin(origin, commands, true);
        }
        let commands = origin.xforward(&self.extensions.xforward);
        if self.introduced.forgoes_xforward || commands.is_empty() {
            return State::Ready;
        }
        self.begin(origin, commands, false)
    }

    fn begin(&mut self, origin: Box<Origin>, commands: Vec<String>, is_xclient: bool) -> State {
        let introduction = Introduction {
            origin,
            commands,
            taken: 0,
            is_xclient,
        };
        self.go_on_with(introduction)
    }

    /// Says the next command, or ends.
    fn go_on_with(&mut self, introduction: Introduction) -> State {
        match introduction.commands.get(introduction.taken) {
            Some(command) => {
                self.outgoing.command(command);
                State::Introduce(introduction)
            }
            None => self.conclude(introduction),
        }
    }

    pub(super) fn after_introduction(
        &mut self,
        mut introduction: Introduction,
        reply: Reply,
    ) -> State {
        match (introduction.is_xclient, reply.code) {
            (_, 200..=299) => {
                introduction.taken += 1;
                self.go_on_with(introduction)
            }
            // The syntax, the order, the permission: that speaks of the command.
            (true, 500..=504 | 550) => self.after_refusal(introduction, reply),
            // What an access rule says to the client, as it would to himself.
            (true, 400..=599) => State::Closed(Some(Failure::ClientRefused(reply))),
            (false, 400..=599) => {
                self.introduced.forgoes_xforward = true;
                self.introduced.refusal = Some(reply);
                State::Ready
            }
            _ => State::Closed(Some(Failure::OutOfTurn(reply))),
        }
    }

    /// The server does not take an XCLIENT.
    fn after_refusal(&mut self, introduction: Introduction, reply: Reply) -> State {
        // It knows the client's address by the first; what else it does not want to know is not said again.
        if introduction.taken > 0 {
            return self.conclude(introduction);
        }
        if self.introduced.as_whom().is_some() {
            return State::Closed(Some(Failure::StaysAnother(reply)));
        }
        self.introduced.forgoes_xclient = true;
        self.introduced.refusal = Some(reply);
        self.introduce(introduction.origin)
    }

    /// All is said: after XCLIENT the session begins anew, but for TLS.
    fn conclude(&mut self, introduction: Introduction) -> State {
        if !introduction.is_xclient {
            return State::Ready;
        }
        self.introduced.name = introduction.origin.helo().map(str::to_owned);
        self.introduced.as_whom = Some(introduction.commands);
        self.extensions = Extensions::default();
        self.told = false;
        self.hello = None;
        self.ehlo(true)
    }
}
