//! Messages to send: real enough to hurt, numbered so that each is known again.

use std::fmt::Write;

/// The header field that carries a letter's number.
const SERIAL: &str = "X-Serial: ";

/// One message and its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number, unique in a test.
    pub serial: usize,
    /// The reverse-path, without angle brackets.
    pub from: String,
    /// The forward-paths.
    pub to: Vec<String>,
    /// The octets after DATA, un-stuffed, each line ended by CRLF.
    pub body: Vec<u8>,
}

impl Letter {
    /// A message of about `size` octets.
    #[must_use]
    pub fn new(serial: usize, to: &str, size: usize) -> Self {
        Self::of(serial, &[to], size, Text::Plain)
    }

    /// A message of about `size` octets of the given kind.
    #[must_use]
    pub fn of(serial: usize, to: &[&str], size: usize, text: Text) -> Self {
        let mut head = String::new();
        let list = to.join(", ");
        write!(
            head,
            "From: sender{serial}@sender.test\r\nTo: {list}\r\nSubject: letter {serial}\r\n\
             Message-ID: <{serial}@sender.test>\r\n{SERIAL}{serial}\r\n"
        )
        .expect("strings grow");
        if text == Text::EightBit {
            head.push_str(
                "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Transfer-Encoding: 8bit\r\n",
            );
        }
        head.push_str("\r\n");
        let mut body = head.into_bytes();
        let mut line = 0_usize;
        while body.len() < size {
            body.extend_from_slice(&text.line(serial, line));
            line += 1;
        }
        Self {
            serial,
            from: format!("sender{serial}@sender.test"),
            to: to.iter().map(|&to| to.to_owned()).collect(),
            body,
        }
    }

    /// Whether the body has octets beyond ASCII.
    #[must_use]
    pub fn is_eight_bit(&self) -> bool {
        !self.body.is_ascii()
    }
}

/// What the lines of a message look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// ASCII.
    Plain,
    /// Octets beyond ASCII, not all of them UTF-8.
    EightBit,
    /// Lines that begin with dots, among them lines of nothing but dots.
    Dots,
}

impl Text {
    fn line(self, serial: usize, line: usize) -> Vec<u8> {
        let mut text = match (self, line % 4) {
            (Self::Dots, 0) => b".".to_vec(),
            (Self::Dots, 1) => b"..".to_vec(),
            (Self::Dots, 2) => format!(".{line} leads with a dot").into_bytes(),
            (Self::EightBit, 0) => vec![0xff, 0xfe, 0x80, b' ', 0xc3, 0xa4],
            (Self::EightBit, _) => {
                format!("Zeile {line} des Briefs {serial}: Grüße über Köln").into_bytes()
            }
            _ => format!(
                "Line {line} of letter {serial}, filled up to be about as long as lines are."
            )
            .into_bytes(),
        };
        text.extend_from_slice(b"\r\n");
        text
    }
}

/// The number in a message's header.
#[must_use]
pub fn serial(body: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(body, SERIAL.as_bytes())?;
    let rest = body.get(at + SERIAL.len()..)?;
    let end = memchr::memchr(b'\r', rest)?;
    str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// What nodes put in front of a message.
const TRACE_FIELDS: [&[u8]; 2] = [b"received:", b"authentication-results:"];

/// What was sent, out of what arrived: the trace fields in front are taken off.
#[must_use]
pub fn without_trace(body: &[u8]) -> &[u8] {
    let is_trace = |rest: &[u8]| {
        TRACE_FIELDS.iter().any(|name| {
            rest.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
    };
    let mut rest = body;
    while is_trace(rest) {
        rest = after_field(rest);
    }
    rest
}

/// What follows the first header field, its continuation lines included.
#[must_use]
pub fn after_field(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        rest = rest.get(end + 1..).unwrap_or_default();
        if !rest.starts_with(b" ") && !rest.starts_with(b"\t") {
            return rest;
        }
    }
    b""
}

#[cfg(test)]
mod tests {
    use super::{Letter, Text, serial, without_trace};

    #[test]
    fn a_letter_is_known_again_behind_folded_trace_fields() {
        let letter = Letter::of(42, &["a@example.com"], 500, Text::Dots);
        let mut arrived = b"Received: from a\r\n\tby b; now\r\nReceived: x\r\n".to_vec();
        arrived.extend_from_slice(&letter.body);
        assert_eq!(without_trace(&arrived), letter.body);
        assert_eq!(serial(&arrived), Some(42));
    }
}
