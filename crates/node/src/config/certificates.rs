//! Whether PEM files are there, can be read, and belong together.

use std::path::PathBuf;

use spool::Timestamp;
use tls::{MutualFiles, MutualTls, ServerTls, TlsError};
use toml::Spanned;

use super::file::Fault;
use crate::certificates::unix;

/// The files of `tls_ca`, `tls_cert` and `tls_key`.
pub(super) struct PemFiles {
    pub(super) ca: Spanned<PathBuf>,
    pub(super) cert: Spanned<PathBuf>,
    pub(super) key: Spanned<PathBuf>,
}

impl PemFiles {
    pub(super) fn into_files(self) -> MutualFiles {
        MutualFiles {
            ca: self.ca.into_inner(),
            cert: self.cert.into_inner(),
            key: self.key.into_inner(),
        }
    }

    fn files(&self) -> MutualFiles {
        MutualFiles {
            ca: self.ca.get_ref().clone(),
            cert: self.cert.get_ref().clone(),
            key: self.key.get_ref().clone(),
        }
    }

    /// The certificate and the key belong together, and the authority is one.
    pub(super) fn check_server(&self, now: Timestamp) -> Result<(), Fault> {
        MutualTls::for_server(self.files(), unix(now))
            .map(drop)
            .map_err(|error| fault(Some(&self.ca), &self.cert, &self.key, &error))
    }

    /// Also, the authority signed the certificate for both ends of a talk, it names the host by
    /// which others reach this node, and it is valid at the moment.
    pub(super) fn check_peer(&self, host: &str, now: Timestamp) -> Result<(), Fault> {
        MutualTls::for_peer(self.files(), host, unix(now))
            .map(drop)
            .map_err(|error| fault(Some(&self.ca), &self.cert, &self.key, &error))
    }
}

/// The certificate and the key can be read and belong together.
pub(super) fn check_pair(cert: &Spanned<PathBuf>, key: &Spanned<PathBuf>) -> Result<(), Fault> {
    ServerTls::load(cert.get_ref(), key.get_ref())
        .map(drop)
        .map_err(|error| fault(None, cert, key, &error))
}

/// The error at the value that names the file.
fn fault(
    ca: Option<&Spanned<PathBuf>>,
    cert: &Spanned<PathBuf>,
    key: &Spanned<PathBuf>,
    error: &TlsError,
) -> Fault {
    let is_keys = matches!(
        error,
        TlsError::NoKey { .. } | TlsError::Mismatch { .. } | TlsError::BadKey { .. }
    );
    let named = |value: &&Spanned<PathBuf>| value.get_ref() == error.file();
    let at = if is_keys {
        key
    } else {
        ca.into_iter()
            .chain([cert, key])
            .find(named)
            .unwrap_or(cert)
    };
    Fault::at(at, error.to_string())
}
