//! One dialogue, from the greeting to the end.

mod commands;

use bytes::BytesMut;

use super::{
    Helo, Output, Question, Settings,
    lines::{Line, LineReader},
    reading::{Progress, Reading},
    replies,
};
use crate::{
    Envelope, Extensions, Recipient, Reply,
    limits::{ERRORS_MAX, IDLE_COMMANDS_MAX, REPLIES_MAX},
};

/// What the client is expected to do next, or what is being decided for it.
#[derive(Debug)]
enum State {
    /// The greeting is not out yet: the client has to be silent.
    Opening,
    /// No transaction is open.
    Ready,
    /// It is being decided whether a transaction may open.
    Sender(Envelope),
    /// MAIL was taken.
    Transaction(Envelope),
    /// It is being decided whether one more recipient joins.
    Recipient(Envelope, Recipient),
    /// The octets after DATA are arriving.
    Data(Box<Reading>),
    /// All of them have arrived.
    DataEnded(Box<Reading>),
    /// It is being decided whether the message is ours.
    Message,
    /// The TLS handshake is due.
    Handshake,
    /// It is over.
    Closed,
}

/// The server's end of one dialogue.
///
/// A question that is not answered before the next call of [`Session::next`] counts as refused
/// with `451 4.3.0`: nothing is ever taken that nobody has taken responsibility for.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    state: State,
    helo: Option<Helo>,
    secured: bool,
    retiring: bool,
    errors: u32,
    idle_commands: u32,
    lines: LineReader,
    unread: BytesMut,
    replies: BytesMut,
}

impl Session {
    /// A session in which nothing has been said. The first call of [`Session::next`] greets; what
    /// has been received by then was sent before its time.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Opening,
            helo: None,
            secured: false,
            retiring: false,
            errors: 0,
            idle_commands: 0,
            lines: LineReader::default(),
            unread: BytesMut::new(),
            replies: BytesMut::new(),
        }
    }

    /// Appends octets that the client sent.
    pub fn receive(&mut self, octets: &[u8]) {
        self.unread.extend_from_slice(octets);
    }

    /// The buffer that [`Session::receive`] appends to, for reading straight into it. Nothing but
    /// octets that the client sent may be appended, and nothing taken away.
    pub const fn unread(&mut self) -> &mut BytesMut {
        &mut self.unread
    }

    /// What is to be written to the client; what has been written is taken off the front.
    pub const fn replies(&mut self) -> &mut BytesMut {
        &mut self.replies
    }

    /// How the client introduced itself, once it has.
    #[must_use]
    pub const fn helo(&self) -> Option<&Helo> {
        self.helo.as_ref()
    }

    /// Whether the octets that the client sends now belong to a body.
    #[must_use]
    pub const fn is_reading_body(&self) -> bool {
        matches!(self.state, State::Data(_))
    }

    /// Goes on as far as possible. Octets of a body are appended to `body`.
    pub fn next(&mut self, body: &mut BytesMut) -> Output {
        loop {
            if let Some(output) = self.step(body) {
                return output;
            }
            if self.replies.len() >= REPLIES_MAX {
                return Output::Flush;
            }
        }
    }

    /// One transition: the old state is taken, and every arm yields the next one.
    fn step(&mut self, body: &mut BytesMut) -> Option<Output> {
        let (state, output) = match core::mem::replace(&mut self.state, State::Closed) {
            State::Opening => (self.open(), None),
            State::Ready => self.read_command(None),
            State::Transaction(envelope) => self.read_command(Some(envelope)),
            State::Data(reading) => self.read_body(reading, body),
            State::DataEnded(reading) => self.end_body(*reading),
            State::Sender(_) => (self.answer(&replies::unanswered(), State::Ready), None),
            State::Recipient(envelope, _) => (
                self.answer(&replies::unanswered(), State::Transaction(envelope)),
                None,
            ),
            State::Message => (self.answer(&replies::unanswered(), State::Ready), None),
            State::Handshake => (State::Handshake, Some(Output::StartTls)),
            State::Closed => (State::Closed, Some(Output::Close)),
        };
        self.state = state;
        output
    }

    /// Answers [`Question::Sender`].
    pub fn answer_sender(&mut self, answer: Result<(), Reply>) {
        let state = match core::mem::replace(&mut self.state, State::Closed) {
            State::Sender(envelope) => match answer {
                Ok(()) => self.answer(&replies::sender_ok(), State::Transaction(envelope)),
                Err(reply) => self.answer(&reply, State::Ready),
            },
            other => other,
        };
        self.state = state;
    }

    /// Answers [`Question::Recipient`].
    pub fn answer_recipient(&mut self, answer: Result<(), Reply>) {
        let state = match core::mem::replace(&mut self.state, State::Closed) {
            State::Recipient(mut envelope, recipient) => match answer {
                Ok(()) => {
                    envelope.recipients.push(recipient);
                    self.answer(&replies::recipient_ok(), State::Transaction(envelope))
                }
                Err(reply) => self.answer(&reply, State::Transaction(envelope)),
            },
            other => other,
        };
        self.state = state;
    }

    /// Answers [`Question::Message`]. A positive reply says that the message is ours.
    pub fn answer_message(&mut self, reply: &Reply) {
        let state = match core::mem::replace(&mut self.state, State::Closed) {
            State::Message => {
                if reply.is_positive() {
                    self.errors = 0;
                    self.idle_commands = 0;
                }
                self.answer(reply, State::Ready)
            }
            other => other,
        };
        self.state = state;
    }

    /// The handshake of [`Output::StartTls`] is done. Everything that was said in clear is
    /// forgotten (RFC 3207 section 4.2).
    pub fn secured(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.state = State::Ready;
            self.secured = true;
            self.helo = None;
            self.unread.clear();
        }
    }

    /// The client took too long: says so and closes.
    pub fn time_out(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.state = self.answer(&replies::timed_out(&self.settings.hostname), State::Closed);
        }
    }

    /// Closes at the next command; a message whose octets are arriving is still answered.
    pub const fn retire(&mut self) {
        self.retiring = true;
    }

    /// Closes at once, or after the message whose octets are arriving.
    pub fn shut_down(&mut self) {
        self.retiring = true;
        if matches!(
            self.state,
            State::Opening | State::Ready | State::Transaction(_)
        ) {
            self.state = self.answer(
                &replies::shutting_down(&self.settings.hostname),
                State::Closed,
            );
        }
    }

    /// Queues a reply and gives the state that follows: 421 always ends a session
    /// (RFC 5321 section 3.8).
    fn answer(&mut self, reply: &Reply, next: State) -> State {
        reply.write_to(&mut self.replies);
        if reply.code == 421 {
            State::Closed
        } else {
            next
        }
    }

    /// The same for something the client did wrong, which it may do only so often.
    fn object(&mut self, reply: &Reply, next: State) -> State {
        let next = self.answer(reply, next);
        self.errors += 1;
        if self.errors < ERRORS_MAX || matches!(next, State::Closed) {
            return next;
        }
        self.answer(
            &replies::too_many_errors(&self.settings.hostname),
            State::Closed,
        )
    }

    fn open(&mut self) -> State {
        if self.unread.is_empty() {
            self.answer(&replies::greeting(&self.settings.hostname), State::Ready)
        } else {
            self.answer(&replies::talked_early(), State::Closed)
        }
    }

    fn read_command(&mut self, envelope: Option<Envelope>) -> (State, Option<Output>) {
        let line = match self.lines.take(&mut self.unread) {
            Line::Partial => return (between_commands(envelope), Some(Output::Read)),
            // Whatever the client means by it, someone in front of it may have taken it for a
            // line end, or may not. Nothing that follows can be trusted to be its command.
            Line::BareLineFeed => {
                return (self.answer(&replies::bare_line_feed(), State::Closed), None);
            }
            Line::TooLong => None,
            Line::Whole(line) => Some(line),
        };
        if self.retiring {
            let reply = replies::shutting_down(&self.settings.hostname);
            return (self.answer(&reply, State::Closed), None);
        }
        self.idle_commands += 1;
        if self.idle_commands > IDLE_COMMANDS_MAX {
            let reply = replies::too_many_commands(&self.settings.hostname);
            return (self.answer(&reply, State::Closed), None);
        }
        match line {
            Some(line) => self.follow(&line, envelope),
            None => (
                self.object(&replies::line_too_long(), between_commands(envelope)),
                None,
            ),
        }
    }

    fn read_body(
        &mut self,
        mut reading: Box<Reading>,
        body: &mut BytesMut,
    ) -> (State, Option<Output>) {
        if self.unread.is_empty() {
            return (State::Data(reading), Some(Output::Read));
        }
        let (progress, ended) = reading.read(&mut self.unread, body, &self.settings);
        let output = match progress {
            Progress::Refused => Some(Output::Discard),
            Progress::Grown if !ended => Some(Output::Body),
            Progress::Grown | Progress::Nothing => None,
        };
        (
            if ended {
                State::DataEnded(reading)
            } else {
                State::Data(reading)
            },
            output,
        )
    }

    fn end_body(&mut self, reading: Reading) -> (State, Option<Output>) {
        match reading.finish(&self.settings) {
            Ok(envelope) => (
                State::Message,
                Some(Output::Ask(Question::Message(envelope))),
            ),
            Err(reply) => (self.answer(&reply, State::Ready), None),
        }
    }

    fn extensions(&self) -> Extensions {
        Extensions {
            pipelining: true,
            size: Some(self.settings.size_max),
            eight_bit_mime: true,
            smtputf8: self.settings.smtputf8,
            enhanced_status_codes: true,
            dsn: true,
            starttls: self.settings.starttls && !self.secured,
            ..Extensions::default()
        }
    }
}

fn between_commands(envelope: Option<Envelope>) -> State {
    envelope.map_or(State::Ready, State::Transaction)
}
