//! What a server answers: code, enhanced code, text (RFC 5321 section 4.2, RFC 3463).

mod parser;

use core::fmt::{self, Write as _};

use bytes::BytesMut;

pub use parser::{Parser, REPLY_LINE_MAX, REPLY_MAX, ReplyError};

/// An enhanced status code, for example `5.7.1` (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedCode {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// What it is about: 1 addressing, 2 mailbox, 3 mail system, ...
    pub subject: u16,
    /// The precise condition within the subject.
    pub detail: u16,
}

impl EnhancedCode {
    /// Names a code by its three numbers.
    #[must_use]
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self {
            class,
            subject,
            detail,
        }
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// One reply, of one line or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three-digit code, 200 to 599.
    pub code: u16,
    /// The enhanced code; greetings and EHLO replies have none.
    pub enhanced: Option<EnhancedCode>,
    /// The text of each line, without codes and line ends; at least one, which may be empty.
    pub lines: Vec<String>,
}

impl Reply {
    /// A one-line reply with an enhanced code.
    #[must_use]
    pub fn new(code: u16, enhanced: EnhancedCode, text: impl Into<String>) -> Self {
        Self {
            code,
            enhanced: Some(enhanced),
            lines: vec![text.into()],
        }
    }

    /// A one-line reply without an enhanced code: greetings, HELO, 354.
    #[must_use]
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self {
            code,
            enhanced: None,
            lines: vec![text.into()],
        }
    }

    /// Appends the reply as it goes over the wire, every line with its code and CRLF.
    pub fn write_to(&self, wire: &mut BytesMut) {
        let last = self.lines.len().saturating_sub(1);
        for (number, line) in self.lines.iter().enumerate() {
            let separator = if number == last { ' ' } else { '-' };
            let written = match self.enhanced {
                Some(enhanced) => write!(wire, "{}{separator}{enhanced} {line}\r\n", self.code),
                None => write!(wire, "{}{separator}{line}\r\n", self.code),
            };
            written.expect("a buffer that grows takes everything");
        }
    }

    /// Whether the command was done (2xx).
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether the same may succeed later (4xx).
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// Whether the same will never succeed (5xx).
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for Reply {
    /// All lines in one, as logs and operators read it: `550 5.1.1 no such user`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in &self.lines {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_carries_the_codes_and_only_the_last_one_a_space() {
        let mut wire = BytesMut::new();
        let mut reply = Reply::new(250, EnhancedCode::new(2, 0, 0), "one");
        reply.lines.push("two".into());
        reply.write_to(&mut wire);
        Reply::plain(354, "go on").write_to(&mut wire);
        assert_eq!(wire, "250-2.0.0 one\r\n250 2.0.0 two\r\n354 go on\r\n");
    }
}
