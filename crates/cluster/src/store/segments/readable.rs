//! Reading pieces back.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::PathBuf};

use super::Location;

/// A segment whose pieces are read.
#[derive(Debug)]
pub(crate) struct Readable {
    segment: u64,
    path: PathBuf,
    file: File,
}

impl Readable {
    /// Opens it.
    ///
    /// # Errors
    /// It is missing (`InvalidData`: all that it had is damaged), or can not be opened.
    pub(super) fn open(segment: u64, path: PathBuf) -> io::Result<Self> {
        match File::open(&path) {
            Ok(file) => Ok(Self {
                segment,
                path,
                file,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!("{} is missing", path.display());
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a piece lies in it.
    pub(crate) const fn has(&self, location: &Location) -> bool {
        self.segment == location.segment
    }

    /// Reads a piece that lies in it.
    ///
    /// # Errors
    /// It is not what was written (`InvalidData`), or can not be read.
    pub(crate) fn read(&self, location: Location) -> io::Result<Vec<u8>> {
        let damaged = || {
            let (path, offset) = (self.path.display(), location.offset);
            let text = format!("{path} is damaged at octet {offset}");
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let mut piece = vec![0; location.length as usize];
        match self.file.read_exact_at(&mut piece, location.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damaged()),
            Err(error) => Err(error),
            Ok(()) if crc32fast::hash(&piece) != location.sum => Err(damaged()),
            Ok(()) => Ok(piece),
        }
    }
}
