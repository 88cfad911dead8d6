//! The client's end of a dialogue, as a state machine that owns no socket (RFC 5321 section 3).
//!
//! ```text
//!   Greeting ─▶ Ehlo ─┬─▶ StartTls ─▶ Handshake ─▶ Ehlo
//!                     ├─▶ Helo ─┐
//!                     ▼         ▼
//!                   Ready ◀─────┴──────────────────────── Reset ◀─ refused
//!                     │ deliver                                      │
//!                     ├─▶ Envelope ─▶ Body ─▶ Confirm ─▶ FinalDot ───┤
//!                     ├ pass on ─▶ Introduce ─▶ Ehlo (XCLIENT) or Ready
//!                     └ ask ─▶ AskSender ─▶ AskRecipient ─▶ Reset ───┴─▶ Ready
//! ```
//!
//! A body goes by BDAT where the server offers CHUNKING; its last chunk is what the final dot is
//! behind DATA, by name as well.
//!
//! The driver loops: carry [`Session::outgoing`] to the server, feed what comes back to
//! [`Session::receive`], and do what [`Session::poll`] asks for.

mod body;
mod offered;
mod origin;
mod outgoing;
mod session;
mod transaction;
mod verdict;

pub use origin::{HostName, Origin};
pub use session::Session;
pub use verdict::{Opinion, Verdict};

use crate::{Reply, reply::ReplyError};

/// What a session does about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Never starts it.
    Off,
    /// Starts it where the server offers it, and goes on in clear where it does not or says no.
    Opportunistic,
    /// Goes nowhere without it.
    Require,
}

/// The reply that a session waits for; the driver chooses its patience by it
/// (RFC 5321 section 4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaiting {
    /// The server's first words.
    Greeting,
    /// The reply to EHLO, HELO, STARTTLS.
    Hello,
    /// The reply to XCLIENT or XFORWARD.
    Client,
    /// The reply to MAIL. Until it has come, nothing is known about the message.
    Mail,
    /// The reply to a RCPT.
    Recipient,
    /// The reply to DATA.
    Data,
    /// The reply to a chunk that is not the last, from a server that takes no pipelined commands.
    Chunk,
    /// The reply to the final dot, or to the last chunk. If it never comes, the server may have taken the message.
    FinalDot,
    /// The reply to RSET.
    Reset,
    /// The reply to QUIT.
    Quit,
}

/// What a session wants of its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send what is outgoing and feed what the server sends.
    Read(Awaiting),
    /// Send what is outgoing, run the TLS handshake, then call [`Session::tls_started`].
    StartTls,
    /// [`Session::deliver`] a message, [`Session::ask`] about a recipient or [`Session::ask_for_any`],
    /// [`Session::pass_on`] a client, or [`Session::quit`].
    Ready,
    /// Feed the body through [`Session::send_body`], then call [`Session::end_body`].
    SendBody,
    /// The body is out, but for its last chunk. Call [`Session::send_final_dot`] if the message may be handed over now;
    /// otherwise drop the connection, and the server has nothing.
    ConfirmFinalDot,
    /// The transaction is over: a verdict for each recipient, in the order of the envelope.
    Completed(Vec<Verdict>),
    /// What the server says of the recipient of [`Session::ask`], or to [`Session::ask_for_any`].
    Answered(Opinion),
    /// Nothing more can be done here: after QUIT, or for the reason given.
    Closed(Option<Failure>),
}

/// Why a session broke off. It says nothing about a message, unless its verdicts came before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server does not want to talk: its greeting, or its reply to EHLO and HELO.
    #[error("the server refused the session: {0}")]
    Refused(Reply),
    /// 421: the server goes away, and has taken nothing that it had not taken before
    /// (RFC 5321 section 3.8).
    #[error("the server closed the session: {0}")]
    Closing(Reply),
    /// TLS is required and not offered.
    #[error("the server does not offer STARTTLS, which the policy requires")]
    TlsNotOffered,
    /// TLS is required and was refused.
    #[error("the server refused STARTTLS, which the policy requires: {0}")]
    TlsRefused(Reply),
    /// Octets in clear came behind the reply to STARTTLS: someone may have put them there.
    #[error("the server spoke in clear after it had agreed to TLS")]
    SpokeBeforeTls,
    /// What came is no reply.
    #[error(transparent)]
    Malformed(#[from] ReplyError),
    /// A reply that nothing had asked for, or of a kind that cannot follow.
    #[error("the server sent a reply out of turn: {0}")]
    OutOfTurn(Reply),
    /// What a server says that does not know BDAT: it, or something in front of it, takes the octets
    /// of the chunks for commands.
    #[error("the server offered CHUNKING and does not know BDAT: {0}")]
    BdatUnknown(Reply),
    /// The server does not want the client that was passed on to it. So it speaks of whatever he sent.
    #[error("the server refused the client that the message came from: {0}")]
    ClientRefused(Reply),
    /// The server takes us for another client, and does not let that be changed.
    #[error("the server did not let the next client be passed on: {0}")]
    StaysAnother(Reply),
    /// The server closed the connection without a word.
    #[error("the server closed the connection")]
    Disconnected,
}
