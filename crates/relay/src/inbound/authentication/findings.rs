//! What was found out about one message, with what is told of it.

use mail_auth::{SpfOutput, SpfResult, common::to_a_label};
use smtp::ReversePath;
use spool::{
    Authentication, Finding,
    authentication::{SIGNATURES_MAX, Signature},
};

/// What SPF, DKIM and DMARC made of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) spf: Finding,
    pub(super) spf_helo: Finding,
    /// No more than [`SIGNATURES_MAX`].
    pub(super) dkim: Vec<Checked>,
    pub(super) dmarc: Dmarc,
}

/// What became of one signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) finding: Finding,
    /// Why it is not [`Finding::Pass`], in words of our own.
    pub(super) reason: Option<&'static str>,
    /// Who signed, and with which of its keys; empty when that could not be read.
    pub(super) domain: String,
    pub(super) selector: String,
}

/// What DMARC makes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dmarc {
    pub(super) finding: Finding,
    /// Of the header field From; empty when there is none, or more than one.
    pub(super) domain: String,
    /// What the domain wants done with what fails: `none`, `quarantine` or `reject`.
    pub(super) policy: Option<&'static str>,
}

impl Findings {
    /// Whether the DNS left something open.
    pub(super) fn lack_an_answer(&self) -> bool {
        let dkim = self.dkim.iter().map(|checked| checked.finding);
        let mut all = [self.spf, self.spf_helo, self.dmarc.finding]
            .into_iter()
            .chain(dkim);
        all.any(|finding| finding == Finding::TempError)
    }

    /// Whether there is nothing to tell of a message from there: nothing is published, and nothing signed.
    pub(super) fn are_none(&self, sender: &ReversePath) -> bool {
        let spf = match sender {
            ReversePath::Mailbox(_) => self.spf,
            ReversePath::Null => self.spf_helo,
        };
        self.dkim.is_empty() && spf == Finding::None && self.dmarc.finding == Finding::None
    }

    /// What is kept of them.
    pub(super) fn authentication(&self) -> Authentication {
        let signature = |checked: &Checked| Signature {
            domain: checked.domain.clone(),
            finding: checked.finding,
        };
        let dkim = self.dkim.iter().take(SIGNATURES_MAX);
        Authentication {
            spf: self.spf,
            spf_helo: self.spf_helo,
            dkim: dkim.map(signature).collect(),
            dmarc: self.dmarc.finding,
            from_domain: self.dmarc.domain.clone(),
        }
    }
}

/// The octets of a domain name at most (RFC 1035 section 2.3.4).
const DOMAIN_MAX: usize = 253;

/// A domain, or a selector, as it may stand in a header field and in the spool: lower case, letters,
/// digits, hyphens, underscores and dots, and not too long. `None` for anything else: there is no such
/// domain.
pub(super) fn plain_domain(text: &str) -> Option<String> {
    let name = to_a_label(text);
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let is_sound = !name.is_empty() && name.len() <= DOMAIN_MAX && name.bytes().all(is_plain);
    is_sound.then(|| name.to_ascii_lowercase())
}

pub(super) fn of_spf(output: &SpfOutput) -> Finding {
    match output.result() {
        SpfResult::Pass => Finding::Pass,
        SpfResult::Fail => Finding::Fail,
        SpfResult::SoftFail => Finding::SoftFail,
        SpfResult::Neutral => Finding::Neutral,
        SpfResult::TempError => Finding::TempError,
        SpfResult::PermError => Finding::PermError,
        SpfResult::None => Finding::None,
    }
}
