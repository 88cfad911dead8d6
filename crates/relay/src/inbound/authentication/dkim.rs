//! Whether those have signed the message who are said to have (RFC 6376).

use core::mem;

use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DnsError, Error, MessageAuthenticator,
    common::crypto::{Algorithm, HashAlgorithm},
    dkim::{DkimError, Signature},
};
use spool::{Finding, authentication::SIGNATURES_MAX};
use tokio::time::{Instant, timeout_at};

use super::{
    evidence::{Gathered, Unreadable},
    findings::{Checked, Dmarc, plain_domain},
};
use crate::inbound::limits::{FIELDS_SIGNED_MAX, HEADER_FIELDS_MAX};

/// A message's header, ready to be judged.
pub(super) struct Header<'x> {
    pub(super) message: AuthenticatedMessage<'x>,
    /// Signatures that are not worth a question to the DNS.
    refused: Vec<Checked>,
}

impl Unreadable {
    /// What is told of it in place of signatures.
    pub(super) fn checked(self) -> Vec<Checked> {
        let (finding, reason) = match self {
            Self::Empty => return Vec::new(),
            Self::Malformed => (Finding::PermError, "malformed header"),
            Self::TooLong => (Finding::PermError, "header too long"),
            Self::NoRoom => (Finding::TempError, "no room for a long header"),
        };
        vec![refused(finding, reason)]
    }

    /// What DMARC makes of it, which does not know whom it is said to be from.
    pub(super) fn dmarc(self) -> Dmarc {
        Dmarc {
            finding: match self {
                Self::Empty => Finding::None,
                Self::Malformed | Self::TooLong => Finding::PermError,
                Self::NoRoom => Finding::TempError,
            },
            ..Dmarc::default()
        }
    }
}

impl<'x> Header<'x> {
    /// Reads what was gathered. Whoever reads the message behind us may see a header that ends elsewhere
    /// only where it is malformed, and then a signature would vouch for what it does not cover.
    pub(super) fn read(gathered: &'x Gathered) -> Result<Self, Unreadable> {
        let header = gathered.header.as_ref().map_err(|lost| *lost)?;
        let mut message = AuthenticatedMessage::parse(header).ok_or(Unreadable::Empty)?;
        if message.body_offset() != header.len() {
            return Err(Unreadable::Malformed);
        }
        if message.headers.len() > HEADER_FIELDS_MAX {
            return Err(Unreadable::TooLong);
        }
        let refused = refuse(&mut message);
        for (form, algorithm, _, hash) in &mut message.body_hashes {
            let body = gathered.bodies.iter().find(|(known, _)| known == form);
            if let (Some((_, body)), HashAlgorithm::Sha256) = (body, *algorithm) {
                *hash = body.as_ref().to_vec();
            }
        }
        Ok(Self { message, refused })
    }

    /// Asks the DNS for the keys and tries them.
    pub(super) async fn verify(
        &self,
        authenticator: &MessageAuthenticator,
        deadline: Instant,
    ) -> Vec<DkimOutput<'_>> {
        if self.message.dkim_headers.is_empty() {
            return Vec::new();
        }
        let verifying = authenticator.verify_dkim(&self.message);
        match timeout_at(deadline, verifying).await {
            Ok(outputs) => outputs,
            Err(_) => {
                let signatures = self.message.dkim_headers.iter();
                signatures.map(|it| unanswered(&it.header)).collect()
            }
        }
    }

    /// What became of every signature.
    pub(super) fn checked(&self, outputs: &[DkimOutput<'_>]) -> Vec<Checked> {
        let refused = self.refused.iter().cloned();
        outputs
            .iter()
            .map(checked)
            .chain(refused)
            .take(SIGNATURES_MAX)
            .collect()
    }
}

/// Takes out what is not to be verified.
fn refuse(message: &mut AuthenticatedMessage<'_>) -> Vec<Checked> {
    let mut refused_ones: Vec<Checked> = Vec::new();
    for field in mem::take(&mut message.errors) {
        if field
            .name
            .trim_ascii()
            .eq_ignore_ascii_case(b"DKIM-Signature")
        {
            refused_ones.push(match field.header {
                Error::Dkim(DkimError::SignatureLength) => {
                    refused(Finding::Policy, "only a part of the body is signed")
                }
                _ => refused(Finding::Neutral, "signature not understood"),
            });
        }
    }
    message.dkim_headers.retain_mut(|field| {
        let signature = &mut field.header;
        // Neither reports to the signer nor signatures by others for it (RFC 6651, RFC 6541) are wanted.
        signature.r = false;
        signature.atps = None;
        let objection = objection(signature);
        refused_ones.extend(objection.map(|(finding, reason)| Checked {
            finding,
            reason: Some(reason),
            domain: plain_domain(&signature.d).unwrap_or_default(),
            selector: signature.s.clone(),
        }));
        objection.is_none()
    });
    message.dkim_headers.truncate(SIGNATURES_MAX);
    refused_ones.truncate(SIGNATURES_MAX);
    refused_ones
}

fn objection(signature: &Signature) -> Option<(Finding, &'static str)> {
    if signature.a == Algorithm::RsaSha1 {
        // RFC 8301 section 3.1.
        return Some((Finding::Policy, "rsa-sha1 proves nothing"));
    }
    let is_from = |name: &String| name.eq_ignore_ascii_case("from");
    if !signature.h.iter().any(is_from) {
        // RFC 6376 section 6.1.1.
        return Some((Finding::PermError, "From is not signed"));
    }
    if signature.h.len() > FIELDS_SIGNED_MAX {
        return Some((Finding::PermError, "too many fields are named"));
    }
    None
}

fn refused(finding: Finding, reason: &'static str) -> Checked {
    Checked {
        finding,
        reason: Some(reason),
        ..Checked::default()
    }
}

fn unanswered(signature: &Signature) -> DkimOutput<'_> {
    let error = Error::Dns(DnsError::Resolver(String::new()));
    DkimOutput::temp_err(error).with_signature(signature)
}

fn checked(output: &DkimOutput<'_>) -> Checked {
    let (finding, reason) = match output.result() {
        DkimResult::Pass => (Finding::Pass, None),
        DkimResult::None => (Finding::None, None),
        DkimResult::TempError(_) => (Finding::TempError, Some("no answer from the DNS")),
        // The library is milder with these than RFC 6376 section 6.1.
        DkimResult::Neutral(Error::Dkim(DkimError::FailedBodyHashMatch)) => {
            (Finding::Fail, Some("the body was changed"))
        }
        DkimResult::Neutral(Error::Dkim(DkimError::SignatureExpired)) => {
            (Finding::Fail, Some("the signature has expired"))
        }
        DkimResult::Neutral(_) => (Finding::Neutral, Some("signature not understood")),
        DkimResult::Fail(_) => (Finding::Fail, Some("the signature does not match")),
        DkimResult::PermError(Error::Dns(_)) => (Finding::PermError, Some("no such key")),
        DkimResult::PermError(_) => (Finding::PermError, Some("the key is of no use")),
    };
    let signature = output.signature();
    Checked {
        finding,
        reason,
        domain: signature
            .and_then(|signature| plain_domain(&signature.d))
            .unwrap_or_default(),
        selector: signature.map_or_else(String::new, |signature| signature.s.clone()),
    }
}
