//! Who a message is from and for, and what was declared about it (RFC 5321 section 2.3.1).

use crate::{ForwardPath, ReversePath};

/// What the MAIL command declared the body to be (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BodyType {
    /// Seven-bit text, or nothing was said.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`: octets above 127 may occur.
    EightBitMime,
}

/// The envelope of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where a DSN would go; null for a DSN itself.
    pub reverse_path: ReversePath,
    /// The recipients that were accepted, in the order in which they were given.
    pub forward_paths: Vec<ForwardPath>,
    /// What `BODY=` said.
    pub body_type: BodyType,
    /// What `SIZE=` said, in octets (RFC 1870); it is a claim, not a measure.
    pub declared_size: Option<u64>,
}

impl Envelope {
    /// An envelope without recipients yet.
    #[must_use]
    pub const fn new(reverse_path: ReversePath) -> Self {
        Self {
            reverse_path,
            forward_paths: Vec::new(),
            body_type: BodyType::SevenBit,
            declared_size: None,
        }
    }
}
