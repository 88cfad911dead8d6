//! The service extensions that an EHLO reply names (RFC 5321 section 2.2).

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
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
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
            named(self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            named(self.starttls, "STARTTLS"),
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
}
