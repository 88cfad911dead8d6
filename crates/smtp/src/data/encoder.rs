//! Makes a body fit to follow DATA: doubles leading dots and ends it (RFC 5321 section 4.5.2).

use memchr::memchr;

/// What went out last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    /// Nothing, or CRLF: the line of the DATA command ended just so.
    #[default]
    LineStart,
    /// A CR.
    AfterCr,
    /// An LF without a CR.
    AfterBareLf,
    /// Anything else.
    InLine,
}

impl Position {
    /// Where one more octet leads.
    const fn after(self, octet: u8) -> Self {
        match (self, octet) {
            (Self::AfterCr, b'\n') => Self::LineStart,
            (_, b'\n') => Self::AfterBareLf,
            (_, b'\r') => Self::AfterCr,
            _ => Self::InLine,
        }
    }
}

/// Stuffs dots into a body that passes through in chunks.
///
/// A dot is doubled after a bare CR or a bare LF as well. Stored bodies hold neither, but if one
/// ever did, a primary that takes it for a line end would find a lone dot there and read what
/// follows as commands (SMTP smuggling); doubled, it can not.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    position: Position,
}

impl Encoder {
    /// The octets to send for a chunk, as slices of it.
    pub fn encode<'a>(&mut self, chunk: &'a [u8]) -> Encoded<'a> {
        let before = self.position;
        for octet in chunk.iter().skip(chunk.len().saturating_sub(2)) {
            self.position = self.position.after(*octet);
        }
        Encoded {
            rest: chunk,
            searched: 0,
            before: Some(before),
        }
    }

    /// The end of data, with the CRLF that the body lacks in front if it lacks one.
    #[must_use]
    pub const fn finish(self) -> &'static [u8] {
        match self.position {
            Position::LineStart => b".\r\n",
            _ => b"\r\n.\r\n",
        }
    }
}

/// The slices of one chunk. A dot that must be doubled ends one slice and begins the next.
#[derive(Clone, Debug)]
pub struct Encoded<'a> {
    /// What is left to hand out.
    rest: &'a [u8],
    /// How much of it needs no second look.
    searched: usize,
    /// What came before the chunk, until its first octet was looked at.
    before: Option<Position>,
}

impl<'a> Iterator for Encoded<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some(before) = self.before.take()
            && before != Position::InLine
            && self.rest.first() == Some(&b'.')
        {
            self.searched = 1;
            return self.rest.get(..1);
        }
        loop {
            let unseen = self.rest.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr(b'.', unseen) else {
                return Some(core::mem::take(&mut self.rest));
            };
            let dot = self.searched + found;
            self.searched = dot + 1;
            let previous = dot.checked_sub(1).and_then(|at| self.rest.get(at));
            if matches!(previous, Some(b'\r' | b'\n')) {
                let (slice, _) = self.rest.split_at(dot + 1);
                self.rest = self.rest.get(dot..).unwrap_or_default();
                self.searched = 1;
                return Some(slice);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(chunks: &[&[u8]]) -> Vec<u8> {
        let mut encoder = Encoder::default();
        let mut out = Vec::new();
        for chunk in chunks {
            for slice in encoder.encode(chunk) {
                out.extend_from_slice(slice);
            }
        }
        out.extend_from_slice(encoder.finish());
        out
    }

    #[test]
    fn leading_dots_are_doubled_and_others_are_not() {
        assert_eq!(
            encode(&[b".a\r\n..\r\nb.c\r\n"]),
            b"..a\r\n...\r\nb.c\r\n.\r\n"
        );
    }

    #[test]
    fn exactly_one_line_end_stands_before_the_final_dot() {
        assert_eq!(encode(&[b"a\r\n"]), b"a\r\n.\r\n");
        assert_eq!(encode(&[b"a"]), b"a\r\n.\r\n");
        assert_eq!(encode(&[b"a\r"]), b"a\r\r\n.\r\n");
        assert_eq!(encode(&[b"a\n"]), b"a\n\r\n.\r\n");
        assert_eq!(encode(&[b"a\r", b"\n"]), b"a\r\n.\r\n");
        assert_eq!(encode(&[]), b".\r\n");
        assert_eq!(encode(&[b"."]), b"..\r\n.\r\n");
    }

    #[test]
    fn a_body_without_leading_dots_leaves_in_one_slice() {
        let mut encoder = Encoder::default();
        assert_eq!(encoder.encode(b"a.b.c\r\nd.\r\n").count(), 1);
    }

    #[test]
    fn no_end_of_data_can_be_smuggled_in() {
        for body in [
            "a\n.\nMAIL",
            "a\n.\r\nMAIL",
            "a\r.\rMAIL",
            "a\r\n.\r\nMAIL",
            "a\r.\r\nMAIL",
        ] {
            let out = encode(&[body.as_bytes()]);
            let lone = out.windows(3).position(|w| {
                matches!(w[0], b'\r' | b'\n') && w[1] == b'.' && matches!(w[2], b'\r' | b'\n')
            });
            assert_eq!(lone, Some(out.len() - 4), "{body:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_split_encodes_the_same_and_ends_once(
            body in proptest::collection::vec(proptest::sample::select(b".\r\nab".to_vec()), 0..80),
            cuts in proptest::collection::vec(0usize..80, 0..5),
        ) {
            let whole = encode(&[&body]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&body[from..cut]);
                from = cut;
            }
            chunks.push(&body[from..]);
            proptest::prop_assert_eq!(&whole, &encode(&chunks));

            let lines_end = |o: u8| matches!(o, b'\r' | b'\n');
            let lone = (0..whole.len()).find(|&at| {
                whole[at] == b'.'
                    && (at == 0 || lines_end(whole[at - 1]))
                    && whole.get(at + 1).is_some_and(|next| lines_end(*next))
            });
            proptest::prop_assert_eq!(lone, Some(whole.len() - 3));
        }
    }
}
