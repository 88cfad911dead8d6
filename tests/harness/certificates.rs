//! A private authority and the certificates it signs, as files.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// A certificate authority whose files lie in one directory.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// The files of one signed certificate.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl Authority {
    /// Makes a new authority; its certificate lies in `DIRECTORY/ca.pem`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("the certificates' directory can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Layover tests");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params
            .self_signed(&key)
            .expect("an authority can sign itself");
        fs::write(directory.join("ca.pem"), certificate.pem()).expect("ca.pem can be written");
        Self {
            directory: directory.to_owned(),
            issuer: Issuer::new(params, key),
            root: certificate.der().clone(),
        }
    }

    /// The authority's own certificate, PEM.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Signs a certificate for `name`, for localhost and for 127.0.0.1, good for both ends.
    #[must_use]
    pub fn sign(&self, name: &str) -> Pair {
        self.sign_at(name, Ipv4Addr::LOCALHOST.into())
    }

    /// The same for a host that has an address of its own.
    #[must_use]
    pub fn sign_at(&self, name: &str, address: IpAddr) -> Pair {
        self.write(name, &params(name, address))
    }

    /// Signs a certificate that is valid for so long from now on.
    #[must_use]
    pub fn sign_for(&self, name: &str, validity: Duration) -> Pair {
        let mut params = params(name, Ipv4Addr::LOCALHOST.into());
        let now = UNIX_EPOCH.elapsed().expect("it is later than 1970");
        params.not_after = (UNIX_EPOCH + now + validity).into();
        self.write(name, &params)
    }

    fn write(&self, name: &str, params: &CertificateParams) -> Pair {
        let (certificate, key) = self.signed(params);
        let pair = Pair {
            cert: self.directory.join(format!("{name}.pem")),
            key: self.directory.join(format!("{name}.key")),
        };
        fs::write(&pair.cert, certificate.pem()).expect("the certificate can be written");
        fs::write(&pair.key, key.serialize_pem()).expect("the key can be written");
        pair
    }

    fn signed(&self, params: &CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("an authority can sign");
        (certificate, key)
    }

    /// What a client needs to trust the servers that this authority signed.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.root.clone())
            .expect("our own root is well formed");
        Arc::new(
            ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .expect("ring knows the default versions")
                .with_root_certificates(roots)
                .with_no_client_auth(),
        )
    }

    /// What a stand-in server needs to be trusted by name.
    #[must_use]
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        let (certificate, key) = self.signed(&params(name, Ipv4Addr::LOCALHOST.into()));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(
            ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .expect("ring knows the default versions")
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .expect("the key belongs to the certificate"),
        )
    }
}

/// What a certificate for a name says.
fn params(name: &str, address: IpAddr) -> CertificateParams {
    let mut names = vec![
        name.to_owned(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ];
    if address != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        names.push(address.to_string());
    }
    let mut params = CertificateParams::new(names).expect("the names are valid");
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
