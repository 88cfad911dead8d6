//! Reads a server's replies out of a stream of octets, however it is cut (RFC 5321 section 4.2).

use memchr::memchr;

use crate::{EnhancedCode, Reply};

/// Octets of one line with its end. RFC 5321 section 4.5.3.1.5 allows 512; servers that quote
/// long texts go beyond, and nobody needs four times as much.
pub const REPLY_LINE_MAX: usize = 2048;

/// Octets of one whole reply. The longest honest ones, replies to EHLO, stay under 2 KiB; a
/// server that never ends its reply must not fill our memory.
pub const REPLY_MAX: usize = 16 * 1024;

/// Why octets are not a reply. After any of these the stream cannot be trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with a code of 200 to 599 and a space, a hyphen or its end.
    #[error("the server sent a line that is no SMTP reply")]
    Malformed,
    /// The lines of one reply carry different codes.
    #[error("the server changed the code within one reply")]
    MixedCodes,
    /// A line is longer than [`REPLY_LINE_MAX`].
    #[error("the server sent a reply line of more than {REPLY_LINE_MAX} octets")]
    LineTooLong,
    /// All lines together are longer than [`REPLY_MAX`].
    #[error("the server sent a reply of more than {REPLY_MAX} octets")]
    TooLong,
}

/// Gathers octets until a reply is whole.
///
/// Lines may end in a bare LF, as some servers send them; nothing else is forgiven.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    /// The line under way, when it came in more than one part.
    partial: Vec<u8>,
    /// Octets of the reply so far, the line under way not counted.
    octets: usize,
    /// What earlier lines of the reply said.
    begun: Option<Reply>,
}

impl Parser {
    /// Reads octets up to the end of a reply. Returns how many were used, and the reply when it
    /// is whole; without one, all of them were used.
    ///
    /// # Errors
    /// Why this is not a reply. The parser must not be used further.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            let Some(end) = memchr(b'\n', rest) else {
                self.keep(rest)?;
                return Ok((bytes.len(), None));
            };
            let (line, _) = rest.split_at(end + 1);
            used += line.len();
            let reply = if self.partial.is_empty() {
                self.line(line)?
            } else {
                self.keep(line)?;
                let whole = core::mem::take(&mut self.partial);
                self.line(&whole)?
            };
            if reply.is_some() {
                return Ok((used, reply));
            }
        }
    }

    /// Whether octets of an unfinished reply are held.
    #[must_use]
    pub const fn is_mid_reply(&self) -> bool {
        !self.partial.is_empty() || self.begun.is_some()
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), ReplyError> {
        if self.partial.len() + part.len() > REPLY_LINE_MAX {
            return Err(ReplyError::LineTooLong);
        }
        self.partial.extend_from_slice(part);
        Ok(())
    }

    /// Takes one line with its end. Returns the reply when this was its last line.
    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        if line.len() > REPLY_LINE_MAX {
            return Err(ReplyError::LineTooLong);
        }
        self.octets += line.len();
        if self.octets > REPLY_MAX {
            return Err(ReplyError::TooLong);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (code, last, text) = parse_line(line)?;
        match &mut self.begun {
            None => {
                let (enhanced, text) = split_enhanced(code, text);
                self.begun = Some(Reply {
                    code,
                    enhanced,
                    lines: vec![readable(text)],
                });
            }
            Some(reply) if reply.code != code => return Err(ReplyError::MixedCodes),
            Some(reply) => {
                // RFC 2034 section 4: every line repeats the code; one that does not is all text.
                let text = match split_enhanced(code, text) {
                    (Some(enhanced), rest) if reply.enhanced == Some(enhanced) => rest,
                    _ => text,
                };
                reply.lines.push(readable(text));
            }
        }
        if !last {
            return Ok(None);
        }
        self.octets = 0;
        Ok(self.begun.take())
    }
}

/// Code, whether the line is the reply's last, and its text.
fn parse_line(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyError> {
    if memchr(b'\r', line).is_some() {
        return Err(ReplyError::Malformed);
    }
    let (digits, rest) = line.split_at_checked(3).ok_or(ReplyError::Malformed)?;
    let mut code = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(ReplyError::Malformed);
        }
        code = code * 10 + u16::from(digit - b'0');
    }
    if !(200..600).contains(&code) {
        return Err(ReplyError::Malformed);
    }
    match rest.split_first() {
        None => Ok((code, true, rest)),
        Some((b' ', text)) => Ok((code, true, text)),
        Some((b'-', text)) => Ok((code, false, text)),
        Some(_) => Err(ReplyError::Malformed),
    }
}

/// The enhanced code in front of a text, when there is one and its class is the code's own
/// (RFC 2034 section 4); otherwise the numbers are part of the text.
fn split_enhanced(code: u16, text: &[u8]) -> (Option<EnhancedCode>, &[u8]) {
    let end = memchr(b' ', text).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let mut numbers = word.split(|octet| *octet == b'.').map(number);
    let parts = (
        numbers.next(),
        numbers.next(),
        numbers.next(),
        numbers.next(),
    );
    let (Some(Some(class)), Some(Some(subject)), Some(Some(detail)), None) = parts else {
        return (None, text);
    };
    match u8::try_from(class) {
        Ok(class) if u16::from(class) == code / 100 => {
            let rest = rest.strip_prefix(b" ").unwrap_or(rest);
            (Some(EnhancedCode::new(class, subject, detail)), rest)
        }
        _ => (None, text),
    }
}

/// One to three digits (RFC 3463 section 2).
fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')),
    )
}

/// The text as it may stand in logs, terminals and pages: UTF-8 and no control characters.
fn readable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if text.chars().any(char::is_control) {
        return text
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
    }
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Vec<Reply>, ReplyError> {
        let mut parser = Parser::default();
        let (mut replies, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let (used, reply) = parser.advance(&bytes[at..])?;
            replies.extend(reply);
            at += used;
        }
        Ok(replies)
    }

    #[test]
    fn a_reply_of_several_lines_is_one_reply() {
        let replies = parse(b"250-mx.test\r\n250-SIZE 10\r\n250 PIPELINING\r\n").unwrap();
        assert_eq!(replies.len(), 1);
        assert_eq!(replies[0].lines, ["mx.test", "SIZE 10", "PIPELINING"]);
    }

    #[test]
    fn the_enhanced_code_is_taken_from_every_line() {
        let replies = parse(b"550-5.1.1 no such\r\n550 5.1.1 user\r\n").unwrap();
        assert_eq!(replies[0].enhanced, Some(EnhancedCode::new(5, 1, 1)));
        assert_eq!(replies[0].lines, ["no such", "user"]);
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_text() {
        let replies = parse(b"550 2.1.1 odd\r\n250 2.0.0.1 host\r\n250 2.0000.1\r\n").unwrap();
        assert!(replies.iter().all(|reply| reply.enhanced.is_none()));
        assert_eq!(replies[0].lines, ["2.1.1 odd"]);
    }

    #[test]
    fn a_code_alone_is_a_reply() {
        assert_eq!(parse(b"250\r\n").unwrap()[0].lines, [""]);
        assert_eq!(
            parse(b"250 2.0.0\r\n").unwrap()[0].to_string(),
            "250 2.0.0 "
        );
    }

    #[test]
    fn bare_line_feeds_are_forgiven_and_nothing_else_is() {
        assert_eq!(parse(b"250-a\n250 b\n").unwrap().len(), 1);
        for bad in [
            "hello\r\n",
            "25\r\n",
            "250_x\r\n",
            "199 x\r\n",
            "600 x\r\n",
            "\r\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(ReplyError::Malformed), "{bad:?}");
        }
        assert_eq!(parse(b"250 a\rb\r\n"), Err(ReplyError::Malformed));
        assert_eq!(parse(b"250-a\r\n251 b\r\n"), Err(ReplyError::MixedCodes));
    }

    #[test]
    fn control_characters_do_not_reach_the_logs() {
        assert_eq!(
            parse(b"250 a\x1b[2Jb\0\xff\r\n").unwrap()[0].lines,
            ["a?[2Jb?\u{fffd}"]
        );
    }

    #[test]
    fn giants_are_refused_before_they_are_stored() {
        let line = vec![b'2'; REPLY_LINE_MAX + 1];
        assert_eq!(parse(&line), Err(ReplyError::LineTooLong));
        let endless = b"250-x\r\n".repeat(REPLY_MAX / 7 + 1);
        assert_eq!(parse(&endless), Err(ReplyError::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn any_split_reads_the_same(
            bytes in proptest::collection::vec(proptest::sample::select(b"25 -.\r\nx".to_vec()), 0..60),
            cut in 0usize..60,
        ) {
            let whole = parse(&bytes);
            let mut parser = Parser::default();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut replies = Vec::new();
            let mut failed = None;
            for mut part in [head, tail] {
                while !part.is_empty() && failed.is_none() {
                    match parser.advance(part) {
                        Ok((used, reply)) => { replies.extend(reply); part = &part[used..]; }
                        Err(error) => failed = Some(error),
                    }
                }
            }
            proptest::prop_assert_eq!(whole, failed.map_or(Ok(replies), Err));
        }
    }
}
