//! The note in the data directory that this node lacks something it has acknowledged, or may.
//!
//! It outlives restarts, so that a node which dies while it is being rebuilt does not come back as
//! one that has everything.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::disk;

/// The file; it says why.
pub(crate) const FILE: &str = "REBUILDING";

/// The reason of a node that has no log: it is new, or its disk was emptied.
pub(crate) const EMPTY: &str = "its data directory was empty";

/// The note.
#[derive(Debug)]
pub(crate) struct Rebuilding {
    data_dir: PathBuf,
    reason: Option<String>,
}

impl Rebuilding {
    /// What the note says, if there is one.
    pub(crate) fn read(data_dir: &Path) -> io::Result<Option<String>> {
        match fs::read_to_string(data_dir.join(FILE)) {
            Ok(noted) => Ok(Some(noted.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the note; with a `reason`, makes one if there is none.
    pub(crate) fn open(data_dir: &Path, reason: Option<String>) -> io::Result<Self> {
        let mut note = Self {
            data_dir: data_dir.to_owned(),
            reason: Self::read(data_dir)?,
        };
        if let Some(reason) = reason {
            note.begin(&reason)?;
        }
        Ok(note)
    }

    /// Why this node is being rebuilt; `None` when it lacks nothing.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Whether something is known to be missing. A node without a log may just be new.
    pub(crate) fn is_loss(&self) -> bool {
        self.reason.as_deref().is_some_and(|reason| reason != EMPTY)
    }

    /// Where the note is, or would be.
    pub(crate) fn path(&self) -> PathBuf {
        self.data_dir.join(FILE)
    }

    /// Writes the note, if there is none.
    pub(crate) fn begin(&mut self, reason: &str) -> io::Result<()> {
        if self.reason.is_none() {
            disk::create_synced(&self.path(), reason)?;
            self.reason = Some(reason.to_owned());
        }
        Ok(())
    }

    /// Takes the note away: nothing is missing any more.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.reason.take().is_some() {
            fs::remove_file(self.path())?;
            disk::sync_directory(&self.data_dir)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_outlives_a_restart_and_keeps_its_first_reason() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Rebuilding::open(dir.path(), None).unwrap().reason(), None);
        Rebuilding::open(dir.path(), Some("first".to_owned())).unwrap();
        let mut note = Rebuilding::open(dir.path(), Some("second".to_owned())).unwrap();
        assert_eq!(note.reason(), Some("first"));
        note.end().unwrap();
        note.end().unwrap();
        assert_eq!(Rebuilding::open(dir.path(), None).unwrap().reason(), None);
    }
}
