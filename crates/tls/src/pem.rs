//! What PEM files hold.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use rustls::{InconsistentKeys, RootCertStore, crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem, pem::PemObject as _};
use std::time::Duration;

use crate::{error::TlsError, limits::PEM_BYTES_MAX};

/// All certificates of a file, at least one.
///
/// # Errors
/// What is wrong with the file.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::NotPem {
            path: path.to_owned(),
            error,
        })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

/// When a certificate, which was read from `path`, ends.
///
/// # Errors
/// It is malformed.
pub fn not_after(path: &Path, certificate: &CertificateDer<'_>) -> Result<UnixTime, TlsError> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|_| TlsError::Malformed {
            path: path.to_owned(),
        })?;
    let seconds = parsed.validity().not_after.timestamp();
    let since_epoch = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Ok(UnixTime::since_unix_epoch(since_epoch))
}

/// The authorities of a file.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::BadAuthority {
                path: path.to_owned(),
                error: error.to_string(),
            })?;
    }
    Ok(roots)
}

/// A certificate chain with the key of its first certificate.
pub(crate) fn certified(
    cert: &Path,
    key: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<(CertifiedKey, UnixTime), TlsError> {
    let chain = certificates(cert)?;
    let own = chain.first().ok_or_else(|| TlsError::NoCertificate {
        path: cert.to_owned(),
    })?;
    let not_after = not_after(cert, own)?;
    let private_key = private_key(key)?;
    let certified =
        CertifiedKey::from_der(chain, private_key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                cert: cert.to_owned(),
                key: key.to_owned(),
            },
            error => TlsError::BadKey {
                path: key.to_owned(),
                error,
            },
        })?;
    Ok((certified, not_after))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey {
            path: path.to_owned(),
        },
        error => TlsError::NotPem {
            path: path.to_owned(),
            error,
        },
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    octets(path).map_err(|error| TlsError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

/// The whole file.
pub(crate) fn octets(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let read = File::open(path)?
        .take(PEM_BYTES_MAX + 1)
        .read_to_end(&mut octets)?;
    if u64::try_from(read).is_ok_and(|read| read > PEM_BYTES_MAX) {
        return Err(io::Error::other("it is too large for a PEM file"));
    }
    Ok(octets)
}
