//! One dialogue, from the greeting to the end.

mod commands;

use bytes::BytesMut;

use super::{
    Helo, Output, Question, Settings,
    chunks::{Chunk, Chunks},
    lines::{Line, LineReader},
    reading::{Progress, Reading},
    replies,
};
use crate::{
    Envelope, Extensions, Recipient, Reply,
    data::Decoder,
    extensions::Limits,
    limits::{ERRORS_MAX, IDLE_COMMANDS_MAX, PRESSED_ERRORS_MAX, REPLIES_MAX},
};

/// What the client is expected to do next, or what is being decided for it.
#[derive(Debug)]
enum State {
    /// The greeting is not out yet: the client has to be silent.
    Opening,
    /// A command is awaited.
    Command(Transaction),
    /// It is being decided whether a transaction may open.
    Sender(Envelope),
    /// It is being decided whether one more recipient joins.
    Recipient(Envelope, Recipient),
    /// The octets after DATA are arriving.
    Data(Box<Reading>, Decoder),
    /// The octets after BDAT are arriving.
    Chunk(Box<Chunks>),
    /// The octets after a BDAT are arriving that is answered with this reply; they belong to no
    /// message.
    Stray(Chunk, Reply, Transaction),
    /// The body has arrived.
    BodyEnded(Box<Reading>),
    /// It is being decided whether the message is ours.
    Message,
    /// It is being decided whether mail that was asked for is sent.
    Etrn,
    /// The TLS handshake is due.
    Handshake,
    /// It is over.
    Closed,
}

/// What transaction a command finds open.
#[derive(Debug)]
enum Transaction {
    /// None.
    None,
    /// MAIL was taken.
    Open(Envelope),
    /// Some of the body has come, by BDAT.
    Chunks(Box<Chunks>),
}

/// The state between two messages.
const READY: State = State::Command(Transaction::None);

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
    pressed: bool,
    errors: u32,
    idle_commands: u32,
    junk_commands: u32,
    /// Whether there was a RCPT for the message under way, accepted or not.
    recipient_was_named: bool,
    /// Of the recipients that were accepted for the message under way.
    recipients_octets: usize,
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
            pressed: false,
            errors: 0,
            idle_commands: 0,
            junk_commands: 0,
            recipient_was_named: false,
            recipients_octets: 0,
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
        matches!(
            self.state,
            State::Data(..) | State::Chunk(_) | State::Stray(..)
        )
    }

    /// Whether some of a message has arrived, or may have, and not all of it.
    #[must_use]
    pub const fn is_receiving(&self) -> bool {
        matches!(
            self.state,
            State::Data(..) | State::Chunk(_) | State::Command(Transaction::Chunks(_))
        )
    }

    /// Goes on as far as possible. Octets of a body are appended to `body`.
    pub fn next(&mut self, body: &mut BytesMut) -> Output {
        loop {
            if self.replies.len() >= REPLIES_MAX {
                return Output::Flush;
            }
            if let Some(output) = self.step(body) {
                return output;
            }
        }
    }

    /// One transition: the old state is taken, and every arm yields the next one.
    fn step(&mut self, body: &mut BytesMut) -> Option<Output> {
        let (state, output) = match core::mem::replace(&mut self.state, State::Closed) {
            State::Opening => (self.open(), None),
            State::Command(transaction) => self.read_command(transaction),
            State::Data(reading, decoder) => self.read_data(reading, decoder, body),
            State::Chunk(chunks) => self.read_chunk(chunks, body),
            State::Stray(chunk, reply, transaction) => self.pass_over(chunk, reply, transaction),
            State::BodyEnded(reading) => self.end_body(*reading),
            State::Recipient(envelope, _) => {
                let next = State::Command(Transaction::Open(envelope));
                (self.answer(&replies::unanswered(), next), None)
            }
            State::Sender(_) | State::Message | State::Etrn => {
                (self.answer(&replies::unanswered(), READY), None)
            }
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
                Ok(()) => {
                    self.recipient_was_named = false;
                    self.recipients_octets = 0;
                    let next = State::Command(Transaction::Open(envelope));
                    self.answer(&replies::sender_ok(), next)
                }
                Err(reply) => self.answer(&reply, READY),
            },
            other => other,
        };
        self.state = state;
    }

    /// Answers [`Question::Recipient`].
    pub fn answer_recipient(&mut self, answer: Result<(), Reply>) {
        let state = match core::mem::replace(&mut self.state, State::Closed) {
            State::Recipient(mut envelope, recipient) => {
                let reply = match answer {
                    Ok(()) => {
                        self.recipients_octets += recipient.octets();
                        envelope.recipients.push(recipient);
                        replies::recipient_ok()
                    }
                    Err(reply) => reply,
                };
                self.answer(&reply, State::Command(Transaction::Open(envelope)))
            }
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
                    self.junk_commands = 0;
                }
                self.answer(reply, READY)
            }
            other => other,
        };
        self.state = state;
    }

    /// Answers [`Question::Etrn`].
    pub fn answer_etrn(&mut self, reply: &Reply) {
        let state = match core::mem::replace(&mut self.state, State::Closed) {
            State::Etrn if reply.is_positive() => self.answer(reply, READY),
            State::Etrn => self.object(reply, READY),
            other => other,
        };
        self.state = state;
    }

    /// The handshake of [`Output::StartTls`] is done. Everything that was said in clear is
    /// forgotten (RFC 3207 section 4.2).
    pub fn secured(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.state = READY;
            self.secured = true;
            self.helo = None;
            self.unread.clear();
        }
    }

    /// The client took too long: says so and closes. Of a body that would be refused at its end it says
    /// that: the client is not to come again with it.
    pub fn time_out(&mut self) {
        self.break_off(replies::timed_out);
    }

    /// From now on less is put up with, or as much as usual again: whether others wait for the client's
    /// place.
    pub const fn press(&mut self, pressed: bool) {
        self.pressed = pressed;
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
            State::Opening
                | State::Command(Transaction::None | Transaction::Open(_))
                | State::Stray(..)
        ) {
            self.state = self.answer(
                &replies::shutting_down(&self.settings.hostname),
                State::Closed,
            );
        }
    }

    /// Closes at once, wherever it stands: a message whose octets are arriving could not be taken any more.
    /// Of one that would be refused at its end it says that.
    pub fn cut_off(&mut self) {
        self.break_off(replies::shutting_down);
    }

    fn break_off(&mut self, farewell: fn(&str) -> Reply) {
        let refusal = match &self.state {
            State::Closed => return,
            State::Data(reading, _) => reading.objection(&self.settings),
            State::Chunk(chunks) => chunks.objection(&self.settings),
            _ => None,
        };
        let reply = refusal.unwrap_or_else(|| farewell(&self.settings.hostname));
        self.state = self.answer(&reply, State::Closed);
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
        let errors_max = if self.pressed {
            PRESSED_ERRORS_MAX
        } else {
            ERRORS_MAX
        };
        if self.errors < errors_max || matches!(next, State::Closed) {
            return next;
        }
        self.answer(
            &replies::too_many_errors(&self.settings.hostname),
            State::Closed,
        )
    }

    fn open(&mut self) -> State {
        if self.unread.is_empty() {
            self.answer(&replies::greeting(&self.settings.hostname), READY)
        } else {
            self.answer(&replies::talked_early(), State::Closed)
        }
    }

    fn read_command(&mut self, transaction: Transaction) -> (State, Option<Output>) {
        let line = match self.lines.take(&mut self.unread) {
            Line::Partial => return (State::Command(transaction), Some(Output::Read)),
            // Whatever the client means by it, someone in front of it may have taken it for a
            // line end, or may not. Nothing that follows can be trusted to be its command.
            Line::BareLineFeed => {
                return (self.answer(&replies::bare_line_feed(), State::Closed), None);
            }
            Line::TooLong => None,
            Line::Whole(line) => Some(line),
        };
        if self.retiring && !matches!(transaction, Transaction::Chunks(_)) {
            let reply = replies::shutting_down(&self.settings.hostname);
            return (self.answer(&reply, State::Closed), None);
        }
        self.idle_commands += 1;
        if self.idle_commands > IDLE_COMMANDS_MAX {
            let reply = replies::too_many_commands(&self.settings.hostname);
            return (self.answer(&reply, State::Closed), None);
        }
        match line {
            Some(line) => self.follow(&line, transaction),
            None => (
                self.object(&replies::line_too_long(), State::Command(transaction)),
                None,
            ),
        }
    }

    fn read_data(
        &mut self,
        mut reading: Box<Reading>,
        mut decoder: Decoder,
        body: &mut BytesMut,
    ) -> (State, Option<Output>) {
        if self.unread.is_empty() {
            return (State::Data(reading, decoder), Some(Output::Read));
        }
        let (progress, ended) =
            reading.read_data(&mut decoder, &mut self.unread, body, &self.settings);
        let state = if ended {
            State::BodyEnded(reading)
        } else {
            State::Data(reading, decoder)
        };
        (state, output_for(progress, ended))
    }

    fn read_chunk(
        &mut self,
        mut chunks: Box<Chunks>,
        body: &mut BytesMut,
    ) -> (State, Option<Output>) {
        let awaited = chunks.chunk();
        if self.unread.is_empty() && !awaited.has_ended() {
            return (State::Chunk(chunks), Some(Output::Read));
        }
        let progress = chunks.read(&mut self.unread, body, &self.settings);
        let chunk = chunks.chunk();
        if !chunk.has_ended() {
            return (State::Chunk(chunks), output_for(progress, false));
        }
        if chunk.last {
            let reading = Box::new(chunks.into_reading());
            return (State::BodyEnded(reading), output_for(progress, true));
        }
        let reply = match chunks.objection(&self.settings) {
            Some(objection) => objection,
            None => replies::chunk_received(chunk.octets),
        };
        let next = State::Command(Transaction::Chunks(chunks));
        (self.answer(&reply, next), output_for(progress, false))
    }

    /// Takes what has come of a chunk that belongs to no message, and answers once that is all.
    fn pass_over(
        &mut self,
        mut chunk: Chunk,
        reply: Reply,
        transaction: Transaction,
    ) -> (State, Option<Output>) {
        drop(chunk.take(&mut self.unread));
        if !chunk.has_ended() {
            let output = Some(Output::Read);
            return (State::Stray(chunk, reply, transaction), output);
        }
        let next = State::Command(transaction);
        // A client that waits for nothing sends a message in many chunks before it hears that nobody
        // takes it: that is one error.
        let next = if chunk.last {
            self.object(&reply, next)
        } else {
            self.answer(&reply, next)
        };
        (next, None)
    }

    fn end_body(&mut self, reading: Reading) -> (State, Option<Output>) {
        match reading.finish(&self.settings) {
            Ok(envelope) => (
                State::Message,
                Some(Output::Ask(Question::Message(envelope))),
            ),
            Err(reply) => (self.object(&reply, READY), None),
        }
    }

    fn extensions(&self) -> Extensions {
        Extensions {
            pipelining: true,
            size: Some(self.settings.size_max),
            eight_bit_mime: true,
            smtputf8: self.settings.smtputf8,
            chunking: true,
            binary_mime: self.settings.binary_mime,
            enhanced_status_codes: true,
            dsn: true,
            starttls: self.settings.starttls && !self.secured,
            etrn: true,
            limits: Limits {
                recipients: Some(self.settings.recipients_max as u64),
                ..Limits::default()
            },
            ..Extensions::default()
        }
    }
}

/// What is to be done with a body after a stretch of input.
const fn output_for(progress: Progress, ended: bool) -> Option<Output> {
    match progress {
        Progress::Refused => Some(Output::Discard),
        Progress::Grown if !ended => Some(Output::Body),
        Progress::Grown | Progress::Nothing => None,
    }
}
