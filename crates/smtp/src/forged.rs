//! Finds the fields `Authentication-Results` of a header that claim to be ours (RFC 8601 section 5):
//! whoever believes what this host found out must not be told by a stranger what that is.

mod authserv_id;

use core::ops::Range;

use memchr::memchr2;

use authserv_id::{AuthservId, Found};

pub use authserv_id::Claim;

use crate::limits::AUTHSERV_ID_WITHIN;

const NAME: &[u8] = b"authentication-results";

/// Knows the names under which a host, or those that it belongs to, tell what they found out.
pub trait OwnIds {
    /// Whether somebody claims to be one of them.
    fn include(&self, claim: &Claim) -> bool;
}

/// Looks through the header of a message as it arrives, in pieces of any length, and tells what to take
/// out. It ends at the first empty line; what follows is left alone.
///
/// A line ends at CRLF. A lone CR or LF is taken for a line end, too, when it is about where a field may
/// begin: some servers see one there. It is not, when it is about where the header ends, or where a field
/// does that is taken out.
#[derive(Debug)]
pub struct Forged<I> {
    ids: Option<I>,
    /// How much of what is held has been looked at.
    at: usize,
    /// Where in it the field begins that is undecided yet.
    start: usize,
    /// What stands in front of that field.
    front: LineEnd,
    line_end: LineEnd,
    field: Field,
    /// The header is over.
    over: bool,
}

/// What of a line end, or of an empty line, the octets before make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    None,
    Cr,
    Lf,
    CrLf,
    CrLfCr,
}

/// The field that the next octet belongs to.
#[derive(Debug)]
enum Field {
    /// So many octets of its name are those of the name that is looked for.
    Name(usize),
    /// The name is the one; the colon is awaited.
    Named,
    /// Its authserv-id is being read.
    Undecided(AuthservId),
    /// It stays.
    Kept,
    /// It goes.
    Forged,
}

impl<I: OwnIds> Forged<I> {
    /// Looks for fields with one of these ids; with none of them for the end of the header only.
    #[must_use]
    pub const fn new(ids: Option<I>) -> Self {
        Self {
            ids,
            at: 0,
            start: 0,
            // A message may begin with the empty line.
            line_end: LineEnd::CrLf,
            front: LineEnd::CrLf,
            field: Field::Kept,
            over: false,
        }
    }

    /// Looks for nothing.
    #[must_use]
    pub const fn over() -> Self {
        let mut forged = Self::new(None);
        forged.over = true;
        forged
    }

    /// How much of what is held has been looked at.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whether the header has ended; then nothing more is found.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// How much of what is held will not be taken out any more.
    #[must_use]
    pub const fn settled(&self, held: usize) -> usize {
        if self.over {
            held
        } else if self.is_undecided() || matches!(self.field, Field::Forged) {
            self.start
        } else {
            self.at
        }
    }

    /// So many octets in front of where it is are held no longer.
    pub const fn let_go(&mut self, octets: usize) {
        self.at = self.at.saturating_sub(octets);
        self.start = self.start.saturating_sub(octets);
    }

    /// Goes on through what is held. Stops behind octets that are to be taken out of it; until they are,
    /// places are counted with them.
    pub fn next(&mut self, held: &[u8]) -> Option<Range<usize>> {
        while !self.over {
            if matches!(self.field, Field::Kept) && self.line_end == LineEnd::None {
                let rest = held.get(self.at..).unwrap_or_default();
                self.at += memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            }
            let Some(octet) = held.get(self.at).copied() else {
                break;
            };
            if self.line_end.is_before(octet) && !matches!(octet, b' ' | b'\t') {
                self.end_line();
                if !matches!(self.field, Field::Forged) {
                    self.start = self.at;
                    self.front = self.line_end;
                    self.field = Field::Name(0);
                } else if self.line_end == LineEnd::CrLf {
                    // What follows will stand behind what stands in front of it.
                    self.line_end = self.front;
                    self.field = Field::Kept;
                    match self.take_out() {
                        None => continue,
                        forged => return forged,
                    }
                }
            }
            self.over = self.line_end == LineEnd::CrLfCr && octet == b'\n';
            self.line_end = self.line_end.followed_by(octet);
            self.take(octet);
            self.at += 1;
        }
        match self.field {
            Field::Forged => self.take_out(),
            _ => None,
        }
    }

    /// What is held is all there is. What must be taken out of it now.
    pub fn end(&mut self) -> Option<Range<usize>> {
        if self.over {
            return None;
        }
        self.over = true;
        self.end_id();
        match self.field {
            Field::Forged => self.take_out(),
            _ => None,
        }
    }

    const fn is_undecided(&self) -> bool {
        matches!(
            self.field,
            Field::Name(_) | Field::Named | Field::Undecided(_)
        )
    }

    /// A line ends, and the next one does not go on with its field.
    fn end_line(&mut self) {
        match self.field {
            // Some servers go on with it nevertheless.
            Field::Named | Field::Undecided(_) if self.line_end != LineEnd::CrLf => {
                self.decide(Found::Hidden);
            }
            _ => self.end_id(),
        }
    }

    fn end_id(&mut self) {
        if let Field::Undecided(id) = &mut self.field {
            let found = id.end();
            self.decide(found);
        }
    }

    /// What has come of a forged field since the last time.
    fn take_out(&mut self) -> Option<Range<usize>> {
        let forged = self.start..self.at;
        self.start = self.at;
        (!forged.is_empty()).then_some(forged)
    }

    fn take(&mut self, octet: u8) {
        match &mut self.field {
            Field::Name(matched) => {
                if NAME.get(*matched) != Some(&octet.to_ascii_lowercase()) {
                    self.field = Field::Kept;
                } else if *matched + 1 < NAME.len() {
                    *matched += 1;
                } else {
                    self.field = Field::Named;
                }
            }
            Field::Named => match octet {
                b':' => self.field = Field::Undecided(AuthservId::default()),
                // An obsolete form (RFC 5322 section 4.5), perhaps folded. To C's isspace() these are blanks, all of them.
                b' ' | b'\t' | b'\r' | b'\n' | b'\x0b' | b'\x0c' => {}
                _ => self.field = Field::Kept,
            },
            Field::Undecided(id) => {
                let found = id.take(octet);
                self.decide(found);
            }
            Field::Kept | Field::Forged => {}
        }
        // Nobody writes so much in front of an id but to hide it.
        let is_far = self.at.saturating_sub(self.start) >= AUTHSERV_ID_WITHIN;
        if is_far && self.is_undecided() {
            self.decide(Found::Hidden);
        }
    }

    fn decide(&mut self, found: Found) {
        let is_forged = match found {
            Found::NotYet => return,
            Found::Claim(claim) => self.ids.as_ref().is_some_and(|ids| ids.include(&claim)),
            Found::Hidden => self.ids.is_some(),
        };
        self.field = if is_forged {
            Field::Forged
        } else {
            Field::Kept
        };
    }
}

impl LineEnd {
    const fn followed_by(self, octet: u8) -> Self {
        match (self, octet) {
            (Self::CrLf, b'\r') => Self::CrLfCr,
            (_, b'\r') => Self::Cr,
            (Self::Cr, b'\n') => Self::CrLf,
            (_, b'\n') => Self::Lf,
            _ => Self::None,
        }
    }

    /// Whether an octet is the first of a line.
    const fn is_before(self, octet: u8) -> bool {
        match self {
            Self::None => false,
            Self::Lf | Self::CrLf => true,
            Self::Cr | Self::CrLfCr => octet != b'\n',
        }
    }
}
