//! The states of a client's session and what moves it between them.

use bytes::BytesMut;

use crate::client::offered::offered_by;
use crate::client::outgoing::{Outgoing, is_speakable};
use crate::client::transaction::Transaction;
use crate::client::verdict::{Answered, Verdict};
use crate::client::{Awaiting, Failure, Output, Tls};
use crate::data::Encoder;
use crate::reply::Parser;
use crate::{EnhancedCode, Envelope, Extensions, Reply};

/// Where the dialogue stands.
#[derive(Debug)]
enum State {
    Greeting,
    /// EHLO is sent; HELO comes next if it is not known.
    Ehlo {
        secured: bool,
    },
    Helo {
        secured: bool,
    },
    /// STARTTLS is sent. What EHLO offered is kept for the case that it is refused.
    StartTls(Extensions),
    Handshake,
    Ready,
    Mail(Transaction),
    Recipients(Transaction),
    Data(Transaction),
    Body(Transaction, Encoder),
    Confirm(Transaction, Encoder),
    FinalDot(Transaction),
    /// DATA was granted although nobody was: a final dot is sent, and its reply means nothing.
    EmptyDot,
    Reset,
    Quit,
    Closed(Option<Failure>),
}

/// One dialogue with a server. See the module's picture.
#[derive(Debug)]
pub struct Session {
    hostname: String,
    tls: Tls,
    state: State,
    extensions: Extensions,
    /// Whether a reply to EHLO named them. A server that knows HELO only has told nothing.
    told: bool,
    parser: Parser,
    outgoing: Outgoing,
    /// Verdicts that the driver has not fetched.
    completed: Option<Vec<Verdict>>,
}

impl Session {
    /// A session on a new connection. `hostname` is what EHLO will say.
    #[must_use]
    pub fn new(hostname: impl Into<String>, tls: Tls) -> Self {
        Self {
            hostname: hostname.into(),
            tls,
            state: State::Greeting,
            extensions: Extensions::default(),
            told: false,
            parser: Parser::default(),
            outgoing: Outgoing::default(),
            completed: None,
        }
    }

    /// What is to be sent. The driver takes octets from its front as it sends them.
    pub const fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing.0
    }

    /// What the server offers, once the session has been ready; `None` when it knows HELO only.
    #[must_use]
    pub fn offered(&self) -> Option<&Extensions> {
        self.told.then_some(&self.extensions)
    }

    /// What the driver should do now.
    pub fn poll(&mut self) -> Output {
        if let Some(verdicts) = self.completed.take() {
            return Output::Completed(verdicts);
        }
        match &self.state {
            State::Greeting => Output::Read(Awaiting::Greeting),
            State::Ehlo { .. } | State::Helo { .. } | State::StartTls(_) => {
                Output::Read(Awaiting::Hello)
            }
            State::Handshake => Output::StartTls,
            State::Ready => Output::Ready,
            State::Mail(_) => Output::Read(Awaiting::Mail),
            State::Recipients(_) => Output::Read(Awaiting::Recipient),
            State::Data(_) => Output::Read(Awaiting::Data),
            State::Body(..) => Output::SendBody,
            State::Confirm(..) => Output::ConfirmFinalDot,
            State::FinalDot(_) => Output::Read(Awaiting::FinalDot),
            State::EmptyDot | State::Reset => Output::Read(Awaiting::Reset),
            State::Quit => Output::Read(Awaiting::Quit),
            State::Closed(failure) => Output::Closed(failure.clone()),
        }
    }

    /// Whether the body is still wanted. A server may refuse it while it is on its way.
    #[must_use]
    pub const fn wants_body(&self) -> bool {
        matches!(self.state, State::Body(..))
    }

    /// Whether nothing more can be done on this connection.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Takes octets that the server sent.
    pub fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !matches!(self.state, State::Closed(_)) {
            if matches!(self.state, State::Handshake) {
                self.close(Some(Failure::SpokeBeforeTls));
                return;
            }
            match self.parser.advance(bytes) {
                Ok((used, reply)) => {
                    bytes = bytes.get(used..).unwrap_or_default();
                    if let Some(reply) = reply {
                        self.answer(reply);
                    }
                }
                Err(error) => self.close(Some(Failure::Malformed(error))),
            }
        }
    }

    /// The server closed the connection.
    pub fn disconnected(&mut self) {
        match self.state {
            State::Closed(_) => {}
            State::Quit => self.close(None),
            _ => self.close(Some(Failure::Disconnected)),
        }
    }

    /// The handshake that [`Output::StartTls`] asked for is done.
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Handshake) {
            // What was offered in clear may have been tampered with (RFC 3207 section 4.2).
            self.extensions = Extensions::default();
            self.hello(true);
        }
    }

    /// Starts a transaction, on a session that is ready. `declared_size` should be the octets
    /// that will be fed as the body.
    pub fn deliver(&mut self, envelope: Envelope) {
        if !matches!(self.state, State::Ready) || envelope.recipients.is_empty() {
            self.completed = Some(Vec::new());
            return;
        }
        if !is_speakable(&envelope) {
            let words = "an address of the envelope holds a control character, and was not sent";
            let reply = Reply::new(451, EnhancedCode::new(4, 1, 3), words);
            self.completed = Some(Transaction::new(envelope, false).conclude_refused(&reply));
            return;
        }
        let transaction = Transaction::new(envelope, self.extensions.pipelining);
        self.outgoing.mail(transaction.envelope(), &self.extensions);
        if transaction.pipelined {
            for recipient in &transaction.envelope().recipients {
                self.outgoing.recipient(recipient);
            }
            self.outgoing.command("DATA");
        }
        self.state = State::Mail(transaction);
    }

    /// Feeds the next octets of the body; dots are stuffed here.
    pub fn send_body(&mut self, chunk: &[u8]) {
        if let State::Body(_, encoder) = &mut self.state {
            for slice in encoder.encode(chunk) {
                self.outgoing.octets(slice);
            }
        }
    }

    /// The body is fed wholly.
    pub fn end_body(&mut self) {
        self.step(|_, state| match state {
            State::Body(transaction, encoder) => State::Confirm(transaction, encoder),
            other => other,
        });
    }

    /// Lets the final dot go, after [`Output::ConfirmFinalDot`].
    pub fn send_final_dot(&mut self) {
        self.step(|session, state| match state {
            State::Confirm(transaction, encoder) => {
                session.outgoing.octets(encoder.finish());
                State::FinalDot(transaction)
            }
            other => other,
        });
    }

    /// Ends a session that is ready. A session in any other state is best ended by dropping its
    /// connection.
    pub fn quit(&mut self) {
        if matches!(self.state, State::Ready) {
            self.outgoing.command("QUIT");
            self.state = State::Quit;
        }
    }

    fn close(&mut self, failure: Option<Failure>) {
        self.state = State::Closed(failure);
        self.outgoing.0.clear();
    }

    fn step(&mut self, transition: impl FnOnce(&mut Self, State) -> State) {
        let state = core::mem::replace(&mut self.state, State::Closed(None));
        self.state = transition(self, state);
    }

    /// Moves on by one reply.
    fn answer(&mut self, reply: Reply) {
        self.step(|session, state| session.after(state, reply));
        if matches!(self.state, State::Closed(_)) {
            self.outgoing.0.clear();
        }
    }

    fn after(&mut self, state: State, reply: Reply) -> State {
        // A server may say 421 at any time, and speaks of itself only (RFC 5321 section 3.8); as
        // the reply to the final dot it also says that it has not taken the message.
        if reply.code == 421 {
            return State::Closed(Some(Failure::Closing(reply)));
        }
        match state {
            State::Greeting if reply.code == 220 => self.ehlo(false),
            State::Greeting => State::Closed(Some(Failure::Refused(reply))),
            State::Ehlo { secured } => self.after_ehlo(secured, &reply),
            State::Helo { secured } => self.after_helo(secured, reply),
            State::StartTls(offered) => self.after_starttls(offered, reply),
            State::Mail(transaction) => self.after_mail(transaction, reply),
            State::Recipients(transaction) => self.after_recipient(transaction, reply),
            State::Data(transaction) => self.after_data(transaction, reply),
            State::Body(transaction, _) | State::Confirm(transaction, _) => {
                self.after_interruption(transaction, reply)
            }
            State::FinalDot(transaction) => {
                self.completed = Some(transaction.conclude(Answered::FinalDot, &reply));
                if reply.code / 100 == 3 {
                    return State::Closed(Some(Failure::OutOfTurn(reply)));
                }
                State::Ready
            }
            State::EmptyDot | State::Reset => State::Ready,
            State::Quit => State::Closed(None),
            State::Handshake | State::Ready => State::Closed(Some(Failure::OutOfTurn(reply))),
            State::Closed(failure) => State::Closed(failure),
        }
    }

    fn hello(&mut self, secured: bool) {
        self.step(|session, _| session.ehlo(secured));
    }

    fn ehlo(&mut self, secured: bool) -> State {
        self.outgoing
            .command(format_args!("EHLO {}", self.hostname));
        State::Ehlo { secured }
    }

    fn after_ehlo(&mut self, secured: bool, reply: &Reply) -> State {
        if reply.is_permanent() {
            self.outgoing
                .command(format_args!("HELO {}", self.hostname));
            return State::Helo { secured };
        }
        if !reply.is_positive() {
            return State::Closed(Some(Failure::Refused(reply.clone())));
        }
        let offered = offered_by(reply);
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
        self.told = true;
        State::Ready
    }

    fn after_helo(&self, secured: bool, reply: Reply) -> State {
        match (reply.is_positive(), self.tls) {
            (false, _) => State::Closed(Some(Failure::Refused(reply))),
            (true, Tls::Require) if !secured => State::Closed(Some(Failure::TlsNotOffered)),
            (true, _) => State::Ready,
        }
    }

    fn after_starttls(&mut self, offered: Extensions, reply: Reply) -> State {
        match (reply.code, self.tls) {
            (220, _) => State::Handshake,
            (_, Tls::Require) => State::Closed(Some(Failure::TlsRefused(reply))),
            _ => self.ready(offered),
        }
    }

    fn after_mail(&mut self, mut transaction: Transaction, reply: Reply) -> State {
        let accepted = transaction.answer_mail(reply.clone());
        if transaction.pipelined {
            return State::Recipients(transaction);
        }
        match transaction.next_recipient() {
            Some(recipient) if accepted => {
                self.outgoing.recipient(recipient);
                State::Recipients(transaction)
            }
            _ => self.refuse(transaction, &reply),
        }
    }

    fn after_recipient(&mut self, mut transaction: Transaction, reply: Reply) -> State {
        transaction.answer_recipient(reply.clone());
        if let Some(recipient) = transaction.next_recipient() {
            if !transaction.pipelined {
                self.outgoing.recipient(recipient);
            }
            return State::Recipients(transaction);
        }
        if transaction.pipelined {
            return State::Data(transaction);
        }
        if !transaction.has_recipients() {
            return self.refuse(transaction, &reply);
        }
        self.outgoing.command("DATA");
        State::Data(transaction)
    }

    fn after_data(&mut self, transaction: Transaction, reply: Reply) -> State {
        match (reply.code, transaction.has_recipients()) {
            (354, true) => State::Body(transaction, Encoder::default()),
            // The one way out of DATA is a final dot (RFC 2920 section 3.1). The server may
            // take the empty message for whom it likes: it accepted nobody.
            (354, false) => {
                self.completed = Some(transaction.conclude_refused(&reply));
                self.outgoing.octets(Encoder::default().finish());
                State::EmptyDot
            }
            (400..=599, _) => self.refuse(transaction, &reply),
            _ => {
                self.completed = Some(transaction.conclude_refused(&reply));
                State::Closed(Some(Failure::OutOfTurn(reply)))
            }
        }
    }

    /// A reply while the body is on its way: the server will not take it. What it will read next
    /// is unknown, so the session ends.
    fn after_interruption(&mut self, transaction: Transaction, reply: Reply) -> State {
        if matches!(reply.code, 400..=599) {
            self.completed = Some(transaction.conclude_refused(&reply));
        }
        State::Closed(Some(Failure::OutOfTurn(reply)))
    }

    /// Ends a transaction before any data, and clears it on the server.
    fn refuse(&mut self, transaction: Transaction, reply: &Reply) -> State {
        self.completed = Some(transaction.conclude_refused(reply));
        self.outgoing.command("RSET");
        State::Reset
    }
}
