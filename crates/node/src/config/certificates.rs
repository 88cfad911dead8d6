//! Whether PEM files are there, can be read, and belong together.

use std::path::PathBuf;

use spool::Timestamp;
use tls::{MutualFiles, MutualTls, PemPair, ServerTls, TlsError};
use toml::Spanned;

use super::file::{CertificateTable, Fault, PemFile};
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

/// The certificate that clients are shown, and those for clients that ask for a name.
pub(super) fn of_smtp(
    cert: PemFile,
    key: PemFile,
    named: Vec<CertificateTable>,
) -> Result<(Option<PemPair>, Vec<PemPair>), Fault> {
    let first = pair(("tls_cert", cert), ("tls_key", key))?;
    if let Some((cert, key)) = &first {
        check_pair(cert, key)?;
    }
    let mut others = Vec::new();
    for table in named {
        let Some((cert, key)) = pair(("cert", table.cert), ("key", table.key))? else {
            continue;
        };
        if first.is_none() {
            let message = "[[smtp.certificate]] needs tls_cert and tls_key in [smtp], for clients that ask for no name";
            return Err(Fault::at(&cert, message));
        }
        check_named_pair(&cert, &key)?;
        others.push(pem_pair(cert, key));
    }
    Ok((first.map(|(cert, key)| pem_pair(cert, key)), others))
}

/// A certificate and its key, and where each is written.
type WrittenPair = (Spanned<PathBuf>, Spanned<PathBuf>);

/// Two files that belong together, each with the key that names it.
fn pair(
    (cert_name, cert): (&str, PemFile),
    (key_name, key): (&str, PemFile),
) -> Result<Option<WrittenPair>, Fault> {
    let (one, name, other) = match (written(cert), written(key)) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => return Ok(Some((cert, key))),
        (Some(cert), None) => (cert, cert_name, key_name),
        (None, Some(key)) => (key, key_name, cert_name),
    };
    let message = format!("{name} needs {other}; give both or none");
    Err(Fault::at(&one, message))
}

fn pem_pair(cert: Spanned<PathBuf>, key: Spanned<PathBuf>) -> PemPair {
    PemPair {
        cert: cert.into_inner(),
        key: key.into_inner(),
    }
}

/// What was written, unless it is the empty path that stands for none.
pub(super) fn written(file: PemFile) -> PemFile {
    file.filter(|path| !path.get_ref().as_os_str().is_empty())
}

/// The certificate and the key can be read and belong together.
fn check_pair(cert: &Spanned<PathBuf>, key: &Spanned<PathBuf>) -> Result<(), Fault> {
    ServerTls::load(cert.get_ref(), key.get_ref())
        .map(drop)
        .map_err(|error| fault(None, cert, key, &error))
}

/// Also, the certificate names a host that clients may ask for.
fn check_named_pair(cert: &Spanned<PathBuf>, key: &Spanned<PathBuf>) -> Result<(), Fault> {
    let pair = PemPair {
        cert: cert.get_ref().clone(),
        key: key.get_ref().clone(),
    };
    ServerTls::load_all(pair.clone(), vec![pair])
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
