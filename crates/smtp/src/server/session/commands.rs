//! What each command does.

use super::{Session, State, between_commands};
use crate::{
    Command, Envelope, Recipient, Reply,
    address::AddressError,
    command::CommandError,
    data::Decoder,
    server::{Helo, Output, Question, reading::Reading, replies},
};

impl Session {
    pub(super) fn follow(
        &mut self,
        line: &[u8],
        envelope: Option<Envelope>,
    ) -> (State, Option<Output>) {
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => {
                let reply = replies::command_error(error);
                return (self.object(&reply, between_commands(envelope)), None);
            }
        };
        let state = match command {
            Command::Mail(opened) => return self.mail(*opened, envelope),
            Command::Rcpt(recipient) => return self.rcpt(recipient, envelope),
            Command::Data => self.data(envelope),
            // Both end whatever transaction is open (RFC 5321 section 4.1.4).
            Command::Ehlo(name) => {
                self.helo = Some(Helo {
                    name,
                    extended: true,
                });
                let reply = replies::ehlo(&self.settings.hostname, &self.extensions());
                self.answer(&reply, State::Ready)
            }
            Command::Helo(name) => {
                self.helo = Some(Helo {
                    name,
                    extended: false,
                });
                self.answer(&replies::helo(&self.settings.hostname), State::Ready)
            }
            Command::Rset => self.answer(&replies::done(), State::Ready),
            Command::Noop => self.answer(&replies::done(), between_commands(envelope)),
            Command::Vrfy => self.answer(&replies::cannot_verify(), between_commands(envelope)),
            Command::Help => self.answer(&replies::help(), between_commands(envelope)),
            Command::Quit => self.answer(&replies::farewell(), State::Closed),
            Command::StartTls => self.start_tls(envelope),
        };
        (state, None)
    }

    fn mail(&mut self, opened: Envelope, open: Option<Envelope>) -> (State, Option<Output>) {
        if open.is_some() {
            let reply = replies::out_of_order("Error: nested MAIL command");
            return (self.object(&reply, between_commands(open)), None);
        }
        if self.helo.is_none() {
            let reply = replies::out_of_order("Error: send EHLO or HELO first");
            return (self.object(&reply, State::Ready), None);
        }
        if let Some(error) = self.objection_to(&opened) {
            let reply = replies::command_error(error);
            return (self.object(&reply, State::Ready), None);
        }
        let declared_size = opened.declared_size;
        if declared_size.is_some_and(|size| size > self.settings.size_max) {
            let reply = replies::too_big(self.settings.size_max);
            return (self.answer(&reply, State::Ready), None);
        }
        let reverse_path = opened.reverse_path.clone();
        let question = Question::Sender {
            reverse_path,
            declared_size,
        };
        (State::Sender(opened), Some(Output::Ask(question)))
    }

    /// What in a MAIL command needs an extension that is not offered, or was not asked for.
    fn objection_to(&self, opened: &Envelope) -> Option<CommandError> {
        if opened.smtputf8 && !self.settings.smtputf8 {
            Some(CommandError::Parameter)
        } else if !opened.smtputf8 && !opened.reverse_path.is_ascii() {
            Some(CommandError::Sender(AddressError::NotAscii))
        } else {
            None
        }
    }

    fn rcpt(&mut self, recipient: Recipient, open: Option<Envelope>) -> (State, Option<Output>) {
        let Some(envelope) = open else {
            let reply = replies::out_of_order("Error: need MAIL command");
            return (self.object(&reply, State::Ready), None);
        };
        if !envelope.smtputf8
            && let Some(error) = needs_smtputf8(&recipient)
        {
            let reply = replies::command_error(error);
            return (self.object(&reply, State::Transaction(envelope)), None);
        }
        if envelope.recipients.len() >= self.settings.recipients_max {
            let reply = replies::too_many_recipients();
            return (self.answer(&reply, State::Transaction(envelope)), None);
        }
        let question = Question::Recipient(recipient.path.clone());
        (
            State::Recipient(envelope, recipient),
            Some(Output::Ask(question)),
        )
    }

    fn data(&mut self, open: Option<Envelope>) -> State {
        match open {
            None => {
                let reply = replies::out_of_order("Error: need MAIL command");
                self.object(&reply, State::Ready)
            }
            Some(envelope) if envelope.recipients.is_empty() => self.object(
                &replies::no_valid_recipients(),
                State::Transaction(envelope),
            ),
            Some(envelope) => {
                let reading = Reading::new(envelope, Decoder::new());
                self.answer(&replies::go_ahead(), State::Data(Box::new(reading)))
            }
        }
    }

    fn start_tls(&mut self, open: Option<Envelope>) -> State {
        if let Some(reply) = self.objection_to_tls() {
            return self.object(&reply, between_commands(open));
        }
        // Octets pipelined behind STARTTLS travelled in clear. If they survived the handshake they
        // would run as if the client had sent them under TLS (CVE-2011-0411), so nothing but the
        // end of the session follows on them.
        if !self.unread.is_empty() {
            return self.answer(&replies::talked_early(), State::Closed);
        }
        self.answer(&replies::ready_for_tls(), State::Handshake)
    }

    fn objection_to_tls(&self) -> Option<Reply> {
        if self.secured {
            Some(replies::tls_is_active())
        } else if !self.settings.starttls {
            Some(replies::not_offered())
        } else if self.helo.is_none() {
            Some(replies::out_of_order("Error: send EHLO first"))
        } else {
            None
        }
    }
}

/// What in a RCPT command only a sender may say who has said SMTPUTF8.
fn needs_smtputf8(recipient: &Recipient) -> Option<CommandError> {
    let orcpt = recipient.dsn.orcpt.as_ref();
    if !recipient.path.is_ascii() {
        Some(CommandError::Recipient(AddressError::NotAscii))
    } else if orcpt.is_some_and(|orcpt| !orcpt.is_ascii()) {
        Some(CommandError::ParameterValue)
    } else {
        None
    }
}
