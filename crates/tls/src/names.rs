//! Which hosts a certificate names.

use rustls::{client::verify_server_name, server::ParsedCertificate};
use rustls_pki_types::{CertificateDer, ServerName};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// A certificate does not name a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate names {names}, not {host}")]
pub struct Unnamed {
    /// What it names, for people.
    pub names: String,
    /// What it should name.
    pub host: String,
}

/// The host of `host:port`, without the brackets of an IPv6 address: what a certificate names.
#[must_use]
pub fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether a certificate names a host, by the rules by which a client checks a server's.
///
/// # Errors
/// It does not.
pub fn verify_name(certificate: &CertificateDer<'_>, host: &str) -> Result<(), Unnamed> {
    let named = || {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        let name = ServerName::try_from(host).ok()?;
        verify_server_name(&parsed, &name).ok()
    };
    named().ok_or_else(|| Unnamed {
        names: names(certificate),
        host: host.to_owned(),
    })
}

/// Every host that a certificate names, for people.
#[must_use]
pub fn names(certificate: &CertificateDer<'_>) -> String {
    let found = alternative_names(certificate, text);
    if found.is_empty() {
        "no host".to_owned()
    } else {
        found.join(", ")
    }
}

/// The names of hosts in a certificate, wildcards among them; no addresses.
pub(crate) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    alternative_names(certificate, |name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    })
}

/// What is made of each alternative name of a certificate (RFC 5280 section 4.2.1.6).
fn alternative_names(
    certificate: &CertificateDer<'_>,
    of: fn(&GeneralName<'_>) -> Option<String>,
) -> Vec<String> {
    let found = parse_x509_certificate(certificate)
        .ok()
        .and_then(|(_, parsed)| {
            let extension = parsed.subject_alternative_name().ok()??;
            let names = &extension.value.general_names;
            Some(names.iter().filter_map(of).collect())
        });
    found.unwrap_or_default()
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;

    #[test]
    fn the_host_of_an_address_is_what_stands_before_the_port() {
        for (address, host) in [
            ("mx1.internal:7400", "mx1.internal"),
            ("10.0.0.1:7400", "10.0.0.1"),
            ("[2001:db8::1]:7400", "2001:db8::1"),
        ] {
            assert_eq!(host_of(address), host);
        }
    }

    #[test]
    fn a_certificate_names_hosts_and_addresses_and_nothing_else() {
        let (certificate, _) =
            Authority::new("ours").signed(&["mx1.internal", "10.0.0.1", "2001:db8::1"]);
        let certificate = certificate.der();
        for host in ["mx1.internal", "MX1.Internal", "10.0.0.1", "2001:db8:0::1"] {
            assert_eq!(verify_name(certificate, host), Ok(()), "{host}");
        }
        for host in [
            "mx2.internal",
            "10.0.0.2",
            "internal",
            "",
            "mx1.internal:7400",
        ] {
            let said = verify_name(certificate, host).unwrap_err().to_string();
            let expected =
                format!("the certificate names mx1.internal, 10.0.0.1, 2001:db8::1, not {host}");
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_certificate_without_names_is_said_to_have_none() {
        let (certificate, _) = Authority::new("ours").signed(&[]);
        let said = verify_name(certificate.der(), "mx1").unwrap_err();
        assert_eq!(said.names, "no host");
        assert_eq!(
            verify_name(&CertificateDer::from(vec![1]), "mx1"),
            Err(said)
        );
    }
}
