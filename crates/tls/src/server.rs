//! The certificate of a server that anyone may connect to.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig, crypto::ring, server::ServerSessionMemoryCache, sign::SingleCertAndKey,
};
use rustls_pki_types::UnixTime;

use crate::{
    error::TlsError,
    limits::RESUMABLE_SESSIONS_MAX,
    pem,
    watch::{Fingerprint, Reload},
};

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
    not_after: UnixTime,
    fingerprint: Fingerprint,
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

    /// What the next handshake uses.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.loaded().config
    }

    fn loaded(&self) -> Loaded {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Reload for ServerTls {
    fn files(&self) -> Vec<&Path> {
        vec![&self.cert, &self.key]
    }

    fn reload(&self, _now: UnixTime) -> Result<(), TlsError> {
        let fresh = load(&self.cert, &self.key)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        self.loaded().fingerprint
    }

    fn not_after(&self) -> UnixTime {
        self.loaded().not_after
    }
}

fn load(cert: &Path, key: &Path) -> Result<Loaded, TlsError> {
    // Before they are read: what changes in between is noticed later.
    let fingerprint = Fingerprint::of(&[cert, key]);
    let provider = Arc::new(ring::default_provider());
    let (certified, not_after) = pem::certified(cert, key, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers cipher suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS_MAX);
    Ok(Loaded {
        config: Arc::new(config),
        not_after,
        fingerprint,
    })
}

#[cfg(test)]
mod tests;
