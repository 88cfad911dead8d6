//! A certificate authority for the tests of this room.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub(crate) fn signed(&self, names: &[&str]) -> (Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes `ca.pem`, `own.pem` and `own.key` into a folder.
    pub(crate) fn issue(&self, folder: &Path, names: &[&str]) {
        let (certificate, key) = self.signed(names);
        fs::write(folder.join("ca.pem"), self.pem()).unwrap();
        fs::write(folder.join("own.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("own.key"), key.serialize_pem()).unwrap();
    }
}
