//! Whether PEM files are there, can be read, and belong together.

use std::path::PathBuf;

use spool::Timestamp;
use tls::{MutualFiles, MutualTls, PemPair, ServerTls, TlsError};
use toml::Spanned;

use super::{
    fault::Fault,
    file::{CertificateTable, PemFile},
};
use crate::clock::unix;

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
    let first = WrittenPair::of(("tls_cert", cert), ("tls_key", key))?;
    let first = first.map(WrittenPair::checked).transpose()?;
    let mut others = Vec::new();
    for table in named {
        let Some(pair) = WrittenPair::of(("cert", table.cert), ("key", table.key))? else {
            continue;
        };
        if first.is_none() {
            let message = "[[smtp.certificate]] needs tls_cert and tls_key in [smtp], for clients that ask for no name";
            return Err(Fault::at(&pair.cert, message));
        }
        others.push(pair.checked_for_its_names()?);
    }
    Ok((first, others))
}

/// A certificate and its key, where they stand.
struct WrittenPair {
    cert: Spanned<PathBuf>,
    key: Spanned<PathBuf>,
}

impl WrittenPair {
    /// Both or none, each with the name of its line.
    fn of(
        (cert_name, cert): (&str, PemFile),
        (key_name, key): (&str, PemFile),
    ) -> Result<Option<Self>, Fault> {
        let (one, name, other) = match (written(cert), written(key)) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => return Ok(Some(Self { cert, key })),
            (Some(cert), None) => (cert, cert_name, key_name),
            (None, Some(key)) => (key, key_name, cert_name),
        };
        let message = format!("{name} needs {other}; give both or none");
        Err(Fault::at(&one, message))
    }

    /// The files, if they can be read and belong together.
    fn checked(self) -> Result<PemPair, Fault> {
        let pair = self.files();
        ServerTls::load(&pair.cert, &pair.key)
            .map_err(|error| fault(None, &self.cert, &self.key, &error))?;
        Ok(pair)
    }

    /// The same, if the certificate also names a host that clients may ask for.
    fn checked_for_its_names(self) -> Result<PemPair, Fault> {
        let pair = self.files();
        ServerTls::load_all(pair.clone(), vec![pair.clone()])
            .map_err(|error| fault(None, &self.cert, &self.key, &error))?;
        Ok(pair)
    }

    fn files(&self) -> PemPair {
        PemPair {
            cert: self.cert.get_ref().clone(),
            key: self.key.get_ref().clone(),
        }
    }
}

/// What was written, unless it is the empty path that stands for none.
pub(super) fn written(file: PemFile) -> PemFile {
    file.filter(|path| !path.get_ref().as_os_str().is_empty())
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
