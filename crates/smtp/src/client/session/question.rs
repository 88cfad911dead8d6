//! Asking a server about a recipient, or whether it takes mail, without sending anything.

use super::{Session, State};
use crate::client::outgoing::objection;
use crate::client::verdict::Opinion;
use crate::{Envelope, ForwardPath, Recipient, ReversePath};

impl Session {
    /// Asks whether there is a recipient, on a session that is ready: opens a transaction from the null
    /// sender, which no server may refuse (RFC 5321 section 4.5.5), names him, and gives it up.
    pub fn ask(&mut self, path: ForwardPath) {
        if !matches!(self.state, State::Ready) {
            return;
        }
        let mut envelope = Envelope::new(ReversePath::Null);
        let recipient = Recipient::from(path);
        envelope.recipients.push(recipient.clone());
        if let Some(reply) = objection(&envelope, &self.extensions) {
            self.answered = Some(Opinion::Later(reply));
            return;
        }
        self.outgoing.mail(&envelope, &self.extensions);
        self.state = State::AskSender(Some(recipient));
    }

    /// Asks whether any mail is taken, on a session that is ready: opens a transaction from the null sender, and
    /// gives it up before it names anybody.
    pub fn ask_for_any(&mut self) {
        if !matches!(self.state, State::Ready) {
            return;
        }
        let envelope = Envelope::new(ReversePath::Null);
        self.outgoing.mail(&envelope, &self.extensions);
        self.state = State::AskSender(None);
    }

    /// Ends a question, and clears its transaction on the server.
    pub(super) fn conclude_question(&mut self, opinion: Opinion) -> State {
        self.answered = Some(opinion);
        self.outgoing.command("RSET");
        State::Reset(1)
    }
}
