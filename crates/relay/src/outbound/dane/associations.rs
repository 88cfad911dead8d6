//! TLSA records, and the certificates that fit them (RFC 6698 section 2.1, RFC 7672 section 3.1).

use core::fmt;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use sha2::{Digest as _, Sha256, Sha512};
use webpki::EndEntityCert;

use crate::dns::Tlsa;

/// The records of a host that are of use, one at least, and the names that it may go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Associations {
    /// The name that they were found at: what the host is called in the handshake.
    base: ServerName<'static>,
    /// That, and the others which lead to it.
    names: Vec<ServerName<'static>>,
    records: Vec<Association>,
}

/// One record that is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Association {
    usage: Usage,
    selector: Selector,
    matching: Matching,
    data: Vec<u8>,
}

/// Whose certificate it is. The usages 0 and 1 ask for a public authority on top, which says nothing of mail
/// servers; they are of no use here (RFC 7672 section 3.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    /// DANE-TA(2): of an authority that has issued the host's.
    Authority,
    /// DANE-EE(3): the host's own.
    Host,
}

/// What of it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selector {
    Whole,
    PublicKey,
}

/// With what it is compared, the stronger digest behind the weaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Matching {
    Itself,
    Sha256,
    Sha512,
}

impl Associations {
    /// Those of the records that are of use; `None` when none is. `names` are the names that led to `base`.
    pub(crate) fn new<'n>(
        base: &str,
        names: impl Iterator<Item = &'n str>,
        records: &[Tlsa],
    ) -> Option<Self> {
        let base = ServerName::try_from(base.to_owned()).ok()?;
        let mut all = vec![base.clone()];
        for name in names.filter_map(|name| ServerName::try_from(name.to_owned()).ok()) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        let usable: Vec<Association> = records.iter().filter_map(Association::new).collect();
        // Whoever can break the weaker digest must not win by it (RFC 7671 section 9).
        let is_outdone = |one: &Association| {
            one.matching == Matching::Sha256
                && usable.iter().any(|other| {
                    (other.usage, other.selector, other.matching)
                        == (one.usage, one.selector, Matching::Sha512)
                })
        };
        let records: Vec<Association> = usable
            .iter()
            .filter(|one| !is_outdone(one))
            .cloned()
            .collect();
        (!records.is_empty()).then_some(Self {
            base,
            names: all,
            records,
        })
    }

    /// What the host is called in the handshake (RFC 7672 section 8.1).
    pub(crate) fn base(&self) -> ServerName<'static> {
        self.base.clone()
    }

    /// Checks a host's certificates.
    ///
    /// # Errors
    /// Why they are not those that the records name.
    pub(crate) fn check(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), rustls::Error> {
        // Neither its names nor its dates matter then: the record is renewed with it (RFC 7672 section 3.1.1).
        if self.of(Usage::Host).any(|record| record.fits(own)) {
            return Ok(());
        }
        self.check_issued(own, others, now, algorithms)
    }

    /// Whether one of the authorities has issued it, for one of the names (RFC 7672 section 3.1.2).
    fn check_issued(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), rustls::Error> {
        let mut authorities = RootCertStore::empty();
        for record in self.of(Usage::Authority) {
            let mut is_shown = false;
            for other in others.iter().filter(|other| record.fits(other)) {
                // One that is no certificate of an authority has issued nothing.
                authorities.add(other.clone().into_owned()).ok();
                is_shown = true;
            }
            // One that is not shown is known only where the record holds it, and no digest.
            match (record.selector, record.matching) {
                (Selector::Whole, Matching::Itself) => {
                    authorities.add(record.data.clone().into()).ok();
                }
                // The certificate may bind the key to names, so it counts where there is one.
                (Selector::PublicKey, Matching::Itself) if !is_shown => {
                    let shown = core::iter::once(own).chain(others);
                    authorities.roots.extend(anchors(&record.data, shown));
                }
                _ => {}
            }
        }
        if authorities.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let own = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&own, &authorities, others, now, algorithms.all)?;
        let mut last = CertificateError::NotValidForName.into();
        for name in &self.names {
            match verify_server_name(&own, name) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn of(&self, usage: Usage) -> impl Iterator<Item = &Association> {
        let records = self.records.iter();
        records.filter(move |record| record.usage == usage)
    }
}

impl fmt::Display for Associations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, base) = (self.records.len(), self.base.to_str());
        match count {
            1 => write!(f, "the TLSA record of {base} says"),
            _ => write!(f, "one of {count} TLSA records of {base} says"),
        }
    }
}

impl Association {
    fn new(record: &Tlsa) -> Option<Self> {
        let usage = match record.usage {
            2 => Usage::Authority,
            3 => Usage::Host,
            _ => return None,
        };
        let selector = match record.selector {
            0 => Selector::Whole,
            1 => Selector::PublicKey,
            _ => return None,
        };
        let matching = match (record.matching, record.data.len()) {
            (0, 1..) => Matching::Itself,
            (1, 32) => Matching::Sha256,
            (2, 64) => Matching::Sha512,
            _ => return None,
        };
        Some(Self {
            usage,
            selector,
            matching,
            data: record.data.clone(),
        })
    }

    /// Whether it is this certificate that is meant.
    fn fits(&self, certificate: &CertificateDer<'_>) -> bool {
        let key;
        let selected: &[u8] = match self.selector {
            Selector::Whole => certificate,
            Selector::PublicKey => {
                let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
                    return false;
                };
                key = parsed.subject_public_key_info();
                &key
            }
        };
        match self.matching {
            Matching::Itself => selected == self.data,
            Matching::Sha256 => Sha256::digest(selected)[..] == self.data,
            Matching::Sha512 => Sha512::digest(selected)[..] == self.data,
        }
    }
}

/// A public key as an authority that may have issued each of the certificates. It goes by every name that their
/// issuers have: the record holds none (RFC 7671 section 5.2.3), and what counts is the signature.
fn anchors<'c>(
    key: &[u8],
    issued: impl Iterator<Item = &'c CertificateDer<'c>>,
) -> impl Iterator<Item = TrustAnchor<'static>> {
    let key = content(key);
    issued.filter_map(move |certificate| {
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        Some(TrustAnchor {
            subject: parsed.issuer().to_vec().into(),
            subject_public_key_info: key?.to_vec().into(),
            name_constraints: None,
        })
    })
}

/// What a DER sequence is made of: all of these octets but its tag and length (X.690 sections 8.1 and 10.1).
fn content(sequence: &[u8]) -> Option<&[u8]> {
    let (length, content) = match sequence {
        [0x30, length @ 0..=0x7f, content @ ..] => (u16::from(*length), content),
        [0x30, 0x81, length, content @ ..] => (u16::from(*length), content),
        [0x30, 0x82, high, low, content @ ..] => (u16::from_be_bytes([*high, *low]), content),
        _ => return None,
    };
    (content.len() == usize::from(length)).then_some(content)
}
