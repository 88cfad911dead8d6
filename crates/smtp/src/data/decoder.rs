//! From the octets after DATA to the body: takes the stuffed dots out and finds the end.
//!
//! ```text
//!            ┌────────── CRLF ───────────┐
//!            ▼                           │
//!   ──▶ LineStart ──any but . CR──▶ Text ┘        (a line that holds nothing but a dot)
//!            └──── . ────▶ Dot ── CR ──▶ DotCr ── LF ──▶ the end
//! ```
//!
//! Nothing but CRLF.CRLF ends a body. A server that takes less for an end can be made to see two
//! messages where its neighbour sees one (SMTP smuggling), so a CR or an LF on its own is neither
//! a line end nor the neighbour of a dot here; it is only noted.

use memchr::memchr2;

/// What the last octet was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The LF of a CRLF, or nothing yet: the line of the DATA command ended just so.
    #[default]
    LineStart,
    /// The dot at the start of a line, not handed out.
    Dot,
    /// The CR behind such a dot, not handed out.
    DotCr,
    /// A CR.
    Cr,
    /// Anything else.
    Text,
}

/// Takes the transparent dots out of a body that arrives in parts; any partition of the same
/// octets gives the same body.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    bare_line_end: bool,
}

/// How far a decoder came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Octets of the input that belong to the body or to its end; all of them unless it ended.
    pub octets: usize,
    /// Whether the end of data was among them. The decoder is of no use after that.
    pub ended: bool,
}

impl Decoder {
    /// A decoder for what follows the 354 reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a CR without an LF or an LF without a CR has occurred.
    #[must_use]
    pub const fn has_bare_line_end(&self) -> bool {
        self.bare_line_end
    }

    /// Reads on. The body's octets are handed to `take` in runs, as slices of the input.
    pub fn decode(&mut self, input: &[u8], mut take: impl FnMut(&[u8])) -> Consumed {
        let mut at = 0;
        // The start of what has been looked at and not been handed out.
        let mut run = 0;
        while let Some(&octet) = input.get(at) {
            match (self.state, octet) {
                (State::LineStart, b'.') => {
                    take(input.get(run..at).unwrap_or_default());
                    run = at + 1;
                    self.state = State::Dot;
                }
                (State::Dot, b'\r') => {
                    run = at + 1;
                    self.state = State::DotCr;
                }
                (State::DotCr, b'\n') => {
                    return Consumed {
                        octets: at + 1,
                        ended: true,
                    };
                }
                (State::DotCr, _) => {
                    // The CR did not end the line, so it belongs to the body.
                    take(b"\r");
                    run = at;
                    self.bare_line_end = true;
                    self.state = self.after(octet);
                }
                (State::Text, _) => {
                    let rest = input.get(at..).unwrap_or_default();
                    match memchr2(b'\r', b'\n', rest) {
                        Some(length) => at += length,
                        None => break,
                    }
                    self.state = self.after(input.get(at).copied().unwrap_or_default());
                }
                _ => self.state = self.after(octet),
            }
            at += 1;
        }
        take(input.get(run..).unwrap_or_default());
        Consumed {
            octets: input.len(),
            ended: false,
        }
    }

    /// Where an octet leads that is not part of an end, and whether it breaks a line wrongly.
    fn after(&mut self, octet: u8) -> State {
        let after_cr = self.state == State::Cr;
        self.bare_line_end |= after_cr != (octet == b'\n');
        match octet {
            b'\n' if after_cr => State::LineStart,
            b'\r' => State::Cr,
            _ => State::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_in(parts: &[&[u8]]) -> (Vec<u8>, usize, bool, bool) {
        let mut decoder = Decoder::new();
        let mut body = Vec::new();
        let mut octets = 0;
        for part in parts {
            let consumed = decoder.decode(part, |run| body.extend_from_slice(run));
            octets += consumed.octets;
            if consumed.ended {
                return (body, octets, true, decoder.has_bare_line_end());
            }
        }
        (body, octets, false, decoder.has_bare_line_end())
    }

    #[test]
    fn stuffed_dots_go_and_the_lone_dot_ends() {
        let cases: [(&[u8], &[u8], usize); 7] = [
            (b".\r\n", b"", 3),
            (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", 6),
            (b"..\r\n.\r\n", b".\r\n", 7),
            (b".a\r\n.\r\n", b"a\r\n", 7),
            (b"a.\r\n...b\r\n.\r\n", b"a.\r\n..b\r\n", 13),
            (b"\r\n\r\n.\r\n", b"\r\n\r\n", 7),
            (b". \r\n.\r\n", b" \r\n", 7),
        ];
        for (input, body, octets) in cases {
            assert_eq!(decode_in(&[input]), (body.to_vec(), octets, true, false));
        }
    }

    #[test]
    fn a_body_that_breaks_off_has_not_ended() {
        for input in [&b"a\r\n"[..], b"a\r\n.", b"a\r\n.\r", b"a\r\n.x\r\n"] {
            assert!(!decode_in(&[input]).2);
        }
    }

    #[test]
    fn bare_line_ends_are_noted_and_end_nothing() {
        for input in [
            &b"a\n.\nb\r\n"[..],
            b"a\n.\r\nb\r\n",
            b"a\r\n.\nb\r\n",
            b"a\r\n.\rb\r\n",
            b"a\r.\r\nb\r\n",
            b"a\r\r\n",
            b"a\r\n.\r.\r\n",
            b"\n",
            b".\r\r\n.",
        ] {
            let (_, octets, ended, bare) = decode_in(&[input]);
            assert!(bare && !ended, "{input:?}");
            assert_eq!(octets, input.len());
        }
    }

    #[test]
    fn octets_of_a_bare_line_end_stay_in_the_body() {
        assert_eq!(decode_in(&[b"\r\n.\rb\r\n.\r\n"]).0, b"\r\n\rb\r\n");
        assert_eq!(decode_in(&[b".\nb\r\n.\r\n"]).0, b"\nb\r\n");
        assert_eq!(decode_in(&[b".\r\r\n.\r\n"]).0, b"\r\r\n");
    }

    #[test]
    fn every_partition_of_every_short_text_gives_the_same_body() {
        let letters = [b'\r', b'\n', b'.', b'a'];
        for number in 0..4_usize.pow(7) {
            let text: Vec<u8> = (0..7)
                .map(|place| letters[number >> (2 * place) & 3])
                .collect();
            let whole = decode_in(&[&text]);
            let single: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(decode_in(&single), whole, "{text:?}");
            assert_eq!(decode_in(&[&text[..3], &text[3..]]), whole, "{text:?}");
            let reference = text
                .windows(5)
                .position(|five| five == b"\r\n.\r\n")
                .map(|at| at + 5);
            let reference = if text.starts_with(b".\r\n") {
                Some(3)
            } else {
                reference
            };
            assert_eq!(whole.2, reference.is_some(), "{text:?}");
            assert_eq!(whole.1, reference.unwrap_or(7), "{text:?}");
        }
    }
}
