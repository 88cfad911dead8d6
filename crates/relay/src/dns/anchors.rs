//! The keys that chains of signatures begin with (RFC 4033 section 2).

use core::fmt;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hickory_resolver::proto::{dnssec::TrustAnchors, serialize::txt::ParseError};

/// Keys that are believed without a signature; by default the root's of the Internet.
#[derive(Clone, Default)]
pub struct Anchors(pub(super) Arc<TrustAnchors>);

/// A file of keys is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AnchorsError {
    /// It can not be read.
    #[error("reading {} failed: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not what it should be.
    #[error("{} must hold DNSKEY records in the form of a zone file: {error}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: ParseError,
    },
    /// Without one nothing is believed.
    #[error("{} has no DNSKEY record of the root", file.display())]
    NoRoot {
        /// The file.
        file: PathBuf,
    },
}

impl Anchors {
    /// Reads keys from a file of DNSKEY records, as most resolvers take it; the root's must be among them.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(file: &Path) -> Result<Self, AnchorsError> {
        let text = fs::read_to_string(file).map_err(|error| AnchorsError::Unreadable {
            file: file.to_owned(),
            error,
        })?;
        let anchors: TrustAnchors = text.parse().map_err(|error| AnchorsError::Malformed {
            file: file.to_owned(),
            error,
        })?;
        if anchors.is_empty() {
            return Err(AnchorsError::NoRoot {
                file: file.to_owned(),
            });
        }
        Ok(Self(Arc::new(anchors)))
    }
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Anchors").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "257 3 13 TZCZcfT6VWSPl0Ieq7T+w03ZG3yilMrQNZ+aocktJqqKW1IGB5HG1+hitwWirRlIhhx18tT6rTZPe01+nXGjIw==";

    fn read(text: &str) -> Result<usize, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("root.key");
        fs::write(&file, text).unwrap();
        Anchors::read(&file)
            .map(|anchors| anchors.0.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_read_and_the_roots_must_be_there() {
        assert_eq!(
            read(&format!(".\tIN\tDNSKEY\t{KEY} ;{{id = 43625 (ksk)}}\n")),
            Ok(1)
        );
        let other = read(&format!("example. IN DNSKEY {KEY}\n")).unwrap_err();
        assert!(
            other.ends_with("root.key has no DNSKEY record of the root"),
            "{other}"
        );
        assert!(read("").is_err());
        let malformed = read(". IN A 192.0.2.1\n").unwrap_err();
        assert!(
            malformed.contains("must hold DNSKEY records"),
            "{malformed}"
        );
        assert!(Anchors::read(Path::new("/nowhere")).is_err());
    }
}
