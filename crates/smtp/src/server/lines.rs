//! Cuts command lines out of what a client sent.

use bytes::{Buf as _, BytesMut};
use memchr::memchr;

use crate::limits::COMMAND_LINE_MAX;

/// What the front of the unread octets is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Not a whole line yet.
    Partial,
    /// A line, without its CRLF.
    Whole(BytesMut),
    /// A line that was longer than any command may be; it is gone.
    TooLong,
    /// An LF without a CR. It is no line end, and what stands around it has no sure meaning.
    BareLineFeed,
}

/// Reads lines, never keeping more than one of the greatest length.
#[derive(Clone, Debug, Default)]
pub(super) struct LineReader {
    /// Octets at the front of the unread ones that are known to hold no LF.
    scanned: usize,
    /// The front of this line was already thrown away.
    overlong: bool,
}

impl LineReader {
    /// Takes the next line off the front.
    pub(super) fn take(&mut self, unread: &mut BytesMut) -> Line {
        let fresh = unread.get(self.scanned..).unwrap_or_default();
        let Some(length) = memchr(b'\n', fresh) else {
            self.scanned = unread.len();
            if self.scanned >= COMMAND_LINE_MAX {
                // One octet stays: it may be the CR of the line's end.
                unread.advance(self.scanned - 1);
                self.scanned = 1;
                self.overlong = true;
            }
            return Line::Partial;
        };
        let mut line = unread.split_to(self.scanned + length + 1);
        self.scanned = 0;
        let overlong = core::mem::take(&mut self.overlong) || line.len() > COMMAND_LINE_MAX;
        if !line.ends_with(b"\r\n") {
            return Line::BareLineFeed;
        }
        if overlong {
            return Line::TooLong;
        }
        line.truncate(line.len() - 2);
        Line::Whole(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(parts: &[&[u8]]) -> Vec<Line> {
        let mut reader = LineReader::default();
        let mut unread = BytesMut::new();
        let mut lines = Vec::new();
        for part in parts {
            unread.extend_from_slice(part);
            loop {
                match reader.take(&mut unread) {
                    Line::Partial => break,
                    line => lines.push(line),
                }
            }
            assert!(unread.len() < COMMAND_LINE_MAX);
        }
        lines
    }

    #[test]
    fn lines_end_in_crlf_wherever_the_input_is_split() {
        let text = b"NOOP\r\n\r\nQUIT\r\nrest";
        let expected = ["NOOP", "", "QUIT"].map(|line| Line::Whole(line.into()));
        assert_eq!(lines_of(&[text]), expected);
        assert_eq!(lines_of(&text.chunks(1).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn a_line_of_the_greatest_length_passes_and_one_more_octet_does_not() {
        for (length, fits) in [(COMMAND_LINE_MAX, true), (COMMAND_LINE_MAX + 1, false)] {
            let mut text = vec![b'a'; length - 2];
            text.extend_from_slice(b"\r\nNOOP\r\n");
            let whole = lines_of(&[&text]);
            assert_eq!(whole.len(), 2);
            assert_eq!(whole[0] != Line::TooLong, fits);
            assert_eq!(whole[1], Line::Whole("NOOP".into()));
            assert_eq!(lines_of(&text.chunks(1).collect::<Vec<_>>()), whole);
        }
    }

    #[test]
    fn a_line_feed_alone_is_no_line_end() {
        assert_eq!(lines_of(&[b"NOOP\n"]), [Line::BareLineFeed]);
        let mut text = vec![b'a'; 3000];
        text.push(b'\n');
        assert_eq!(lines_of(&[&text]), [Line::BareLineFeed]);
    }
}
