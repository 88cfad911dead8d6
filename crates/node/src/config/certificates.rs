//! Whether PEM files are there, can be read, and belong together.

use std::{path::PathBuf, sync::Arc, time::Duration};

use relay::tls::{ServerTls, TlsError};
use rustls::{RootCertStore, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use spool::Timestamp;
use toml::Spanned;

use super::file::Fault;

/// The authority's file holds at least one certificate.
pub(super) fn check_ca(ca: &Spanned<PathBuf>) -> Result<(), Fault> {
    roots(ca).map(drop)
}

/// The certificate and the key can be read and belong together.
pub(super) fn check_pair(cert: &Spanned<PathBuf>, key: &Spanned<PathBuf>) -> Result<(), Fault> {
    ServerTls::load(cert.get_ref(), key.get_ref())
        .map(drop)
        .map_err(|error| {
            let at = match &error {
                TlsError::Unreadable { path, .. } | TlsError::NotPem { path, .. } => {
                    if path == key.get_ref() { key } else { cert }
                }
                TlsError::NoCertificate { .. } | TlsError::Malformed { .. } => cert,
                TlsError::NoKey { .. } | TlsError::Mismatch { .. } | TlsError::BadKey { .. } => key,
            };
            Fault::at(at, error.to_string())
        })
}

/// The authority signed the certificate, for use by a client too, and it is valid at the moment.
pub(super) fn check_signed(
    cert: &Spanned<PathBuf>,
    ca: &Spanned<PathBuf>,
    now: Timestamp,
) -> Result<(), Fault> {
    let chain = chain(cert)?;
    let Some((end_entity, intermediates)) = chain.split_first() else {
        return Ok(());
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider)
        .build()
        .map_err(|error| {
            Fault::at(
                ca,
                format!("{} is of no use: {error}", ca.get_ref().display()),
            )
        })?;
    let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
    verifier.verify_client_cert(end_entity, intermediates, now).map(drop).map_err(|error| {
        let message = format!(
            "the certificate in {} is not accepted under {}: {error}; give one that this authority signed",
            cert.get_ref().display(),
            ca.get_ref().display()
        );
        Fault::at(cert, message)
    })
}

fn roots(ca: &Spanned<PathBuf>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(ca)? {
        roots.add(certificate).map_err(|error| {
            let path = ca.get_ref().display();
            Fault::at(
                ca,
                format!("{path} holds no authority's certificate: {error}"),
            )
        })?;
    }
    Ok(roots)
}

fn chain(file: &Spanned<PathBuf>) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let path = file.get_ref().display();
    let unreadable = |error: rustls_pki_types::pem::Error| {
        Fault::at(
            file,
            format!("reading {path} failed: {error}; a PEM file with a certificate is needed"),
        )
    };
    let chain = CertificateDer::pem_file_iter(file.get_ref())
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(Fault::at(
            file,
            format!("{path} holds no certificate; a PEM file with one is needed"),
        ));
    }
    Ok(chain)
}
