//! The certificate that inbound sessions are shown, and its exchange while the node runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    InconsistentKeys, ServerConfig,
    crypto::ring,
    server::ServerSessionMemoryCache,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};
use spool::Timestamp;

/// TLS sessions that may be resumed: as many as come back within minutes.
const RESUMABLE_SESSIONS_MAX: usize = 1024;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not in PEM form.
    #[error("{} is not in PEM form: {error}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// The certificate file holds none.
    #[error("{} holds no certificate; it should start with -----BEGIN CERTIFICATE-----", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key file holds none.
    #[error("{} holds no private key; it should start with -----BEGIN PRIVATE KEY-----", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The first certificate of the file cannot be understood.
    #[error("the first certificate in {} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The two do not belong together.
    #[error(
        "the key in {} does not belong to the first certificate in {}; that one must be the server's own",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The key is of a kind that is not supported, or damaged.
    #[error("cannot use the key in {}: {error}", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls::Error,
    },
}

/// A certificate with its key, as servers use it; may be read again from its files at any time.
#[derive(Debug)]
pub struct ServerTls {
    cert: PathBuf,
    key: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Clone, Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    not_after: Timestamp,
}

impl ServerTls {
    /// Reads certificate chain and key.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let loaded = RwLock::new(load(cert, key)?);
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            loaded,
        })
    }

    /// Reads the files again. Sessions under way keep what they have.
    ///
    /// # Errors
    /// What is wrong with which file; the old certificate stays in use then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = load(&self.cert, &self.key)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What the next handshake uses.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .config
            .clone()
    }

    /// When the certificate expires.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .not_after
    }
}

fn load(cert: &Path, key: &Path) -> Result<Loaded, TlsError> {
    let chain = certificates(cert)?;
    let not_after = expiry(cert, chain.first())?;
    let private_key = private_key(key)?;
    let provider = Arc::new(ring::default_provider());
    let certified =
        CertifiedKey::from_der(chain, private_key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                cert: cert.to_owned(),
                key: key.to_owned(),
            },
            error => TlsError::BadKey {
                path: key.to_owned(),
                error,
            },
        })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers cipher suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS_MAX);
    Ok(Loaded {
        config: Arc::new(config),
        not_after,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
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

fn expiry(path: &Path, first: Option<&CertificateDer<'_>>) -> Result<Timestamp, TlsError> {
    let malformed = || TlsError::Malformed {
        path: path.to_owned(),
    };
    let der = first.ok_or_else(malformed)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| malformed())?;
    let seconds = certificate.validity().not_after.timestamp();
    Ok(Timestamp(
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1000),
    ))
}

#[cfg(test)]
mod tests;
