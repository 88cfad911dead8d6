//! The server's end of a dialogue.
//!
//! ```text
//!   bytes ──▶ receive ──▶┌─────────┐──▶ Read, Flush, StartTls, Close   what to do with the socket
//!                        │ Session │──▶ Ask(Question)                  what to decide
//!   answer_*, secured ──▶└─────────┘──▶ Body, Discard                  what to do with the body
//! ```
//!
//! Whoever drives it calls [`Session::next`] in a loop, does what it says, and writes what has
//! gathered in [`Session::replies`] whenever that says `Read`, `Flush`, `StartTls` or `Close`.
//! How long a client may take, and what is done with a message, is not decided here.

mod chunks;
mod hops;
mod lines;
mod reading;
mod replies;
mod session;

use crate::{BodyType, Envelope, ForwardPath, ReversePath, command::EtrnNode};

pub use hops::TRACE_COMMENT;
pub use session::Session;

/// What a server is called and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the greeting and in the reply to EHLO.
    pub hostname: String,
    /// Octets of the largest message; at least 1.
    pub size_max: u64,
    /// Recipients of one message at most; at least 1.
    pub recipients_max: usize,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
    /// Whether SMTPUTF8 is offered.
    pub smtputf8: bool,
    /// Whether BINARYMIME is offered.
    pub binary_mime: bool,
}

/// What has to happen before a session can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write the replies, then read from the client.
    Read,
    /// Write the replies: many have gathered.
    Flush,
    /// Decide, and give the answer.
    Ask(Question),
    /// Octets of a body were appended; more are to come. What arrives last, with the end of data,
    /// is appended without this and is there when [`Question::Message`] is asked.
    Body,
    /// What was appended of this body is to be thrown away: the message is refused. The client
    /// hears it once it has sent the end of data, or of the chunk.
    Discard,
    /// What was appended of this body is to be thrown away: the client has given the message up
    /// between two chunks.
    Abandon,
    /// Write the replies, shake hands, and call [`Session::secured`]. Nothing that was read before
    /// may be taken for the handshake.
    StartTls,
    /// Write the replies and close the connection.
    Close,
}

/// What a session does not decide itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// May a message from here begin? Answered by [`Session::answer_sender`].
    Sender {
        /// Where a DSN would go.
        reverse_path: ReversePath,
        /// What `SIZE=` said, in octets; it is within `size_max`.
        declared_size: Option<u64>,
        /// What `BODY=` said.
        body_type: BodyType,
        /// Whether `SMTPUTF8` was said.
        smtputf8: bool,
    },
    /// Is mail for him taken? Answered by [`Session::answer_recipient`].
    Recipient(ForwardPath),
    /// May his mail be asked for from here, and is it sent now? Answered by
    /// [`Session::answer_etrn`].
    Etrn(EtrnNode),
    /// The body is complete: is the message ours now? Answered by [`Session::answer_message`].
    Message(Envelope),
}

/// How a client introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helo {
    /// Its name for itself, made printable.
    pub name: String,
    /// Whether it said EHLO.
    pub extended: bool,
}
