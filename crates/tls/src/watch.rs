//! Files that are read again when they have changed.

use std::{fmt, path::Path, sync::Arc};

use rustls_pki_types::UnixTime;
use sha2::{Digest as _, Sha256};

use crate::{error::TlsError, pem};

/// Something that was made of PEM files, and can be made of them again while it is in use.
pub trait Reload: fmt::Debug + Send + Sync {
    /// The files.
    fn files(&self) -> Vec<&Path>;

    /// Reads the files again. Connections under way keep what they began with.
    ///
    /// # Errors
    /// What is wrong with which file; what was in use stays in use then.
    fn reload(&self, now: UnixTime) -> Result<(), TlsError>;

    /// What was in the files that are in use.
    fn fingerprint(&self) -> Fingerprint;

    /// When the certificate in use ends.
    fn not_after(&self) -> UnixTime;
}

/// What was in some files at one moment. Modification times are not looked at: a file that is
/// restored or linked to may bring an old one along.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

impl Fingerprint {
    /// Reads the files. One that can not be read counts as one that holds the reason.
    #[must_use]
    pub fn of(files: &[&Path]) -> Self {
        let mut all = Sha256::new();
        for file in files {
            let one = match pem::octets(file) {
                Ok(octets) => Sha256::digest(octets),
                Err(error) => Sha256::digest(format!("unreadable: {error}")),
            };
            all.update(one);
        }
        Self(all.finalize().into())
    }
}

/// Looks at files again and again. Reading blocks.
///
/// Files are replaced one after the other, and a look may fall in between. So a change counts only
/// once two looks have found the same.
#[derive(Debug)]
pub struct Watched {
    tls: Arc<dyn Reload>,
    unsettled: Option<Fingerprint>,
    /// What was found to be of no use, and was said to be.
    refused: Option<Fingerprint>,
}

impl Watched {
    /// Watches the files of `tls`.
    #[must_use]
    pub fn new(tls: Arc<dyn Reload>) -> Self {
        Self {
            tls,
            unsettled: None,
            refused: None,
        }
    }

    /// What the files are for.
    #[must_use]
    pub fn tls(&self) -> &dyn Reload {
        &*self.tls
    }

    /// Looks once. Says what came of it when the files have changed, and nothing as long as they
    /// stay as they are.
    pub fn look(&mut self, now: UnixTime) -> Option<Result<(), TlsError>> {
        let found = Fingerprint::of(&self.tls.files());
        if found == self.tls.fingerprint() {
            self.unsettled = None;
            self.refused = None;
            return None;
        }
        if self.refused == Some(found) {
            self.unsettled = None;
            return None;
        }
        if self.unsettled != Some(found) {
            self.unsettled = Some(found);
            return None;
        }
        Some(self.reload(now))
    }

    /// Reads the files at once, changed or not.
    ///
    /// # Errors
    /// What is wrong with which file; what was in use stays in use then.
    pub fn reload(&mut self, now: UnixTime) -> Result<(), TlsError> {
        self.unsettled = None;
        self.refused = Some(Fingerprint::of(&self.tls.files()));
        self.tls.reload(now)?;
        self.refused = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::{ServerTls, testing::Authority};

    const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

    fn watched(folder: &Path) -> Watched {
        Authority::new("ours").issue(folder, &["mx1.internal"]);
        let tls = ServerTls::load(&folder.join("own.pem"), &folder.join("own.key")).unwrap();
        Watched::new(Arc::new(tls))
    }

    #[test]
    fn files_that_stay_as_they_are_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut watched = watched(folder.path());
        for _ in 0..3 {
            assert!(watched.look(NOW).is_none());
        }
    }

    #[test]
    fn a_change_counts_once_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let mut watched = watched(folder.path());
        let (certificate, key) = Authority::new("ours").signed(&["mx1.internal"]);
        // One file after the other, with a look in between.
        fs::write(folder.path().join("own.pem"), certificate.pem()).unwrap();
        assert!(watched.look(NOW).is_none());
        fs::write(folder.path().join("own.key"), key.serialize_pem()).unwrap();
        assert!(watched.look(NOW).is_none());
        assert!(matches!(watched.look(NOW), Some(Ok(()))));
        assert!(watched.look(NOW).is_none());
    }

    #[test]
    fn what_is_of_no_use_is_said_once_and_what_was_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut watched = watched(folder.path());
        let good = fs::read(folder.path().join("own.key")).unwrap();
        let in_use = watched.tls().fingerprint();
        for broken in ["", "nothing here"] {
            fs::write(folder.path().join("own.key"), broken).unwrap();
            assert!(watched.look(NOW).is_none());
            let said = watched.look(NOW).unwrap().unwrap_err();
            assert_eq!(said.file(), folder.path().join("own.key"));
            assert!(watched.look(NOW).is_none());
            assert!(watched.look(NOW).is_none());
        }
        assert!(watched.reload(NOW).is_err());
        assert_eq!(watched.tls().fingerprint(), in_use);
        // The old key is put back: nothing has to be done, and the next fault is a new one.
        fs::write(folder.path().join("own.key"), good).unwrap();
        assert!(watched.look(NOW).is_none());
        fs::remove_file(folder.path().join("own.key")).unwrap();
        assert!(watched.look(NOW).is_none());
        assert!(matches!(watched.look(NOW), Some(Err(_))));
        assert!(watched.look(NOW).is_none());
    }
}
