//! Why certificates cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustls_pki_types::pem;

use crate::words::in_words;

/// Why a certificate cannot be used: which file, what is wrong, what would be right.
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
    /// No client could ask for the certificate.
    #[error(
        "the certificate in {} names no host among its alternative names, so that no client would be shown it",
        path.display()
    )]
    Nameless {
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
    #[error("cannot use the key in {}: {}", path.display(), in_words(error))]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls::Error,
    },
    /// A certificate among the authorities is of no use as one.
    #[error("{} holds no authority's certificate: {error}", path.display())]
    BadAuthority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The others, who know the same authority, would not accept the certificate.
    #[error(
        "the certificate in {} is not accepted under {}: {}; give one that this authority signed, \
         for servers and clients",
        cert.display(),
        ca.display(),
        in_words(error)
    )]
    NotAccepted {
        /// The certificate file.
        cert: PathBuf,
        /// The authority's file.
        ca: PathBuf,
        /// What is wrong with it.
        error: rustls::Error,
    },
    /// The certificate is another host's.
    #[error(
        "the certificate in {} names {names}, but the other nodes reach this one as {host}; give one that \
         names it (layover cluster certs DIR {host})",
        cert.display()
    )]
    NotNamed {
        /// The certificate file.
        cert: PathBuf,
        /// What it names.
        names: String,
        /// What it should.
        host: String,
    },
}

impl TlsError {
    /// The file in which something must be changed.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. }
            | Self::NotPem { path, .. }
            | Self::NoCertificate { path }
            | Self::NoKey { path }
            | Self::Malformed { path }
            | Self::Nameless { path }
            | Self::BadKey { path, .. }
            | Self::BadAuthority { path, .. } => path,
            Self::Mismatch { key, .. } => key,
            Self::NotAccepted { cert, .. } | Self::NotNamed { cert, .. } => cert,
        }
    }
}
