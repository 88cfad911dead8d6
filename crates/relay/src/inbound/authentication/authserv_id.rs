//! Who says that he found out what a field `Authentication-Results` tells (RFC 8601 section 2.2).

use core::mem;

use crate::inbound::limits::AUTHSERV_ID_MAX;

/// Reads the authserv-id out of a field's body, octet by octet: the first word of it, a token or a
/// quoted string, behind white space and comments. What follows it, a version perhaps, does not count.
#[derive(Debug, Default)]
pub(super) struct AuthservId {
    place: Place,
    id: Vec<u8>,
}

/// What the octets so far have come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// More is needed.
    NotYet,
    /// The field has none, or none that could be ours.
    None,
    /// This is it.
    Id(Vec<u8>),
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Before,
    /// In so many comments, one in the other.
    Comment {
        depth: usize,
        escaped: bool,
    },
    Token,
    Quoted {
        escaped: bool,
    },
}

impl AuthservId {
    pub(super) fn take(&mut self, octet: u8) -> Found {
        match self.place {
            Place::Before => match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'(' => self.place = comment(1, false),
                b'"' => self.place = Place::Quoted { escaped: false },
                _ if ends_token(octet) => return Found::None,
                _ => {
                    self.place = Place::Token;
                    self.id.push(octet);
                }
            },
            Place::Comment { depth, escaped } => {
                self.place = match (octet, escaped) {
                    (_, true) => comment(depth, false),
                    (b'\\', false) => comment(depth, true),
                    (b'(', false) => comment(depth + 1, false),
                    (b')', false) if depth == 1 => Place::Before,
                    (b')', false) => comment(depth - 1, false),
                    _ => self.place,
                };
            }
            Place::Token => {
                if ends_token(octet) {
                    return Found::Id(mem::take(&mut self.id));
                }
                self.id.push(octet);
            }
            Place::Quoted { escaped } => match (octet, escaped) {
                (b'\\', false) => self.place = Place::Quoted { escaped: true },
                (b'"', false) => return Found::Id(mem::take(&mut self.id)),
                // A quoted string may be folded, which adds nothing to it.
                (b'\r' | b'\n', _) => {}
                _ => {
                    self.place = Place::Quoted { escaped: false };
                    self.id.push(octet);
                }
            },
        }
        if self.id.len() > AUTHSERV_ID_MAX {
            return Found::None;
        }
        Found::NotYet
    }

    /// The field is over.
    pub(super) fn end(&mut self) -> Found {
        match self.place {
            Place::Token | Place::Quoted { .. } => Found::Id(mem::take(&mut self.id)),
            Place::Before | Place::Comment { .. } => Found::None,
        }
    }
}

const fn comment(depth: usize, escaped: bool) -> Place {
    Place::Comment { depth, escaped }
}

/// White space, controls, and what RFC 2045 section 5.1 calls tspecials.
const fn ends_token(octet: u8) -> bool {
    matches!(
        octet,
        0..=b' '
            | 0x7f
            | b'('
            | b')'
            | b'<'
            | b'>'
            | b'@'
            | b','
            | b';'
            | b':'
            | b'\\'
            | b'"'
            | b'/'
            | b'['
            | b']'
            | b'?'
            | b'='
    )
}
