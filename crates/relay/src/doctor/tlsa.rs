//! What the DNS says of a node's certificate, and whether it has that one (DANE, RFC 7672 section 8).
//!
//! Senders that go by DANE send nothing to a node whose records name another certificate. That happens when the
//! certificate is renewed with another key, and the record is not.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};

use crate::dns::Dns;
use crate::doctor::{Check, Finding, Node, zone};
use crate::outbound::dane::{self, Finding as Said};
use crate::route::host::Host;
use crate::route::lookups;

/// Whether a node's certificate is one that its TLSA records name. `chain` is what it shows, its own first. None
/// where there are no records: then nobody looks.
pub async fn tlsa(
    dns: &Arc<Dns>,
    node: &Node,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Option<Finding> {
    let owner = zone::tlsa_owner(&node.hostname);
    lookups::forget(dns, [owner.as_str()]);
    // Most zones have none, and many resolvers hand no signatures on: those are asked for only when there is need.
    if dns.tlsa(&owner).await.ok()?.into_records().is_empty() {
        return None;
    }
    let host = Host {
        name: format!("{}:25", node.hostname),
        addresses: Vec::new(),
        preference: 0,
        exchange_of: None,
        is_met_first: false,
    };
    let check = Check::of("tlsa", node.hostname.as_str());
    Some(match dane::find(dns, &host).await {
        Ok(said) => judge(&check, node, &said, chain, now),
        Err(error) => check.skipped(error.to_string()),
    })
}

fn judge(
    check: &Check,
    node: &Node,
    said: &Said,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Finding {
    let Some((own, others)) = chain.split_first() else {
        return check.problem(
            "it has TLSA records and no certificate, so that senders who go by them send nothing: set tls_cert and \
             tls_key in [smtp], or take the records away",
        );
    };
    let lines = zone_line(node, own);
    match said {
        Said::Nothing => check.warning(
            "its TLSA records are not signed, or its addresses are not, so that nobody goes by them: sign the zone",
        ),
        Said::Unusable => check
            .warning("none of its TLSA records is of use for mail (RFC 7672 section 3.1): put this one in their place")
            .with_zone(lines),
        Said::Associations(associations) => {
            let algorithms = ring::default_provider().signature_verification_algorithms;
            match associations.check(own, others, now, &algorithms) {
                Ok(()) => check.fine("its certificate is one that its TLSA records name"),
                Err(error) => check
                    .problem(format!(
                        "its certificate is not one that its TLSA records name ({error}), so that senders who go by \
                         them send nothing: add this one, and take the old one away later"
                    ))
                    .with_zone(lines),
            }
        }
    }
}

/// DANE-EE, the public key, SHA-256: what is recommended for mail (RFC 7672 section 3.1.1). None for what is no
/// certificate.
fn zone_line(node: &Node, own: &CertificateDer<'_>) -> Option<String> {
    let parsed = ParsedCertificate::try_from(own).ok()?;
    let digest = Sha256::digest(parsed.subject_public_key_info());
    let digits: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    Some(zone::tlsa(&node.hostname, &digits))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::Tlsa;
    use crate::doctor::Verdict;

    const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

    fn certificate() -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["mx1.example.net".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn judged(data: Vec<u8>, usage: u8, chain: &[CertificateDer<'_>]) -> Finding {
        let record = Tlsa {
            usage,
            selector: 0,
            matching: 1,
            data,
        };
        let node = Node {
            id: 1,
            hostname: "mx1.example.net".to_owned(),
            addresses: Vec::new(),
        };
        let names = ["mx1.example.net"].into_iter();
        let said = dane::Associations::new("mx1.example.net", names, &[record])
            .map_or(Said::Unusable, Said::Associations);
        judge(
            &Check::of("tlsa", "mx1.example.net"),
            &node,
            &said,
            chain,
            NOW,
        )
    }

    #[test]
    fn a_certificate_is_held_against_its_records() {
        let own = certificate();
        let digest = Sha256::digest(&own).to_vec();
        let chain = [own];
        assert_eq!(judged(digest.clone(), 3, &chain).verdict, Verdict::Fine);
        let other = judged(vec![0; 32], 3, &chain);
        assert_eq!(other.verdict, Verdict::Problem);
        let [line] = &other.zone[..] else {
            panic!("one line is enough: {other:?}");
        };
        assert!(
            line.starts_with("_25._tcp.mx1.example.net. IN TLSA 3 1 1 "),
            "{line}"
        );
        assert_eq!(judged(digest.clone(), 1, &chain).verdict, Verdict::Warning);
        assert_eq!(judged(digest, 3, &[]).verdict, Verdict::Problem);
    }
}
