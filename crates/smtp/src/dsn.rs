//! What a sender asks about reports on his message (RFC 3461).
//!
//! Each is kept as it was said and passed on to a primary that takes it: who gives a message on
//! without it makes reports that nobody wanted, or none where one is awaited.

pub(crate) mod xtext;

use core::{fmt, str::FromStr};

use crate::limits::{ENVID_MAX, ORCPT_MAX};

/// A value is not one that its parameter can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad value of a parameter of RFC 3461")]
pub struct ValueError;

/// What MAIL says about reports. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PerMessage {
    /// How much of the message a report of a failure returns.
    pub ret: Option<Ret>,
    /// What the sender calls the message in his own books.
    pub envid: Option<EnvelopeId>,
}

/// What RCPT says about reports. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PerRecipient {
    /// On what a report is to be sent.
    pub notify: Option<Notify>,
    /// Whom the sender had addressed before anyone on the way changed it.
    pub orcpt: Option<OriginalRecipient>,
}

/// How much of a message a report returns (RFC 3461 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

impl FromStr for Ret {
    type Err = ValueError;

    fn from_str(value: &str) -> Result<Self, ValueError> {
        if value.eq_ignore_ascii_case("FULL") {
            Ok(Self::Full)
        } else if value.eq_ignore_ascii_case("HDRS") {
            Ok(Self::Headers)
        } else {
            Err(ValueError)
        }
    }
}

/// On what a report about a recipient is to be sent (RFC 3461 section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Notify {
    /// On delivery.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}

impl Notify {
    /// On nothing.
    pub const NEVER: Self = Self {
        success: false,
        failure: false,
        delay: false,
    };
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("NEVER");
        }
        let events = [
            (self.success, "SUCCESS"),
            (self.failure, "FAILURE"),
            (self.delay, "DELAY"),
        ];
        let mut separator = "";
        for (_, event) in events.iter().filter(|(wanted, _)| *wanted) {
            write!(f, "{separator}{event}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl FromStr for Notify {
    type Err = ValueError;

    /// Reads `NEVER`, or events parted by commas, each at most once.
    fn from_str(value: &str) -> Result<Self, ValueError> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Ok(Self::NEVER);
        }
        let mut notify = Self::NEVER;
        for event in value.split(',') {
            let wanted = if event.eq_ignore_ascii_case("SUCCESS") {
                &mut notify.success
            } else if event.eq_ignore_ascii_case("FAILURE") {
                &mut notify.failure
            } else if event.eq_ignore_ascii_case("DELAY") {
                &mut notify.delay
            } else {
                return Err(ValueError);
            };
            if core::mem::replace(wanted, true) {
                return Err(ValueError);
            }
        }
        Ok(notify)
    }
}

/// What the sender calls a message: xtext, as it was received (RFC 3461 section 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// It as it was received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the xtext stands for, as a report tells it (RFC 3464 section 2.2.1): printable ASCII.
    #[must_use]
    pub fn decoded(&self) -> String {
        xtext::decoded(&self.0)
    }
}

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EnvelopeId {
    type Err = ValueError;

    fn from_str(value: &str) -> Result<Self, ValueError> {
        let sound = (1..=ENVID_MAX).contains(&value.len()) && xtext::is_printable(value);
        sound.then(|| Self(value.to_owned())).ok_or(ValueError)
    }
}

/// Whom the sender had addressed: a type, a semicolon and xtext, as they were received (RFC 3461
/// section 4.2). An address of the type `utf-8` may hold characters beyond ASCII as they are (RFC
/// 6533 section 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(String);

impl OriginalRecipient {
    /// It as it was received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type, and the address that its xtext stands for, as a report tells them (RFC 3464 section 2.3.1).
    #[must_use]
    pub fn decoded(&self) -> (&str, String) {
        let (kind, address) = self.0.split_once(';').unwrap_or(("unknown", &self.0));
        (kind, xtext::decoded(address))
    }

    /// Whether it goes without SMTPUTF8 (RFC 6533 section 3).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OriginalRecipient {
    type Err = ValueError;

    fn from_str(value: &str) -> Result<Self, ValueError> {
        let (kind, address) = value.split_once(';').ok_or(ValueError)?;
        let address_is_sound = if kind.eq_ignore_ascii_case("utf-8") {
            xtext::is_printable_beyond_ascii(address)
        } else {
            xtext::is_printable(address)
        };
        let sound = value.len() <= ORCPT_MAX
            && xtext::is_atom(kind)
            && !address.is_empty()
            && address_is_sound;
        sound.then(|| Self(value.to_owned())).ok_or(ValueError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same<T: FromStr + fmt::Display>(value: &str) -> bool {
        value
            .parse::<T>()
            .is_ok_and(|parsed| parsed.to_string() == value)
    }

    #[test]
    fn what_is_sound_is_kept_as_it_was_said() {
        for value in ["FULL", "HDRS"] {
            assert!(same::<Ret>(value), "{value}");
        }
        for value in ["NEVER", "SUCCESS", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"] {
            assert!(same::<Notify>(value), "{value}");
        }
        for value in ["QQ314159", "a+2Bb+3Dc", "<id@sender.example>", "a+20b"] {
            assert!(same::<EnvelopeId>(value), "{value}");
        }
        for value in [
            "rfc822;bob+2Bx@example.com",
            "X400;/c+3Dde/",
            "utf-8;\\x{E4}@example.com",
            "utf-8;\u{e4}@example.com",
        ] {
            assert!(same::<OriginalRecipient>(value), "{value}");
        }
        let any_case: Notify = "delay,Success".parse().unwrap();
        assert_eq!(any_case.to_string(), "SUCCESS,DELAY");
        assert_eq!("hdrs".parse(), Ok(Ret::Headers));
    }

    #[test]
    fn xtext_is_told_as_what_it_stands_for() {
        let id: EnvelopeId = "a+2Bb+3Dc+20d".parse().unwrap();
        assert_eq!(id.decoded(), "a+b=c d");
        for (value, kind, address) in [
            ("rfc822;bob+2Bx@example.com", "rfc822", "bob+x@example.com"),
            (
                "utf-8;\u{e4}+2B@example.com",
                "utf-8",
                "\u{e4}+@example.com",
            ),
        ] {
            let original: OriginalRecipient = value.parse().unwrap();
            assert_eq!(original.decoded(), (kind, address.to_owned()));
        }
        assert_eq!(xtext::decoded("+"), "+");
        assert_eq!(xtext::decoded("+\u{e4}+4"), "+\u{e4}+4");
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        for value in ["", "HEADERS", "FULL,HDRS"] {
            assert!(!same::<Ret>(value), "{value}");
        }
        for value in [
            "",
            "NEVER,SUCCESS",
            "SUCCESS,NEVER",
            "SUCCESS,SUCCESS",
            "SUCCESS,",
            "SUCCESS;DELAY",
            "ALWAYS",
        ] {
            assert!(!same::<Notify>(value), "{value}");
        }
        let long = "x".repeat(ENVID_MAX + 1);
        for value in [
            "", "a=b", "a+b", "a+2", "a+2b", "a+00", "a+E4", "\u{e4}", &long,
        ] {
            assert!(!same::<EnvelopeId>(value), "{value}");
        }
        let long = format!("rfc822;{}", "x".repeat(ORCPT_MAX));
        for value in [
            "",
            "bob@example.com",
            ";bob@example.com",
            "rfc822;",
            "rfc 822;bob@example.com",
            "rfc822;a=b@example.com",
            "rfc822;\u{e4}@example.com",
            "utf-8;a\u{85}@example.com",
            &long,
        ] {
            assert!(!same::<OriginalRecipient>(value), "{value}");
        }
    }
}
