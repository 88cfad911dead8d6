//! What was found out about a message's origin when it was accepted: SPF (RFC 7208), DKIM
//! (RFC 6376) and DMARC (RFC 9989, before it RFC 7489).

use core::fmt;

use smtp::ReversePath;

/// What SPF, DKIM and DMARC made of a message. It is evidence: nothing is refused by it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Authentication {
    /// SPF for the domain of the reverse-path; [`Finding::None`] with a null one.
    pub spf: Finding,
    /// SPF for the name that the client gave in EHLO or HELO.
    pub spf_helo: Finding,
    /// What became of each signature that was looked at, in the order of the header, no more than
    /// [`SIGNATURES_MAX`].
    pub dkim: Vec<Signature>,
    /// DMARC for the domain of the header field From.
    pub dmarc: Finding,
    /// That domain, in lower case; empty when there is none, or more than one.
    pub from_domain: String,
}

/// Signatures of one message that are looked at: more than honest mail has, and each costs a question
/// to the DNS.
pub const SIGNATURES_MAX: usize = 8;

/// What became of one DKIM signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The domain that signed, in lower case; empty when that could not be read.
    pub domain: String,
    /// Whether it did.
    pub finding: Finding,
}

/// A result of one of these methods, as RFC 8601 section 2.7 names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Finding {
    /// There is nothing to go by: no record, no signature.
    #[default]
    None,
    /// It is from there.
    Pass,
    /// It is not.
    Fail,
    /// It is not, as its domain believes (SPF).
    SoftFail,
    /// The domain says neither (SPF), or the signature could not be made sense of (DKIM).
    Neutral,
    /// The signature is of a kind that proves nothing (DKIM).
    Policy,
    /// It could not be found out this time.
    TempError,
    /// It can never be found out: what is published is wrong, or the message is.
    PermError,
}

impl Finding {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Pass,
        Self::Fail,
        Self::SoftFail,
        Self::Neutral,
        Self::Policy,
        Self::TempError,
        Self::PermError,
    ];

    /// The word of RFC 8601 for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Authentication {
    /// Whether the domain of a reverse-path is known to have sent the message: by SPF, or by a signature
    /// of that domain or of one above it. A bounce to it reaches who sent the message, and nobody
    /// whose address was forged. Never with a null reverse-path.
    ///
    /// The signature of a domain below proves nothing: who may sign for `lists.example.com` need not
    /// speak for `example.com`.
    #[must_use]
    pub fn proves(&self, reverse_path: &ReversePath) -> bool {
        let ReversePath::Mailbox(mailbox) = reverse_path else {
            return false;
        };
        let has_signed = |signature: &Signature| {
            signature.finding == Finding::Pass && is_in(&mailbox.domain, &signature.domain)
        };
        self.spf == Finding::Pass || self.dkim.iter().any(has_signed)
    }

    /// One word for the signatures together: the best that became of any.
    #[must_use]
    pub fn dkim_finding(&self) -> Finding {
        let order = |finding: Finding| match finding {
            Finding::Pass => 0,
            Finding::TempError => 1,
            Finding::Fail | Finding::SoftFail => 2,
            Finding::PermError => 3,
            Finding::Policy => 4,
            Finding::Neutral => 5,
            Finding::None => 6,
        };
        let findings = self.dkim.iter().map(|signature| signature.finding);
        findings
            .min_by_key(|finding| order(*finding))
            .unwrap_or_default()
    }

    /// About how many octets it takes, and no fewer than encoded.
    pub(crate) fn octets(&self) -> usize {
        const EACH: usize = 64;
        let signatures = self
            .dkim
            .iter()
            .map(|signature| EACH + signature.domain.len());
        EACH + self.from_domain.len() + signatures.sum::<usize>()
    }
}

/// The results in one short line, for the log.
impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spf, dkim, dmarc) = (self.spf, self.dkim_finding(), self.dmarc);
        write!(f, "spf={spf} dkim={dkim} dmarc={dmarc}")
    }
}

/// Whether a domain is another one or below it.
fn is_in(domain: &str, above: &str) -> bool {
    let (domain, above) = (domain.as_bytes(), above.as_bytes());
    let Some(start) = domain.len().checked_sub(above.len()) else {
        return false;
    };
    let (front, end) = domain.split_at(start);
    !above.is_empty()
        && end.eq_ignore_ascii_case(above)
        && (front.is_empty() || front.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> ReversePath {
        ReversePath::Mailbox(address.parse().unwrap())
    }

    fn signed(domain: &str, finding: Finding) -> Authentication {
        Authentication {
            dkim: vec![Signature {
                domain: domain.into(),
                finding,
            }],
            ..Authentication::default()
        }
    }

    #[test]
    fn spf_proves_the_reverse_path_and_helo_does_not() {
        let path = from("a@sender.example");
        let spf = |spf, spf_helo| Authentication {
            spf,
            spf_helo,
            ..Authentication::default()
        };
        assert!(spf(Finding::Pass, Finding::Fail).proves(&path));
        assert!(!spf(Finding::None, Finding::Pass).proves(&path));
        assert!(!spf(Finding::SoftFail, Finding::None).proves(&path));
        assert!(!spf(Finding::Pass, Finding::Pass).proves(&ReversePath::Null));
    }

    #[test]
    fn a_signature_proves_its_domain_and_those_below() {
        for (address, domain, finding, proves) in [
            ("a@sender.example", "sender.example", Finding::Pass, true),
            (
                "a@Bounce.Sender.Example",
                "sender.example",
                Finding::Pass,
                true,
            ),
            (
                "a@sender.example",
                "lists.sender.example",
                Finding::Pass,
                false,
            ),
            ("a@sender.example", "der.example", Finding::Pass, false),
            ("a@sender.example", "", Finding::Pass, false),
            ("a@sender.example", "sender.example", Finding::Fail, false),
            ("a@sender.example", "other.example", Finding::Pass, false),
        ] {
            let authentication = signed(domain, finding);
            assert_eq!(
                authentication.proves(&from(address)),
                proves,
                "{address} {domain}"
            );
            assert!(!authentication.proves(&ReversePath::Null));
        }
    }

    #[test]
    fn the_line_for_the_log_tells_the_best_of_the_signatures() {
        let mut authentication = signed("a.example", Finding::Fail);
        authentication.spf = Finding::SoftFail;
        let second = signed("b.example", Finding::Pass);
        authentication.dkim.extend(second.dkim);
        assert_eq!(
            authentication.to_string(),
            "spf=softfail dkim=pass dmarc=none"
        );
        let nothing = Authentication::default();
        assert_eq!(nothing.to_string(), "spf=none dkim=none dmarc=none");
    }
}
