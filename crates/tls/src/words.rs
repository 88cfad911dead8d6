//! What went wrong with TLS, in the words of an operator. The library tells it in the names of its own types.

use std::{error::Error, io};

use rustls::{AlertDescription as Alert, CertificateError, Error as RustlsError, InvalidMessage};

/// What an error says; where it is of TLS, what is wrong and not how the library calls that.
#[must_use]
pub fn in_words(error: &(dyn Error + 'static)) -> String {
    let within = error.downcast_ref::<io::Error>();
    let of_io = within
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref());
    match error.downcast_ref::<RustlsError>().or(of_io) {
        Some(error) => of_tls(error),
        None if within.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) => {
            "the other end closed the connection".to_owned()
        }
        None => error.to_string(),
    }
}

fn of_tls(error: &RustlsError) -> String {
    let words = match error {
        RustlsError::AlertReceived(alert) => return alerted(*alert),
        RustlsError::InvalidCertificate(error) => return unsound(error),
        RustlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the other end answers with something that is not TLS"
        }
        RustlsError::PeerIncompatible(_) => {
            "the other end takes no version of TLS, or no cipher, that this one takes (TLS 1.2 and 1.3)"
        }
        RustlsError::NoCertificatesPresented => "the other end shows no certificate",
        other => return other.to_string(),
    };
    words.to_owned()
}

/// Why the other end has broken off, with the name of its alert (RFC 8446 section 6).
fn alerted(alert: Alert) -> String {
    let (words, name) = match alert {
        Alert::HandshakeFailure => (
            "it takes no version of TLS, cipher or certificate that this end offers",
            "handshake_failure",
        ),
        Alert::ProtocolVersion => ("it takes neither TLS 1.2 nor TLS 1.3", "protocol_version"),
        Alert::UnknownCA => (
            "it does not trust the authority that has signed this end's certificate",
            "unknown_ca",
        ),
        Alert::CertificateExpired => ("this end's certificate has expired", "certificate_expired"),
        Alert::BadCertificate => ("it finds this end's certificate bad", "bad_certificate"),
        Alert::CertificateUnknown => (
            "it does not accept this end's certificate",
            "certificate_unknown",
        ),
        Alert::CertificateRequired => (
            "it wants a certificate, and this end shows none",
            "certificate_required",
        ),
        Alert::UnrecognisedName => ("it has no certificate for the name", "unrecognized_name"),
        Alert::InternalError => ("it has trouble of its own", "internal_error"),
        other => return format!("the other end broke off (alert {other:?})"),
    };
    format!("the other end broke off: {words} (alert {name})")
}

/// Why a certificate is not taken.
fn unsound(error: &CertificateError) -> String {
    let words = match error {
        CertificateError::UnknownIssuer => {
            "is not signed by an authority that this end trusts, or an intermediate certificate is missing"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; see whether this machine's clock is right"
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            return format!(
                "the certificate is not for {}; it names {}",
                expected.to_str(),
                named(presented)
            );
        }
        CertificateError::NotValidForName => "names another host",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for this end of a connection (serverAuth, clientAuth)"
        }
        CertificateError::Revoked => "is revoked",
        CertificateError::BadSignature => "has a signature that does not fit",
        CertificateError::BadEncoding => "is malformed",
        other => return format!("the certificate is not accepted: {other}"),
    };
    format!("the certificate {words}")
}

/// The names of a certificate, out of `DnsName("mx1.example.net")` and `IpAddress(192.0.2.1)`.
fn named(presented: &[String]) -> String {
    let bare = presented.iter().map(|name| {
        let inner = name
            .split_once('(')
            .map_or(name.as_str(), |(_, inner)| inner);
        inner.trim_end_matches(')').trim_matches('"')
    });
    match bare.collect::<Vec<_>>().as_slice() {
        [] => "no host".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::ServerName;

    use super::*;

    #[test]
    fn what_is_met_most_is_told_in_plain_words() {
        let name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("mx1.example.net").unwrap(),
            presented: ["DnsName(\"mx2.example.net\")", "IpAddress(192.0.2.2)"]
                .map(str::to_owned)
                .to_vec(),
        };
        for (error, words) in [
            (
                RustlsError::AlertReceived(Alert::HandshakeFailure),
                "the other end broke off: it takes no version of TLS, cipher or certificate that this end offers (alert \
                 handshake_failure)",
            ),
            (
                CertificateError::UnknownIssuer.into(),
                "the certificate is not signed by an authority that this end trusts, or an intermediate certificate is \
                 missing",
            ),
            (
                name.into(),
                "the certificate is not for mx1.example.net; it names mx2.example.net, 192.0.2.2",
            ),
            (
                RustlsError::InvalidMessage(InvalidMessage::InvalidContentType),
                "the other end answers with something that is not TLS",
            ),
        ] {
            assert_eq!(in_words(&error), words);
            assert_eq!(in_words(&io::Error::other(error)), words);
        }
    }

    #[test]
    fn what_is_not_of_tls_is_told_as_it_is() {
        let refused = io::Error::other("refused");
        assert_eq!(in_words(&refused), "refused");
        let ended = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        assert_eq!(in_words(&ended), "the other end closed the connection");
    }
}
