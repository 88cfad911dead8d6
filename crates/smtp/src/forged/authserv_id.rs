//! Who says that he found out what a field `Authentication-Results` tells (RFC 8601 section 2.2).

use core::mem;

use crate::limits::AUTHSERV_ID_MAX;

/// Reads what stands in front of the first semicolon of a field's body, octet by octet, as leniently as
/// the most lenient reader might: some join what white space, comments, quotes or backslashes part.
#[derive(Debug, Default)]
pub(super) struct AuthservId {
    place: Place,
    claim: Claim,
}

/// What the octets so far have come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// More is needed.
    NotYet,
    /// This is it.
    Claim(Claim),
    /// A comment that does not end: who knows what others read there.
    Hidden,
}

/// An authserv-id, and what follows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// With one space for all that parts the others.
    octets: Vec<u8>,
    /// How many there are without those.
    length: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Outside,
    /// In so many comments, one in the other.
    Comment { depth: usize, escaped: bool },
}

impl AuthservId {
    pub(super) fn take(&mut self, octet: u8) -> Found {
        match self.place {
            Place::Outside => match octet {
                b';' => return Found::Claim(mem::take(&mut self.claim)),
                b'(' => {
                    self.claim.part();
                    self.place = comment(1, false);
                }
                0..=b' ' | 0x7f | b'"' | b'\\' | b')' => self.claim.part(),
                _ => self.claim.add(octet),
            },
            Place::Comment { depth, escaped } => {
                self.place = match (octet, escaped) {
                    (_, true) => comment(depth, false),
                    (b'\\', false) => comment(depth, true),
                    (b'(', false) => comment(depth + 1, false),
                    (b')', false) if depth == 1 => Place::Outside,
                    (b')', false) => comment(depth - 1, false),
                    _ => self.place,
                };
            }
        }
        // What is longer than any id, and an octet behind it, tells no more.
        if self.claim.length > AUTHSERV_ID_MAX + 2 {
            return Found::Claim(mem::take(&mut self.claim));
        }
        Found::NotYet
    }

    /// The field is over.
    pub(super) fn end(&mut self) -> Found {
        match self.place {
            Place::Outside => Found::Claim(mem::take(&mut self.claim)),
            Place::Comment { .. } => Found::Hidden,
        }
    }
}

impl Claim {
    fn add(&mut self, octet: u8) {
        self.octets.push(octet);
        self.length += 1;
    }

    fn part(&mut self) {
        if self.octets.last().is_some_and(|last| *last != b' ') {
            self.octets.push(b' ');
        }
    }

    /// Whether it begins with an id, or may be read so. `mx.example.com.evil.example` and
    /// `mx.example.community` do not begin with `mx.example.com`; whatever else follows does not count.
    #[must_use]
    pub fn is_of(&self, id: &str) -> bool {
        let id = id.strip_suffix('.').unwrap_or(id);
        let mut rest = self.octets.as_slice();
        for wanted in id.bytes() {
            rest = rest.strip_prefix(b" ").unwrap_or(rest);
            match rest.split_first() {
                Some((octet, behind)) if octet.eq_ignore_ascii_case(&wanted) => rest = behind,
                _ => return false,
            }
        }
        let goes_on = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        !id.is_empty()
            && match rest {
                [b'.', octet, ..] => !goes_on(octet),
                [octet, ..] => !goes_on(octet),
                [] => true,
            }
    }
}

const fn comment(depth: usize, escaped: bool) -> Place {
    Place::Comment { depth, escaped }
}
