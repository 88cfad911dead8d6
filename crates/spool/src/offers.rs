//! What a primary can be handed, as its reply to EHLO has told.

use smtp::Extensions;

use crate::Timestamp;

/// The extensions of a primary that decide whether a message can be handed over.
///
/// Whatever is accepted while the primary is down must still be deliverable when it is back, so
/// this is remembered by all nodes from one contact to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Octets of the largest message (SIZE, RFC 1870); `None` when it has told no limit.
    pub size_max: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
}

impl Offers {
    /// Whether a message of so many octets, trace fields included, is within what it takes.
    #[must_use]
    pub fn takes_size(&self, octets: u64) -> bool {
        self.size_max.is_none_or(|max| octets <= max)
    }

    /// Whether a body of lines without end, or with bare line ends, can be handed over: BINARYMIME
    /// is of use by BDAT only (RFC 3030 section 3).
    #[must_use]
    pub const fn takes_binary(&self) -> bool {
        self.chunking && self.binary_mime
    }
}

impl From<&Extensions> for Offers {
    fn from(offered: &Extensions) -> Self {
        Self {
            size_max: offered.size.filter(|max| *max > 0),
            eight_bit_mime: offered.eight_bit_mime,
            smtputf8: offered.smtputf8,
            chunking: offered.chunking,
            binary_mime: offered.binary_mime,
            dsn: offered.dsn,
        }
    }
}

/// What is known of a primary, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownOffers {
    /// What it offered when it was last talked to.
    pub offers: Offers,
    /// When it was first found to offer just that.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_of_zero_is_no_limit() {
        let offers = |size| {
            Offers::from(&Extensions {
                size,
                ..Extensions::default()
            })
        };
        assert_eq!(offers(None).size_max, None);
        assert_eq!(offers(Some(0)).size_max, None);
        assert!(offers(Some(0)).takes_size(u64::MAX));
        assert!(offers(Some(10)).takes_size(10) && !offers(Some(10)).takes_size(11));
    }
}
