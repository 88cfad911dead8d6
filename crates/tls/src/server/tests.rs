use std::{fs, time::Duration};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore,
    ServerConnection, SupportedProtocolVersion, version,
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use super::*;
use crate::testing::Authority;

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        files.issue();
        files
    }

    fn issue(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["mx.example.net".to_owned()]).unwrap();
        fs::write(self.cert(), made.cert.pem()).unwrap();
        fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
    }

    fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn complaint(&self) -> String {
        ServerTls::load(&self.cert(), &self.key())
            .unwrap_err()
            .to_string()
    }
}

#[test]
fn a_certificate_and_its_key_load_and_tell_when_they_expire() {
    let files = Files::new();
    let tls = ServerTls::load(&files.cert(), &files.key()).unwrap();
    assert!(tls.not_after() > NOW);
}

#[test]
fn reloading_exchanges_the_certificate_and_failing_to_keeps_it() {
    let files = Files::new();
    let tls = ServerTls::load(&files.cert(), &files.key()).unwrap();
    let first = tls.config();
    files.issue();
    tls.reload(NOW).unwrap();
    let second = tls.config();
    assert!(!Arc::ptr_eq(&first, &second));
    fs::write(files.key(), "").unwrap();
    assert!(tls.reload(NOW).is_err());
    assert!(Arc::ptr_eq(&second, &tls.config()));
}

/// A server with a certificate for mx.example.net, and one for a customer's names.
fn with_customer(files: &Files, customer: &Path) -> Result<ServerTls, TlsError> {
    let first = PemPair {
        cert: files.cert(),
        key: files.key(),
    };
    let other = PemPair {
        cert: customer.join("own.pem"),
        key: customer.join("own.key"),
    };
    ServerTls::load_all(first, vec![other])
}

/// The certificate that a client is shown who asks for a name.
fn shown(server: &ServerTls, asked: &str) -> CertificateDer<'static> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let asked = ServerName::try_from(asked.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), asked).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut acceptor = rustls::server::Acceptor::default();
    acceptor.read_tls(&mut hello.as_slice()).unwrap();
    let accepted = acceptor.accept().unwrap().unwrap();
    let chosen = server
        .config()
        .cert_resolver
        .resolve(accepted.client_hello());
    chosen.unwrap().cert[0].clone()
}

#[test]
fn a_client_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let (files, customer) = (Files::new(), tempfile::tempdir().unwrap());
    let authority = Authority::new("ours");
    authority.issue(customer.path(), &["mx.customer.example"]);
    let tls = with_customer(&files, customer.path()).unwrap();
    let first = CertificateDer::from_pem_file(files.cert()).unwrap();
    let of_customer = || CertificateDer::from_pem_file(customer.path().join("own.pem")).unwrap();
    for (asked, expected) in [
        ("mx.customer.example", of_customer()),
        ("mx.example.net", first.clone()),
        ("elsewhere.example", first.clone()),
        ("192.0.2.1", first.clone()),
    ] {
        assert_eq!(shown(&tls, asked), expected, "{asked}");
    }
    let before = of_customer();
    authority.issue(
        customer.path(),
        &["mx.customer.example", "mx2.customer.example"],
    );
    tls.reload(NOW).unwrap();
    assert_ne!(of_customer(), before);
    assert_eq!(shown(&tls, "mx2.customer.example"), of_customer());
    assert_eq!(tls.files().len(), 4);
}

#[test]
fn a_further_certificate_without_a_name_or_a_sound_key_is_refused() {
    let (files, customer) = (Files::new(), tempfile::tempdir().unwrap());
    let authority = Authority::new("ours");
    authority.issue(customer.path(), &["192.0.2.1"]);
    let error = with_customer(&files, customer.path()).unwrap_err();
    assert_eq!(error.file(), customer.path().join("own.pem"));
    assert!(error.to_string().contains("names no host"), "{error}");
    authority.issue(customer.path(), &["mx.customer.example"]);
    let tls = with_customer(&files, customer.path()).unwrap();
    fs::copy(files.key(), customer.path().join("own.key")).unwrap();
    assert!(tls.reload(NOW).is_err());
    assert_ne!(
        shown(&tls, "mx.customer.example"),
        shown(&tls, "mx.example.net")
    );
}

#[test]
fn the_end_is_that_of_the_certificate_that_ends_first() {
    let (files, customer) = (Files::new(), tempfile::tempdir().unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["mx.customer.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    fs::write(customer.path().join("own.pem"), certificate.pem()).unwrap();
    fs::write(customer.path().join("own.key"), key.serialize_pem()).unwrap();
    let tls = with_customer(&files, customer.path()).unwrap();
    assert_eq!(tls.not_after().as_secs(), 1_893_456_000);
}

/// A client that trusts the certificate and speaks one version.
fn client(files: &Files, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(files.cert()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Lets both ends say all they have to say; the client is then ready to resume.
fn shake_hands(server: &ServerTls, client: &Arc<ClientConfig>) -> (ProtocolVersion, HandshakeKind) {
    let name = "mx.example.net".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(server.config()).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut octets = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut octets).unwrap();
        }
        let mut sent = octets.as_slice();
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut octets = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut octets).unwrap();
        }
        let mut sent = octets.as_slice();
        while !sent.is_empty() {
            client.read_tls(&mut sent).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    let version = server.protocol_version().unwrap();
    (version, server.handshake_kind().unwrap())
}

#[test]
fn both_versions_are_spoken_and_sessions_are_resumed() {
    let files = Files::new();
    let server = ServerTls::load(&files.cert(), &files.key()).unwrap();
    for (version, expected) in [
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let client = client(&files, version);
        let first = shake_hands(&server, &client);
        assert_eq!(first, (expected, HandshakeKind::Full));
        let second = shake_hands(&server, &client);
        assert_eq!(second, (expected, HandshakeKind::Resumed));
    }
}

#[test]
fn every_complaint_names_the_file_and_the_cause_in_one_line() {
    let files = Files::new();
    let other = Files::new();
    fs::copy(other.key(), files.key()).unwrap();
    assert!(
        files.complaint().contains("does not belong to"),
        "{}",
        files.complaint()
    );
    fs::write(files.key(), "nothing here").unwrap();
    assert!(
        files.complaint().contains("key.pem holds no private key"),
        "{}",
        files.complaint()
    );
    fs::remove_file(files.key()).unwrap();
    assert!(
        files.complaint().starts_with("cannot read "),
        "{}",
        files.complaint()
    );
    fs::write(files.cert(), "nothing here").unwrap();
    assert!(
        files.complaint().contains("cert.pem holds no certificate"),
        "{}",
        files.complaint()
    );
    fs::write(
        files.cert(),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    assert!(
        files.complaint().contains("is malformed"),
        "{}",
        files.complaint()
    );
    assert!(!files.complaint().contains('\n'));
}
