//! What each command does.

use super::{READY, Session, State, Transaction};
use crate::{
    BodyType, Command, Envelope, Recipient, Reply,
    address::AddressError,
    command::{CommandError, EtrnNode},
    data::Decoder,
    limits::{CHUNK_MAX, PRESSED_JUNK_MAX, RECIPIENTS_OCTETS_MAX},
    server::{
        Helo, Output, Question,
        chunks::{Chunk, Chunks},
        reading::Reading,
        replies,
    },
};

impl Session {
    pub(super) fn follow(
        &mut self,
        line: &[u8],
        transaction: Transaction,
    ) -> (State, Option<Output>) {
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => {
                if let CommandError::Chunk(octets) = error {
                    return self.broken_chunk(octets, &transaction);
                }
                let reply = replies::command_error(error);
                // A page can make a browser send mail from inside of a network; none of it is read.
                if error == CommandError::OtherProtocol {
                    return (self.answer(&reply, State::Closed), None);
                }
                return (self.object(&reply, State::Command(transaction)), None);
            }
        };
        if is_junk(&command) {
            self.junk_commands += 1;
        }
        if self.pressed && self.junk_commands > PRESSED_JUNK_MAX {
            let reply = replies::too_many_commands(&self.settings.hostname);
            return (self.answer(&reply, State::Closed), None);
        }
        let state = match command {
            Command::Mail(opened) => return self.mail(*opened, transaction),
            Command::Rcpt(recipient) => return self.rcpt(recipient, transaction),
            Command::Data => self.data(transaction),
            Command::Bdat { octets, last } => self.bdat(Chunk::new(octets, last), transaction),
            // Both end whatever transaction is open (RFC 5321 section 4.1.4).
            Command::Ehlo(name) => {
                self.helo = Some(Helo {
                    name,
                    extended: true,
                });
                let reply = replies::ehlo(&self.settings.hostname, &self.extensions());
                return (self.answer(&reply, READY), abandoned(&transaction));
            }
            Command::Helo(name) => {
                self.helo = Some(Helo {
                    name,
                    extended: false,
                });
                let reply = replies::helo(&self.settings.hostname);
                return (self.answer(&reply, READY), abandoned(&transaction));
            }
            Command::Rset => {
                return (
                    self.answer(&replies::done(), READY),
                    abandoned(&transaction),
                );
            }
            Command::Noop => self.answer(&replies::done(), State::Command(transaction)),
            Command::Vrfy => self.answer(&replies::cannot_verify(), State::Command(transaction)),
            Command::Help => self.answer(&replies::help(), State::Command(transaction)),
            Command::Quit => self.answer(&replies::farewell(), State::Closed),
            Command::StartTls => self.start_tls(transaction),
            Command::Etrn(node) => return self.etrn(node, transaction),
        };
        (state, None)
    }

    fn mail(&mut self, opened: Envelope, open: Transaction) -> (State, Option<Output>) {
        if !matches!(open, Transaction::None) {
            let reply = replies::out_of_order("Error: nested MAIL command");
            return (self.object(&reply, State::Command(open)), None);
        }
        if self.helo.is_none() {
            let reply = replies::out_of_order("Error: send EHLO or HELO first");
            return (self.object(&reply, READY), None);
        }
        if let Some(error) = self.objection_to(&opened) {
            let reply = replies::command_error(error);
            return (self.object(&reply, READY), None);
        }
        let declared_size = opened.declared_size;
        if declared_size.is_some_and(|size| size > self.settings.size_max) {
            let reply = replies::too_big(self.settings.size_max);
            return (self.answer(&reply, READY), None);
        }
        let reverse_path = opened.reverse_path.clone();
        let question = Question::Sender {
            reverse_path,
            declared_size,
            body_type: opened.body_type,
            smtputf8: opened.smtputf8,
        };
        (State::Sender(opened), Some(Output::Ask(question)))
    }

    /// What in a MAIL command needs an extension that is not offered, or was not asked for.
    fn objection_to(&self, opened: &Envelope) -> Option<CommandError> {
        let is_binary = opened.body_type == BodyType::BinaryMime;
        if (opened.smtputf8 && !self.settings.smtputf8) || (is_binary && !self.settings.binary_mime)
        {
            Some(CommandError::Parameter)
        } else if !opened.smtputf8 && !opened.reverse_path.is_ascii() {
            Some(CommandError::Sender(AddressError::NotAscii))
        } else {
            None
        }
    }

    fn rcpt(&mut self, recipient: Recipient, open: Transaction) -> (State, Option<Output>) {
        let envelope = match open {
            Transaction::Open(envelope) => envelope,
            Transaction::None => {
                let reply = replies::out_of_order("Error: need MAIL command");
                return (self.object(&reply, READY), None);
            }
            Transaction::Chunks(_) => return (self.object_to_command_between_chunks(open), None),
        };
        self.recipient_was_named = true;
        if !envelope.smtputf8
            && let Some(error) = needs_smtputf8(&recipient)
        {
            let reply = replies::command_error(error);
            let next = State::Command(Transaction::Open(envelope));
            return (self.object(&reply, next), None);
        }
        let octets = self.recipients_octets + recipient.octets();
        if envelope.recipients.len() >= self.settings.recipients_max
            || octets > RECIPIENTS_OCTETS_MAX
        {
            let reply = replies::too_many_recipients();
            let next = State::Command(Transaction::Open(envelope));
            return (self.answer(&reply, next), None);
        }
        let question = Question::Recipient(recipient.path.clone());
        (
            State::Recipient(envelope, recipient),
            Some(Output::Ask(question)),
        )
    }

    fn data(&mut self, open: Transaction) -> State {
        let envelope = match open {
            Transaction::Open(envelope) => envelope,
            Transaction::None => {
                let reply = replies::out_of_order("Error: need MAIL command");
                return self.object(&reply, READY);
            }
            Transaction::Chunks(_) => return self.object_to_command_between_chunks(open),
        };
        let objection = if envelope.recipients.is_empty() {
            Some(self.without_recipients())
        } else if envelope.body_type == BodyType::BinaryMime {
            Some(replies::out_of_order("Error: a binary body needs BDAT"))
        } else {
            None
        };
        match objection {
            Some(reply) => self.object(&reply, State::Command(Transaction::Open(envelope))),
            None => {
                let reading = Box::new(Reading::new(envelope));
                self.answer(&replies::go_ahead(), State::Data(reading, Decoder::new()))
            }
        }
    }

    /// The octets of a chunk follow on its command whatever is answered, so an error is told behind
    /// them (RFC 3030 section 2).
    fn bdat(&mut self, chunk: Chunk, open: Transaction) -> State {
        if chunk.octets > self.chunk_max() {
            let reply = replies::too_big(self.settings.size_max);
            return self.answer(&reply, State::Closed);
        }
        let mut chunks = match open {
            Transaction::Chunks(chunks) => chunks,
            Transaction::Open(envelope) if !envelope.recipients.is_empty() => {
                Box::new(Chunks::new(envelope))
            }
            Transaction::Open(envelope) => {
                // With its last chunk a message is over, whoever it was for.
                let next = if chunk.last {
                    Transaction::None
                } else {
                    Transaction::Open(envelope)
                };
                return State::Stray(chunk, self.without_recipients(), next);
            }
            Transaction::None => {
                let reply = replies::out_of_order("Error: need MAIL command");
                return State::Stray(chunk, reply, Transaction::None);
            }
        };
        // A chunk with something in it is a part of a message, not a command without one.
        if chunk.octets > 0 && chunks.objection(&self.settings).is_none() {
            self.idle_commands = self.idle_commands.saturating_sub(1);
        }
        chunks.begin(chunk);
        State::Chunk(chunks)
    }

    /// A BDAT that cannot be followed ends its message, which would lack a chunk (RFC 3030 section 2). Where it
    /// does not say how many octets come behind it, these can not be told from commands.
    fn broken_chunk(&mut self, octets: Option<u64>, open: &Transaction) -> (State, Option<Output>) {
        let reply = replies::command_error(CommandError::Chunk(octets));
        let state = match octets {
            Some(octets) if octets <= self.chunk_max() => {
                State::Stray(Chunk::new(octets, true), reply, Transaction::None)
            }
            _ => self.answer(&reply, State::Closed),
        };
        (state, abandoned(open))
    }

    /// Octets of a chunk that are waited for at most.
    fn chunk_max(&self) -> u64 {
        self.settings.size_max.max(CHUNK_MAX)
    }

    /// A message for nobody: all who were named were refused, or nobody was (RFC 5321 section 4.1.1.4).
    fn without_recipients(&self) -> Reply {
        if self.recipient_was_named {
            replies::no_valid_recipients()
        } else {
            replies::out_of_order("Error: need RCPT command")
        }
    }

    fn object_to_command_between_chunks(&mut self, open: Transaction) -> State {
        let reply = replies::out_of_order("Error: the message is under way, send BDAT or RSET");
        self.object(&reply, State::Command(open))
    }

    fn etrn(&mut self, node: EtrnNode, open: Transaction) -> (State, Option<Output>) {
        let text = if self.helo.is_none() {
            "Error: send EHLO or HELO first"
        } else if !matches!(open, Transaction::None) {
            "Error: a message is under way"
        } else {
            return (State::Etrn, Some(Output::Ask(Question::Etrn(node))));
        };
        let reply = replies::out_of_order(text);
        (self.object(&reply, State::Command(open)), None)
    }

    fn start_tls(&mut self, open: Transaction) -> State {
        if let Some(reply) = self.objection_to_tls() {
            return self.object(&reply, State::Command(open));
        }
        if matches!(open, Transaction::Chunks(_)) {
            return self.object_to_command_between_chunks(open);
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

/// Whether a command brings no message nearer. MAIL counts: one after the other opens transactions only.
const fn is_junk(command: &Command) -> bool {
    !matches!(
        command,
        Command::Rcpt(_) | Command::Data | Command::Bdat { .. } | Command::Quit
    )
}

/// What becomes of a body when its transaction is given up.
const fn abandoned(transaction: &Transaction) -> Option<Output> {
    match transaction {
        Transaction::Chunks(_) => Some(Output::Abandon),
        Transaction::None | Transaction::Open(_) => None,
    }
}

/// What in a RCPT command only a sender may say who has said SMTPUTF8.
fn needs_smtputf8(recipient: &Recipient) -> Option<CommandError> {
    let orcpt = recipient.dsn.orcpt.as_ref();
    if !recipient.path.is_ascii() {
        Some(CommandError::Recipient(AddressError::NotAscii))
    } else if orcpt.is_some_and(|orcpt| !orcpt.is_ascii()) {
        Some(CommandError::ParameterValue("ORCPT"))
    } else {
        None
    }
}
