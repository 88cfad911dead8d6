//! The certificates of a server that anyone may connect to.

mod by_name;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use by_name::ByName;
use rustls::{ServerConfig, crypto::ring, server::ServerSessionMemoryCache};
use rustls_pki_types::UnixTime;

use crate::{
    error::TlsError,
    limits::RESUMABLE_SESSIONS_MAX,
    names::dns_names,
    pem,
    watch::{Fingerprint, Reload},
};

/// The files of one certificate, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemPair {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// The key of that one.
    pub key: PathBuf,
}

/// Certificates with their keys, as servers use them; may be read again from their files at any time.
#[derive(Debug)]
pub struct ServerTls {
    /// What is shown unless a client asks for a name that one of the others has.
    first: PemPair,
    others: Vec<PemPair>,
    loaded: RwLock<Loaded>,
}

#[derive(Clone, Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    not_after: UnixTime,
    fingerprint: Fingerprint,
}

impl ServerTls {
    /// Reads certificate chain and key, which every client is shown.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let first = PemPair {
            cert: cert.to_owned(),
            key: key.to_owned(),
        };
        Self::load_all(first, Vec::new())
    }

    /// Reads several certificates: a client that asks for a name (SNI, RFC 6066 section 3) is shown one that
    /// has it, and every other client the first.
    ///
    /// # Errors
    /// What is wrong with which file; also that one of the others names no host.
    pub fn load_all(first: PemPair, others: Vec<PemPair>) -> Result<Self, TlsError> {
        let loaded = RwLock::new(load(&first, &others)?);
        Ok(Self {
            first,
            others,
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
        files(&self.first, &self.others)
    }

    fn reload(&self, _now: UnixTime) -> Result<(), TlsError> {
        let fresh = load(&self.first, &self.others)?;
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        self.loaded().fingerprint
    }

    /// The earliest of all.
    fn not_after(&self) -> UnixTime {
        self.loaded().not_after
    }
}

fn files<'a>(first: &'a PemPair, others: &'a [PemPair]) -> Vec<&'a Path> {
    let pairs = core::iter::once(first).chain(others);
    pairs
        .flat_map(|pair| [pair.cert.as_path(), pair.key.as_path()])
        .collect()
}

fn load(first: &PemPair, others: &[PemPair]) -> Result<Loaded, TlsError> {
    // Before they are read: what changes in between is noticed later.
    let fingerprint = Fingerprint::of(&files(first, others));
    let provider = Arc::new(ring::default_provider());
    let (certified, mut not_after) = pem::certified(&first.cert, &first.key, &provider)?;
    let names = certified.cert.first().map(dns_names).unwrap_or_default();
    let mut by_name = ByName::new(certified, names);
    for PemPair { cert, key } in others {
        let (certified, end) = pem::certified(cert, key, &provider)?;
        let names = certified.cert.first().map(dns_names).unwrap_or_default();
        if names.is_empty() {
            return Err(TlsError::Nameless { path: cert.clone() });
        }
        not_after = not_after.min(end);
        by_name.add(certified, names);
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers cipher suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(by_name));
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS_MAX);
    Ok(Loaded {
        config: Arc::new(config),
        not_after,
        fingerprint,
    })
}

#[cfg(test)]
mod tests;
