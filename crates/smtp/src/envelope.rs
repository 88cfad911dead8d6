//! Who a message is from and for, and what was declared about it (RFC 5321 section 2.3.1).

use crate::{ForwardPath, ReversePath, dsn};

/// What the MAIL command declared the body to be (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BodyType {
    /// Seven-bit text, or nothing was said.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`: octets above 127 may occur.
    EightBitMime,
    /// `BODY=BINARYMIME`: any octets in any order; it can only travel by BDAT.
    BinaryMime,
}

/// The envelope of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where a DSN would go; null for a DSN itself.
    pub reverse_path: ReversePath,
    /// The recipients that were accepted, in the order in which they were given.
    pub recipients: Vec<Recipient>,
    /// What `BODY=` said.
    pub body_type: BodyType,
    /// What `SIZE=` said, in octets (RFC 1870); it is a claim, not a measure.
    pub declared_size: Option<u64>,
    /// Whether `SMTPUTF8` was said: addresses and header fields may hold UTF-8 (RFC 6531). Without
    /// it no address of the envelope does.
    pub smtputf8: bool,
    /// What `RET=` and `ENVID=` said.
    pub dsn: dsn::PerMessage,
}

/// One recipient, with what RCPT said about reports on him.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipient {
    /// His address.
    pub path: ForwardPath,
    /// What `NOTIFY=` and `ORCPT=` said.
    pub dsn: dsn::PerRecipient,
}

impl Envelope {
    /// An envelope without recipients yet, of which nothing was declared.
    #[must_use]
    pub fn new(reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            recipients: Vec::new(),
            body_type: BodyType::SevenBit,
            declared_size: None,
            smtputf8: false,
            dsn: dsn::PerMessage::default(),
        }
    }
}

impl Recipient {
    /// How many octets were said about him.
    #[must_use]
    pub fn octets(&self) -> usize {
        let path = match &self.path {
            ForwardPath::Postmaster => 0,
            ForwardPath::Mailbox(mailbox) => mailbox.local_part.len() + mailbox.domain.len(),
        };
        let orcpt = self.dsn.orcpt.as_ref();
        path + orcpt.map_or(0, |orcpt| orcpt.as_str().len())
    }
}

impl From<ForwardPath> for Recipient {
    /// One of whom nothing was said.
    fn from(path: ForwardPath) -> Self {
        Self {
            path,
            dsn: dsn::PerRecipient::default(),
        }
    }
}
