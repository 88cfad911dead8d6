//! The service extensions that an EHLO reply names (RFC 5321 section 2.2).

use std::collections::BTreeSet;

/// Which extensions one side offers. A server's session advertises from it; a client's session
/// reads it out of the reply to EHLO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// SIZE (RFC 1870): `None` when not offered, `Some(0)` when offered without a limit, else the
    /// largest message in octets.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// ETRN (RFC 1985).
    pub etrn: bool,
    /// LIMITS (RFC 9422); not offered when none is known.
    pub limits: Limits,
    /// XCLIENT, with what it may say of a client; empty when it is not offered, as our own server never
    /// does.
    pub xclient: Attributes,
    /// XFORWARD; the same.
    pub xforward: Attributes,
}

/// What XCLIENT or XFORWARD may say of a client.
pub type Attributes = BTreeSet<Attribute>;

/// One thing that they say of him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// NAME: the name of his host.
    Name,
    /// ADDR: its address.
    Address,
    /// PORT: the port of his end of the connection.
    Port,
    /// PROTO: SMTP or ESMTP.
    Protocol,
    /// HELO: what he said there.
    Helo,
    /// IDENT: what the message is called where he brought it.
    Ident,
    /// SOURCE: whether he brought it from elsewhere.
    Source,
}

impl Attribute {
    /// All of them, in the order in which they are said.
    pub const ALL: [Self; 7] = [
        Self::Name,
        Self::Address,
        Self::Port,
        Self::Protocol,
        Self::Helo,
        Self::Ident,
        Self::Source,
    ];

    /// How it is written.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Address => "ADDR",
            Self::Port => "PORT",
            Self::Protocol => "PROTO",
            Self::Helo => "HELO",
            Self::Ident => "IDENT",
            Self::Source => "SOURCE",
        }
    }
}

/// How much a server takes of anything, as far as it says so (RFC 9422 section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// MAILMAX: messages in one session.
    pub messages: Option<u64>,
    /// RCPTMAX: recipients of one message.
    pub recipients: Option<u64>,
    /// RCPTDOMAINMAX: domains among the recipients of one message.
    pub recipient_domains: Option<u64>,
}

impl Limits {
    /// The line of an EHLO reply that names them; `None` when there are none.
    fn keyword(self) -> Option<String> {
        let limits = [
            ("MAILMAX", self.messages),
            ("RCPTMAX", self.recipients),
            ("RCPTDOMAINMAX", self.recipient_domains),
        ];
        let words: String = limits
            .into_iter()
            .filter_map(|(name, limit)| Some(format!(" {name}={}", limit?)))
            .collect();
        (!words.is_empty()).then(|| format!("LIMITS{words}"))
    }
}

impl Extensions {
    /// The lines of an EHLO reply that name them.
    #[must_use]
    pub fn keywords(&self) -> Vec<String> {
        let named = |offered: bool, name: &str| offered.then(|| name.to_owned());
        let size = self.size.map(|octets| match octets {
            0 => "SIZE".to_owned(),
            _ => format!("SIZE {octets}"),
        });
        [
            named(self.pipelining, "PIPELINING"),
            size,
            named(self.eight_bit_mime, "8BITMIME"),
            named(self.smtputf8, "SMTPUTF8"),
            named(self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            named(self.chunking, "CHUNKING"),
            named(self.binary_mime, "BINARYMIME"),
            named(self.dsn, "DSN"),
            named(self.starttls, "STARTTLS"),
            named(self.etrn, "ETRN"),
            self.limits.keyword(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_offered_is_named() {
        assert!(Extensions::default().keywords().is_empty());
        let some = Extensions {
            pipelining: true,
            size: Some(0),
            ..Extensions::default()
        };
        assert_eq!(some.keywords(), ["PIPELINING", "SIZE"]);
        let sized = Extensions {
            size: Some(1000),
            starttls: true,
            ..Extensions::default()
        };
        assert_eq!(sized.keywords(), ["SIZE 1000", "STARTTLS"]);
    }

    #[test]
    fn limits_are_named_as_far_as_there_are_any() {
        let limits = Limits {
            messages: Some(20),
            recipients: Some(1000),
            recipient_domains: None,
        };
        let limited = Extensions {
            limits,
            ..Extensions::default()
        };
        assert_eq!(limited.keywords(), ["LIMITS MAILMAX=20 RCPTMAX=1000"]);
    }
}
