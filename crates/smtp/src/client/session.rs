//! The states of a client's session and what moves it between them.

mod introduction;
mod opening;
mod question;

use bytes::BytesMut;

use crate::client::body::Body;
use crate::client::outgoing::{Outgoing, objection};
use crate::client::session::introduction::{Introduced, Introduction};
use crate::client::transaction::Transaction;
use crate::client::verdict::{Answered, Opinion, Verdict};
use crate::client::{Awaiting, Failure, Output, Tls};
use crate::reply::Parser;
use crate::{Envelope, Extensions, Recipient, Reply};

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
    /// XCLIENT or XFORWARD is sent.
    Introduce(Introduction),
    Mail(Transaction),
    Recipients(Transaction),
    Data(Transaction),
    Body(Transaction, Body),
    Confirm(Transaction, Body),
    /// So many chunks are to be answered before the last one.
    FinalDot(Transaction, usize),
    /// So many replies are to come that mean nothing any more; the last is to RSET, or to a final
    /// dot where DATA was granted although nobody was.
    Reset(usize),
    /// MAIL is sent for a question about a recipient, or about nobody.
    AskSender(Option<Recipient>),
    /// RCPT is sent for it.
    AskRecipient,
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
    greeting: Option<Reply>,
    hello: Option<Reply>,
    /// Whether STARTTLS was offered in clear.
    starttls: Option<bool>,
    /// Whether a reply to EHLO named them. A server that knows HELO only has told nothing.
    told: bool,
    parser: Parser,
    replies: u64,
    outgoing: Outgoing,
    /// As whom the server takes us, and whether it can be told of others.
    introduced: Introduced,
    /// Whether bodies go by DATA whatever the server offers.
    forgoes_chunking: bool,
    /// Verdicts that the driver has not fetched.
    completed: Option<Vec<Verdict>>,
    /// An answer that the driver has not fetched.
    answered: Option<Opinion>,
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
            greeting: None,
            hello: None,
            starttls: None,
            told: false,
            parser: Parser::default(),
            replies: 0,
            outgoing: Outgoing::default(),
            introduced: Introduced::default(),
            forgoes_chunking: false,
            completed: None,
            answered: None,
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

    /// What the server greeted with, once it has.
    #[must_use]
    pub const fn greeting(&self) -> Option<&Reply> {
        self.greeting.as_ref()
    }

    /// What the server said last to EHLO, or to HELO, once it was content with it.
    #[must_use]
    pub const fn hello(&self) -> Option<&Reply> {
        self.hello.as_ref()
    }

    /// How many replies the server has given.
    #[must_use]
    pub const fn replies(&self) -> u64 {
        self.replies
    }

    /// Sends bodies by DATA whatever the server offers: it was found not to know BDAT.
    pub const fn forgo_chunking(&mut self) {
        self.forgoes_chunking = true;
        self.extensions.chunking = false;
    }

    /// What the driver should do now.
    pub fn poll(&mut self) -> Output {
        if let Some(verdicts) = self.completed.take() {
            return Output::Completed(verdicts);
        }
        if let Some(opinion) = self.answered.take() {
            return Output::Answered(opinion);
        }
        match &self.state {
            State::Greeting => Output::Read(Awaiting::Greeting),
            State::Ehlo { .. } | State::Helo { .. } | State::StartTls(_) => {
                Output::Read(Awaiting::Hello)
            }
            State::Handshake => Output::StartTls,
            State::Ready => Output::Ready,
            State::Introduce(_) => Output::Read(Awaiting::Client),
            State::Mail(_) | State::AskSender(_) => Output::Read(Awaiting::Mail),
            State::Recipients(_) | State::AskRecipient => Output::Read(Awaiting::Recipient),
            State::Data(_) => Output::Read(Awaiting::Data),
            State::Body(..) | State::Confirm(..) if self.awaits_chunk() => {
                Output::Read(Awaiting::Chunk)
            }
            State::Body(..) => Output::SendBody,
            State::Confirm(..) => Output::ConfirmFinalDot,
            State::FinalDot(..) => Output::Read(Awaiting::FinalDot),
            State::Reset(_) => Output::Read(Awaiting::Reset),
            State::Quit => Output::Read(Awaiting::Quit),
            State::Closed(failure) => Output::Closed(failure.clone()),
        }
    }

    /// Whether the body is still wanted. A server may refuse it while it is on its way.
    #[must_use]
    pub const fn wants_body(&self) -> bool {
        matches!(self.state, State::Body(..))
    }

    /// Whether a chunk must be answered before anything else may be sent, as the server takes no
    /// pipelined commands. [`Session::poll`] asks to read then.
    #[must_use]
    pub const fn awaits_chunk(&self) -> bool {
        match &self.state {
            State::Body(transaction, body) | State::Confirm(transaction, body) => {
                !transaction.pipelined && body.unanswered() > 0
            }
            _ => false,
        }
    }

    /// Whether nothing more can be done on this connection.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Why the session broke off, if it did.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match &self.state {
            State::Closed(failure) => failure.as_ref(),
            _ => None,
        }
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
                        self.replies += 1;
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
            self.hello = None;
            self.say_hello(true);
        }
    }

    /// Starts a transaction, on a session that is ready. `declared_size` should be the octets
    /// that will be fed as the body.
    pub fn deliver(&mut self, envelope: Envelope) {
        if !matches!(self.state, State::Ready) || envelope.recipients.is_empty() {
            self.completed = Some(Vec::new());
            return;
        }
        if let Some(reply) = objection(&envelope, &self.extensions) {
            let transaction = Transaction::new(envelope, &self.extensions);
            self.completed = Some(transaction.conclude_refused(&reply));
            return;
        }
        let transaction = Transaction::new(envelope, &self.extensions);
        self.outgoing.mail(transaction.envelope(), &self.extensions);
        if transaction.pipelined {
            for recipient in &transaction.envelope().recipients {
                self.outgoing.recipient(recipient, &self.extensions);
            }
            if !transaction.chunked {
                self.outgoing.command("DATA");
            }
        }
        self.state = State::Mail(transaction);
    }

    /// Feeds the next octets of the body; dots are stuffed and chunks are cut here. Not to be called
    /// while [`Session::awaits_chunk`].
    pub fn send_body(&mut self, octets: &[u8]) {
        if let State::Body(_, body) = &mut self.state {
            body.feed(octets, &mut self.outgoing);
        }
    }

    /// The body is fed wholly.
    pub fn end_body(&mut self) {
        self.step(|session, state| match state {
            State::Body(transaction, mut body) => {
                body.end(&mut session.outgoing);
                State::Confirm(transaction, body)
            }
            other => other,
        });
    }

    /// Lets the final dot or the last chunk go, after [`Output::ConfirmFinalDot`].
    pub fn send_final_dot(&mut self) {
        self.step(|session, state| match state {
            State::Confirm(transaction, body) => {
                let unanswered = body.finish(&mut session.outgoing);
                State::FinalDot(transaction, unanswered)
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
            State::Greeting if reply.code == 220 => {
                self.greeting = Some(reply);
                self.ehlo(false)
            }
            State::Greeting => State::Closed(Some(Failure::Refused(reply))),
            State::Ehlo { secured } => self.after_ehlo(secured, &reply),
            State::Helo { secured } => self.after_helo(secured, reply),
            State::StartTls(offered) => self.after_starttls(offered, reply),
            State::Introduce(introduction) => self.after_introduction(introduction, reply),
            State::Mail(transaction) => self.after_mail(transaction, reply),
            State::Recipients(transaction) => self.after_recipient(transaction, reply),
            State::Data(transaction) => self.after_data(transaction, reply),
            State::Body(transaction, body) => {
                self.after_chunk(transaction, body, reply, State::Body)
            }
            State::Confirm(transaction, body) => {
                self.after_chunk(transaction, body, reply, State::Confirm)
            }
            State::FinalDot(transaction, unanswered) => {
                self.after_final_dot(transaction, unanswered, reply)
            }
            State::AskSender(Some(recipient)) if reply.is_positive() => {
                self.outgoing.recipient(&recipient, &self.extensions);
                State::AskRecipient
            }
            State::AskSender(None) if reply.is_positive() => {
                self.conclude_question(Opinion::Taken(reply))
            }
            State::AskSender(_) => self.conclude_question(Opinion::of_sender(reply)),
            State::AskRecipient => self.conclude_question(Opinion::of_recipient(reply)),
            State::Reset(0 | 1) => State::Ready,
            State::Reset(unanswered) => State::Reset(unanswered - 1),
            State::Quit => State::Closed(None),
            State::Handshake | State::Ready => State::Closed(Some(Failure::OutOfTurn(reply))),
            State::Closed(failure) => State::Closed(failure),
        }
    }

    fn after_mail(&mut self, mut transaction: Transaction, reply: Reply) -> State {
        let accepted = transaction.answer_mail(reply.clone());
        if transaction.pipelined {
            return State::Recipients(transaction);
        }
        match transaction.next_recipient() {
            Some(recipient) if accepted => {
                self.outgoing.recipient(recipient, &self.extensions);
                State::Recipients(transaction)
            }
            _ => self.refuse(transaction, &reply),
        }
    }

    fn after_recipient(&mut self, mut transaction: Transaction, reply: Reply) -> State {
        transaction.answer_recipient(reply.clone());
        if let Some(recipient) = transaction.next_recipient() {
            if !transaction.pipelined {
                self.outgoing.recipient(recipient, &self.extensions);
            }
            return State::Recipients(transaction);
        }
        if transaction.pipelined && !transaction.chunked {
            return State::Data(transaction);
        }
        if !transaction.has_recipients() {
            return self.refuse(transaction, &reply);
        }
        if transaction.chunked {
            return State::Body(transaction, Body::new(true));
        }
        self.outgoing.command("DATA");
        State::Data(transaction)
    }

    fn after_data(&mut self, transaction: Transaction, reply: Reply) -> State {
        match (reply.code, transaction.has_recipients()) {
            (354, true) => State::Body(transaction, Body::new(false)),
            // The one way out of DATA is a final dot (RFC 2920 section 3.1). The server may
            // take the empty message for whom it likes: it accepted nobody.
            (354, false) => {
                self.completed = Some(transaction.conclude_refused(&reply));
                Body::new(false).finish(&mut self.outgoing);
                State::Reset(1)
            }
            (400..=599, _) => self.refuse(transaction, &reply),
            _ => {
                self.completed = Some(transaction.conclude_refused(&reply));
                State::Closed(Some(Failure::OutOfTurn(reply)))
            }
        }
    }

    /// A reply while the body is on its way: to a chunk, or to nothing. `on` makes the state that goes
    /// on as before.
    fn after_chunk(
        &mut self,
        transaction: Transaction,
        mut body: Body,
        reply: Reply,
        on: fn(Transaction, Body) -> State,
    ) -> State {
        match (body.count_reply(), reply.code) {
            (true, 200..=299) => on(transaction, body),
            (true, 400..=599) => self.refuse_chunk(transaction, reply, body.unanswered()),
            _ => self.after_interruption(transaction, reply),
        }
    }

    /// A reply that nothing had asked for: the server will not take the body. What it will read next
    /// is unknown, so the session ends.
    fn after_interruption(&mut self, transaction: Transaction, reply: Reply) -> State {
        if matches!(reply.code, 400..=599) {
            self.completed = Some(transaction.conclude_refused(&reply));
        }
        State::Closed(Some(Failure::OutOfTurn(reply)))
    }

    fn after_final_dot(
        &mut self,
        transaction: Transaction,
        unanswered: usize,
        reply: Reply,
    ) -> State {
        match (unanswered, reply.code) {
            (0, 500..=504) if transaction.chunked => self.refuse_bdat(transaction, reply),
            (0, code) => {
                let answered = if transaction.chunked {
                    Answered::LastChunk
                } else {
                    Answered::FinalDot
                };
                self.completed = Some(transaction.conclude(answered, &reply));
                if code / 100 == 3 {
                    return State::Closed(Some(Failure::OutOfTurn(reply)));
                }
                State::Ready
            }
            (_, 200..=299) => State::FinalDot(transaction, unanswered - 1),
            // A server that refuses a chunk refuses all that follow (RFC 3030 section 2).
            (_, 400..=599) => self.refuse_chunk(transaction, reply, unanswered),
            _ => State::Closed(Some(Failure::OutOfTurn(reply))),
        }
    }

    /// Ends a transaction of which a chunk was refused, and clears it on the server. Replies to so
    /// many other chunks come first.
    fn refuse_chunk(&mut self, transaction: Transaction, reply: Reply, unanswered: usize) -> State {
        if matches!(reply.code, 500..=504) {
            return self.refuse_bdat(transaction, reply);
        }
        self.completed = Some(transaction.conclude(Answered::Chunk, &reply));
        self.outgoing.command("RSET");
        State::Reset(unanswered + 1)
    }

    /// Ends a transaction whose chunks the server may have taken for commands, and the session with it:
    /// stray replies would count for the next message.
    fn refuse_bdat(&mut self, transaction: Transaction, reply: Reply) -> State {
        self.completed = Some(transaction.conclude(Answered::Chunk, &reply));
        State::Closed(Some(Failure::BdatUnknown(reply)))
    }

    /// Ends a transaction before any data, and clears it on the server.
    fn refuse(&mut self, transaction: Transaction, reply: &Reply) -> State {
        self.completed = Some(transaction.conclude_refused(reply));
        self.outgoing.command("RSET");
        State::Reset(1)
    }
}
