//! Mailboxes and the paths of an envelope (RFC 5321 sections 4.1.1.2, 4.1.1.3, 4.1.2), in ASCII or
//! beyond it (RFC 6531 section 3.3).

mod parser;
mod unseen;

use core::{fmt, str::FromStr};

pub(crate) use parser::{is_atext, is_domain};
pub(crate) use unseen::holds_unseen;

/// `local-part@domain`, each side as it was written.
///
/// The local part belongs to the receiving domain, so its case and quoting are never changed; the
/// domain is compared without case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// Left of the `@`, with quotes where they were written.
    pub local_part: String,
    /// Right of the `@`: a domain name without trailing dot, or an address literal in brackets.
    pub domain: String,
}

impl Mailbox {
    /// Whether it goes without SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii() && self.domain.is_ascii()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parser::mailbox(text)
    }
}

/// Where a DSN would go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: the message is itself a report, and none is ever sent about it.
    Null,
    /// The sender's mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Reads a path in angle brackets and returns what follows it. A source route in front of the
    /// mailbox is dropped (RFC 5321 appendix C).
    ///
    /// # Errors
    /// What about it is not a reverse-path.
    pub fn parse(text: &str) -> Result<(Self, &str), AddressError> {
        parser::reverse_path(text)
    }

    /// Whether it goes without SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }
}

impl fmt::Display for ReversePath {
    /// Without angle brackets; empty for the null path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, which every server must accept (RFC 5321 section 4.5.1).
    Postmaster,
    /// A recipient's mailbox.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// Reads a path in angle brackets and returns what follows it. A source route in front of the
    /// mailbox is dropped (RFC 5321 appendix C).
    ///
    /// # Errors
    /// What about it is not a forward-path.
    pub fn parse(text: &str) -> Result<(Self, &str), AddressError> {
        parser::forward_path(text)
    }

    /// Whether it goes without SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Postmaster => true,
            Self::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }
}

impl ForwardPath {
    /// Whether it is the postmaster of any domain, whose name has no case (RFC 5321 section 4.5.1) and is
    /// the same in quotes (section 4.1.2).
    #[must_use]
    pub fn is_postmaster(&self) -> bool {
        let Self::Mailbox(Mailbox { local_part, .. }) = self else {
            return true;
        };
        let quoted = local_part
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        quoted
            .unwrap_or(local_part)
            .eq_ignore_ascii_case("postmaster")
    }

    /// Whether it is a host's own postmaster, with the host's name or without (RFC 5321 section 4.5.1).
    #[must_use]
    pub fn is_postmaster_of(&self, hostname: &str) -> bool {
        let is_there = match self {
            Self::Postmaster => true,
            Self::Mailbox(mailbox) => mailbox.domain.eq_ignore_ascii_case(hostname),
        };
        is_there && self.is_postmaster()
    }
}

impl fmt::Display for ForwardPath {
    /// Without angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// What about an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is not in angle brackets.
    #[error("address is not in angle brackets")]
    Brackets,
    /// The part left of the `@` is empty or holds what only a quoted string may.
    #[error("local part of the address is malformed")]
    LocalPart,
    /// The part right of the `@` is not a domain name or an address literal.
    #[error("domain of the address is malformed")]
    Domain,
    /// A part of it, or the whole, is longer than RFC 5321 section 4.5.3.1 allows.
    #[error("address is too long")]
    TooLong,
    /// It needs SMTPUTF8 (RFC 6531), which MAIL did not say.
    #[error("address is not ASCII, and MAIL did not say SMTPUTF8")]
    NotAscii,
    /// It holds a character that cannot be seen, or that turns about what stands beside it.
    #[error("address holds an invisible character, or one that changes the direction of writing")]
    Unseen,
    /// It is neither ASCII nor UTF-8.
    #[error("address is not UTF-8")]
    NotUtf8,
}
