//! Certificates against the records that name them, the records against a signed zone, and both against a
//! primary.

mod authorities;

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use sha2::{Digest as _, Sha256, Sha512};
use smtp::client::Failure;
use spool::policy::Tls;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::dns::Tlsa;
use crate::dns::tests::signed::{Forgery, SignedServer};
use crate::outbound::connection::{Broken, Connection, Terms};
use crate::outbound::limits::Timeouts;
use crate::outbound::tests::primary::{Act, Primary};
use crate::outbound::tls::Connectors;

const HOST: &str = "mail.test";

/// A host's certificate, and the one of its authority.
struct Issued {
    own: CertificateDer<'static>,
    key: KeyPair,
    authority: CertificateDer<'static>,
}

impl Issued {
    fn to(name: &str) -> Self {
        Self::until(name, 4000)
    }

    fn until(name: &str, year: i32) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let called = format!("the authority of {name}");
        params.distinguished_name.push(DnType::CommonName, called);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().der().clone();
        Self::by(&Issuer::new(params, key), authority, name, year)
    }

    /// By an authority that has this certificate.
    fn by(
        issuer: &Issuer<'_, KeyPair>,
        authority: CertificateDer<'static>,
        name: &str,
        year: i32,
    ) -> Self {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, issuer).unwrap().der().clone();
        Self {
            own,
            key,
            authority,
        }
    }

    /// What a primary that has it shows.
    fn shown(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let chain = vec![self.own.clone(), self.authority.clone()];
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    fn is_taken_by(&self, associations: &Associations) -> bool {
        self.is_taken_with(associations, core::slice::from_ref(&self.authority))
    }

    fn is_taken_with(&self, associations: &Associations, others: &[CertificateDer<'_>]) -> bool {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_750_000_000));
        let checked = associations.check(&self.own, others, now, &algorithms);
        checked.is_ok()
    }
}

fn record(usage: u8, selector: u8, matching: u8, of: &CertificateDer<'_>) -> Tlsa {
    let selected = if selector == 0 {
        of.to_vec()
    } else {
        let parsed = rustls::server::ParsedCertificate::try_from(of).unwrap();
        parsed.subject_public_key_info().to_vec()
    };
    let data = match matching {
        0 => selected,
        1 => Sha256::digest(&selected).to_vec(),
        _ => Sha512::digest(&selected).to_vec(),
    };
    Tlsa {
        usage,
        selector,
        matching,
        data,
    }
}

fn associations(names: &[&str], records: &[Tlsa]) -> Option<Associations> {
    Associations::new(HOST, names.iter().copied(), records)
}

#[test]
fn a_certificate_is_taken_by_each_record_that_names_it_or_its_authority_and_by_no_other() {
    let (right, wrong) = (Issued::to(HOST), Issued::to(HOST));
    for usage in [2, 3] {
        for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            let named = if usage == 2 {
                &right.authority
            } else {
                &right.own
            };
            let record = record(usage, selector, matching, named);
            let records = associations(&[], &[record]).unwrap();
            let words = format!("{usage} {selector} {matching}");
            assert!(right.is_taken_by(&records), "{words}");
            assert!(!wrong.is_taken_by(&records), "{words}");
            // An authority that is not shown is known only where the record holds it, or its key.
            let knows_all = usage == 3 || matching == 0;
            assert_eq!(right.is_taken_with(&records, &[]), knows_all, "{words}");
        }
    }
    let others = [
        record(3, 1, 1, &wrong.own),
        record(2, 0, 1, &right.authority),
    ];
    assert!(right.is_taken_by(&associations(&[], &others).unwrap()));
}

#[test]
fn names_and_dates_matter_where_an_authority_is_named_only() {
    let expired = Issued::until(HOST, 2020);
    let other = Issued::to("other.test");
    for (issued, takes_by_authority) in [
        (&Issued::to(HOST), true),
        (&expired, false),
        (&other, false),
    ] {
        let own = associations(&[], &[record(3, 1, 1, &issued.own)]).unwrap();
        assert!(issued.is_taken_by(&own));
        let authority = associations(&[], &[record(2, 0, 1, &issued.authority)]).unwrap();
        assert_eq!(issued.is_taken_by(&authority), takes_by_authority);
    }
    let names = [HOST, "other.test"];
    let by_domain = associations(&names, &[record(2, 0, 1, &other.authority)]).unwrap();
    assert!(other.is_taken_by(&by_domain), "its domain's name is in it");
    // A certificate that the authority has not issued is nothing, whatever is shown with it.
    let stranger = Issued::to(HOST);
    let records = associations(&[], &[record(2, 0, 1, &other.authority)]).unwrap();
    assert!(!stranger.is_taken_with(&records, core::slice::from_ref(&other.authority)));
}

#[test]
fn records_of_no_use_are_left_out_and_weaker_digests_beside_stronger_ones() {
    let issued = Issued::to(HOST);
    let mut short = record(3, 1, 1, &issued.own);
    short.data.pop();
    let mut empty = record(3, 0, 0, &issued.own);
    empty.data.clear();
    let mut useless = vec![short, empty];
    for (usage, selector, matching) in [
        (0, 0, 1),
        (1, 1, 1),
        (4, 1, 1),
        (255, 1, 1),
        (3, 2, 1),
        (3, 1, 3),
    ] {
        useless.push(Tlsa {
            usage,
            selector,
            matching,
            ..record(3, 1, 1, &issued.own)
        });
    }
    assert_eq!(associations(&[], &useless), None);
    useless.push(record(3, 1, 1, &issued.own));
    assert!(issued.is_taken_by(&associations(&[], &useless).unwrap()));

    let mut outdone = vec![
        record(3, 1, 1, &issued.own),
        record(3, 1, 2, &Issued::to(HOST).own),
    ];
    assert!(!issued.is_taken_by(&associations(&[], &outdone).unwrap()));
    outdone[1].selector = 0;
    assert!(issued.is_taken_by(&associations(&[], &outdone).unwrap()));
}

fn host(name: &str, exchange_of: Option<&str>) -> Host {
    Host {
        name: format!("{name}:25"),
        addresses: Vec::new(),
        preference: 0,
        exchange_of: exchange_of.map(str::to_owned),
        is_met_first: false,
    }
}

/// The name that usable records were found at.
fn base(found: &Finding) -> Option<String> {
    match found {
        Finding::Associations(associations) => Some(associations.base().to_str().into_owned()),
        Finding::Nothing | Finding::Unusable => None,
    }
}

#[tokio::test]
async fn records_count_as_far_as_they_are_signed() {
    let server = SignedServer::start();
    let usable = || vec![(3, 1, 1, vec![7; 32])];
    for name in [
        HOST,
        "bare.test",
        "pkix.test",
        "mail.unsigned.test",
        "half.test",
    ] {
        server.address_of(name);
    }
    server.alias("alias.test", HOST);
    server.alias("beside.test", "mail.unsigned.test");
    server.alias("both.test", "bare.test");
    // As a wildcard does, which catches every name.
    server.alias("_25._tcp.bare.test", "bare.test");
    server.address_of("far.test");
    server.alias("_25._tcp.far.test", "_25._tcp.mail.test");
    for name in [HOST, "mail.unsigned.test", "beside.test", "both.test"] {
        server.certify(name, 25, &usable());
    }
    server.certify(
        "pkix.test",
        25,
        &[(0, 0, 1, vec![7; 32]), (1, 0, 1, vec![7; 32])],
    );
    let dns = server.asked_by().await;
    for (name, expected) in [
        (HOST, Some(HOST)),
        ("alias.test", Some(HOST)),
        ("beside.test", Some("beside.test")),
        ("both.test", Some("both.test")),
        ("far.test", Some("far.test")),
        ("bare.test", None),
        ("pkix.test", None),
        ("mail.unsigned.test", None),
        ("[127.0.0.1]", None),
    ] {
        let found = find(&dns, &host(name, None)).await.unwrap();
        assert_eq!(base(&found).as_deref(), expected, "{name}: {found:?}");
        assert_eq!(found == Finding::Unusable, name == "pkix.test", "{name}");
    }
    let elsewhere = Host {
        name: format!("{HOST}:26"),
        ..host(HOST, None)
    };
    assert_eq!(find(&dns, &elsewhere).await.unwrap(), Finding::Nothing);
}

#[tokio::test]
async fn nothing_is_asked_of_a_zone_that_is_not_signed() {
    let server = SignedServer::start();
    server.address_of("mail.unsigned.test");
    let dns = server.asked_by().await;
    let found = find(&dns, &host("mail.unsigned.test", None)).await.unwrap();
    assert_eq!(found, Finding::Nothing);
    assert!(!server.was_asked(RecordType::TLSA));
}

#[tokio::test]
async fn mx_records_count_as_far_as_they_are_signed() {
    let server = SignedServer::start();
    server.address_of(HOST);
    server.certify(HOST, 25, &[(3, 1, 1, vec![7; 32])]);
    for domain in ["example.test", "example.unsigned.test"] {
        server.exchange(domain, HOST);
    }
    server.exchange("stolen.test", "elsewhere.test");
    let dns = server.asked_by().await;
    let found = find(&dns, &host(HOST, Some("example.test"))).await;
    assert_eq!(base(&found.unwrap()).as_deref(), Some(HOST));
    let found = find(&dns, &host(HOST, Some("example.unsigned.test"))).await;
    assert_eq!(found.unwrap(), Finding::Nothing);
    for domain in ["stolen.test", "none.test"] {
        let found = find(&dns, &host(HOST, Some(domain))).await.unwrap_err();
        assert!(matches!(found, DaneError::NotAnExchange { .. }), "{found}");
    }
}

#[tokio::test]
async fn an_authority_may_have_issued_it_for_each_name_that_led_to_the_host() {
    let server = SignedServer::start();
    server.address_of("target.test");
    server.alias(HOST, "target.test");
    server.exchange("example.test", HOST);
    server.alias("alias.test", "example.test");
    let names = [
        "target.test",
        HOST,
        "example.test",
        "alias.test",
        "other.test",
    ];
    let issued = names.map(Issued::to);
    let authorities = issued.each_ref().map(|issued| {
        let record = record(2, 0, 1, &issued.authority);
        (record.usage, record.selector, record.matching, record.data)
    });
    server.certify("target.test", 25, &authorities);
    let dns = server.asked_by().await;
    for (domain, expected) in [
        (None, ["target.test", HOST].as_slice()),
        (Some("example.test"), &names[..3]),
        (Some("alias.test"), &names[..4]),
    ] {
        let found = find(&dns, &host(HOST, domain)).await.unwrap();
        let Finding::Associations(found) = found else {
            panic!("{domain:?}: {found:?}");
        };
        for (name, issued) in names.iter().zip(&issued) {
            let is_taken = issued.is_taken_by(&found);
            assert_eq!(is_taken, expected.contains(name), "{domain:?}: {name}");
        }
    }
}

#[tokio::test]
async fn what_is_forged_or_missing_is_no_reason_to_do_without() {
    let server = SignedServer::start();
    for (name, kind, forgery) in [
        (HOST, RecordType::A, Forgery::Signature),
        (HOST, RecordType::A, Forgery::Absence),
        (HOST, RecordType::AAAA, Forgery::Absence),
        ("_25._tcp.mail.test", RecordType::TLSA, Forgery::Signature),
        ("_25._tcp.mail.test", RecordType::TLSA, Forgery::Absence),
        ("example.test", RecordType::MX, Forgery::Signature),
        ("example.test", RecordType::MX, Forgery::Absence),
    ] {
        let server = SignedServer::start();
        server.address_of(HOST);
        server.exchange("example.test", HOST);
        server.certify(HOST, 25, &[(3, 1, 1, vec![7; 32])]);
        server.forge(name, kind, forgery);
        let dns = server.asked_by().await;
        let found = find(&dns, &host(HOST, Some("example.test"))).await;
        let Err(DaneError::Untold { .. }) = found else {
            panic!("{name} {kind} {forgery:?}: {found:?}");
        };
    }
    drop(server);
    let nobody = crate::dns::tests::asking_nobody();
    let found = find(&nobody, &host(HOST, None)).await.unwrap_err();
    assert!(matches!(found, DaneError::Untold { .. }), "{found}");
}

#[tokio::test]
async fn a_primary_is_talked_to_as_its_records_say() {
    let (right, wrong) = (Issued::to(HOST), Issued::to(HOST));
    let named = record(3, 1, 1, &right.own).data;
    let usable = vec![(3, 1, 1, named)];
    let useless = vec![(1, 1, 1, vec![7; 32])];
    // What the DNS says, what the primary shows, and whether there is a session: over TLS, or in clear.
    let cases = [
        (&usable, Some(&right), Some(true)),
        (&usable, Some(&wrong), None),
        (&usable, None, None),
        (&useless, Some(&wrong), Some(true)),
        (&useless, None, None),
        (&Vec::new(), Some(&wrong), Some(true)),
        (&Vec::new(), None, Some(false)),
    ];
    for (number, (records, shown, expected)) in cases.into_iter().enumerate() {
        let script = Arc::new(|_, _: &_| Act::Usual);
        let address = "127.0.0.1:0".parse().unwrap();
        let primary = Primary::start(address, script, shown.map(Issued::shown)).await;
        let server = SignedServer::start();
        server.address_of(HOST);
        if !records.is_empty() {
            server.certify(HOST, primary.address.port(), records);
        }
        let dns = server.asked_by().await;
        let connectors = Connectors::new();
        let terms = Terms {
            hostname: "node.test",
            tls: Tls::Dane,
            connectors: &connectors,
            dns: &dns,
            timeouts: Timeouts::STANDARD,
            share: None,
        };
        let host = Host {
            name: format!("{HOST}:{}", primary.address.port()),
            addresses: vec![primary.address],
            preference: 0,
            exchange_of: None,
            is_met_first: false,
        };
        match (Connection::open(&host, terms).await, expected) {
            (Ok(connection), Some(over_tls)) => {
                let protection = connection.protection();
                assert_eq!(
                    protection.starts_with("TLS"),
                    over_tls,
                    "{number}: {protection}"
                );
            }
            (Err(Broken::Handshake(_)), None) => assert!(shown.is_some(), "{number}"),
            (Err(Broken::Session(Failure::TlsNotOffered)), None) => {
                assert!(shown.is_none(), "{number}");
            }
            (other, _) => panic!("{number}: {other:?}"),
        }
    }
}
