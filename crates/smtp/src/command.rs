//! The commands of a client (RFC 5321 section 4.1.1).

mod parser;

use core::fmt;

use crate::{Envelope, Recipient, address::AddressError};

/// One command, with its arguments read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// EHLO: the client's name for itself, made printable.
    Ehlo(String),
    /// HELO: the same.
    Helo(String),
    /// MAIL: begins a transaction, with an envelope that has no recipients yet.
    Mail(Box<Envelope>),
    /// RCPT: one more recipient.
    Rcpt(Recipient),
    /// DATA: the body follows.
    Data,
    /// BDAT: a chunk of the body follows (RFC 3030).
    Bdat {
        /// How long it is.
        octets: u64,
        /// Whether the body ends with it.
        last: bool,
    },
    /// RSET: forgets the transaction.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY, with whatever it asks about.
    Vrfy,
    /// ETRN: whoever asks wants mail that waits here (RFC 1985).
    Etrn(EtrnNode),
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207).
    StartTls,
}

impl Command {
    /// Reads a line without its CRLF.
    ///
    /// # Errors
    /// What about it is not a command that can be served.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        parser::parse(line)
    }
}

/// Whose mail ETRN asks for (RFC 1985 section 5.2).
///
/// Names are in ASCII, those of internationalised domains in A-labels: SMTPUTF8 widens the arguments of MAIL, RCPT,
/// VRFY and EXPN, and not those of other extensions (RFC 6531 section 3.1), so that no server asks otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtrnNode {
    /// A domain's.
    Domain(String),
    /// `@`: that of a domain and of all domains below it.
    Subdomains(String),
    /// `#`: that of a queue, by its name.
    Queue(String),
}

impl fmt::Display for EtrnNode {
    /// As it was asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Subdomains(name) => write!(f, "@{name}"),
            Self::Queue(name) => write!(f, "#{name}"),
        }
    }
}

/// What about a line is not a command that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The line holds an octet that no command may: NUL or another control character.
    #[error("control character in the command")]
    ControlCharacter,
    /// The first word is no command.
    #[error("command not recognized")]
    Unknown,
    /// The first word is a method of HTTP: what follows is no mail, but what somebody makes a browser say.
    #[error("this is no web server")]
    OtherProtocol,
    /// The first word is a command of RFC 5321 that is not served here.
    #[error("command not implemented")]
    NotImplemented,
    /// The arguments are not what the command takes; what it takes is said.
    #[error("syntax: {0}")]
    Syntax(&'static str),
    /// A BDAT that cannot be followed, with how many octets come behind it, as far as it says that.
    #[error("syntax: BDAT octets [LAST]")]
    Chunk(Option<u64>),
    /// The sender's address cannot be used.
    #[error("bad sender address: {0}")]
    Sender(AddressError),
    /// The recipient's address cannot be used.
    #[error("bad recipient address: {0}")]
    Recipient(AddressError),
    /// This parameter, which is offered, has a value it cannot have, or occurs twice.
    #[error("{0} has a value that it cannot have, or is said twice")]
    ParameterValue(&'static str),
    /// A parameter that is not offered.
    #[error("parameter not recognized")]
    Parameter,
}
