//! A node's data directory: which database in it is the present one, and who has it open.
//!
//! ```text
//!   LOCK          locked by whoever has the directory open
//!   DATABASE      names the present database; absent while that is `db`
//!   db, db-N      databases; every number is used once
//!   incoming      files of a snapshot that is being received
//!   snapshot-N    a copy of the database that is being sent
//!   *.tmp         either of the two before it is whole
//! ```
//!
//! A database takes the place of another by one rename of the file that names it. Whatever that file
//! does not name is what a crash left, and goes at the next start.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    disk::{self, Disk},
    limits::SNAPSHOT_FREE_MIN,
};

const LOCK: &str = "LOCK";
const POINTER: &str = "DATABASE";
const INCOMING: &str = "incoming";
const SNAPSHOT: &str = "snapshot-";
/// Where RocksDB makes a copy of a database before it gives it the name that it was told.
const INCOMING_DRAFT: &str = "incoming.tmp";
/// The first database; the later ones have a number behind a dash.
const DATABASE: &str = "db";

/// A data directory that this process has to itself.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    present: Mutex<u64>,
    next: AtomicU64,
    _lock: Option<File>,
}

impl DataDir {
    /// Locks the directory and removes what a crash has left in it, but for the files of a
    /// snapshot that may still be resumed and for which there is room.
    ///
    /// # Errors
    /// Another process has it open; it can not be written.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let directory = Self::open_to_read(path)?;
        let present = directory.present_name();
        let has_room = Disk::of(path)?.free >= SNAPSHOT_FREE_MIN;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_left = number_of(&name).is_some() && *name != *present;
            // Without room, this node might not even start beside them.
            let is_in_the_way = || *name == *INCOMING && !has_room;
            if is_left || name.starts_with(SNAPSHOT) || *name == *INCOMING_DRAFT || is_in_the_way()
            {
                tracing::info!(directory = %entry.path().display(), "removing what is left over");
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(directory)
    }

    /// Locks the directory and leaves everything in it as it is. A directory that can not be
    /// written is opened unlocked: no node can run on it.
    ///
    /// # Errors
    /// Another process has it open; it can not be read.
    pub(crate) fn open_to_read(path: &Path) -> io::Result<Self> {
        let lock = match File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
        {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => None,
            Err(error) => return Err(error),
        };
        match lock.as_ref().map(File::try_lock) {
            None | Some(Ok(())) => {}
            Some(Err(TryLockError::WouldBlock)) => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "a running layoverd has it open; stop that first",
                ));
            }
            Some(Err(TryLockError::Error(error))) => return Err(error),
        }
        let named = read_pointer(path)?;
        let present = named.unwrap_or(0);
        let mut last = present;
        for entry in fs::read_dir(path)? {
            let number = number_of(&entry?.file_name().to_string_lossy());
            last = last.max(number.unwrap_or(0));
        }
        // An empty database in the place of one that is gone would be a node that has forgotten what
        // it has voted and acknowledged.
        let is_new = named.is_none() && last == 0;
        if !is_new && !path.join(name_of(present)).exists() {
            return Err(damaged(
                path,
                &format!("it names {}, which is not there", name_of(present)),
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            present: Mutex::new(present),
            next: AtomicU64::new(last + 1),
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn present_name(&self) -> String {
        name_of(*self.present.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the present database is the first, which no other has ever replaced: it may be that
    /// it is still to be made.
    pub(crate) fn is_at_first(&self) -> bool {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) == 0
    }

    /// Where the present database is.
    pub(crate) fn present(&self) -> PathBuf {
        self.path.join(self.present_name())
    }

    /// Where the files of a snapshot gather that is being received.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.path.join(INCOMING)
    }

    /// A path that was never used, for a copy of the database to be sent.
    pub(crate) fn new_snapshot(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.path.join(format!("{SNAPSHOT}{number}"))
    }

    /// A path that was never used, for a database.
    pub(crate) fn new_database(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.path.join(name_of(number))
    }

    /// Makes a database the present one. When this returns it is so, power failure or not; when it
    /// fails, the former one may still be.
    pub(crate) fn point_to(&self, database: &Path) -> io::Result<()> {
        let name = database.file_name().unwrap_or_default().to_string_lossy();
        let number = number_of(&name)
            .ok_or_else(|| io::Error::other(format!("{name} is no name of a database")))?;
        let text = format!("{}\n", name_of(number));
        disk::replace_synced(&self.path.join(POINTER), &text)?;
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = number;
        Ok(())
    }
}

fn name_of(number: u64) -> String {
    match number {
        0 => DATABASE.to_owned(),
        number => format!("{DATABASE}-{number}"),
    }
}

/// The number in a name that [`name_of`] made.
fn number_of(name: &str) -> Option<u64> {
    let number = match name.strip_prefix(DATABASE)? {
        "" => 0,
        rest => rest.strip_prefix('-')?.parse().ok()?,
    };
    (name_of(number) == name).then_some(number)
}

/// The number of the database that is named; `None` when none ever was.
fn read_pointer(directory: &Path) -> io::Result<Option<u64>> {
    match fs::read_to_string(directory.join(POINTER)) {
        Ok(text) => match number_of(text.trim_end()) {
            None => Err(damaged(directory, "it names no database")),
            number => Ok(number),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn damaged(directory: &Path, how: &str) -> io::Error {
    let file = directory.join(POINTER);
    let text = format!(
        "{} is damaged: {how}; it must name one of the databases beside it",
        file.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Removes a directory, if it is there.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The files of a database, which are removed with it once it was given up.
#[derive(Debug)]
pub(crate) struct Remains {
    path: PathBuf,
    given_up: AtomicBool,
}

impl Remains {
    /// Files that stay.
    pub(crate) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            given_up: AtomicBool::new(false),
        }
    }

    /// Decides whether they go with the database.
    pub(crate) fn give_up(&self, given_up: bool) {
        self.given_up.store(given_up, Ordering::Relaxed);
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.given_up.load(Ordering::Relaxed)
            && let Err(error) = remove(&self.path)
        {
            // The next start tries again.
            tracing::warn!(%error, directory = %self.path.display(), "not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(directory: &Path, names: &[&str]) {
        for name in names {
            fs::create_dir(directory.join(name)).unwrap();
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_without_a_pointer_has_its_first_database() {
        let dir = tempfile::tempdir().unwrap();
        made(
            dir.path(),
            &[
                "db",
                "incoming",
                "incoming.tmp",
                "db-3",
                "snapshot-4",
                "snapshot-5.tmp",
                "db-x",
            ],
        );
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.present(), dir.path().join("db"));
        assert_eq!(names(dir.path()), ["LOCK", "db", "db-x", "incoming"]);
    }

    #[test]
    fn the_pointer_names_the_present_database_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        made(dir.path(), &["db"]);
        let data = DataDir::open(dir.path()).unwrap();
        let next = data.new_database();
        fs::create_dir(&next).unwrap();
        data.point_to(&next).unwrap();
        assert_eq!(data.present(), next);
        drop(data);
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.present(), next);
        assert!(!dir.path().join("db").exists());
        assert_ne!(data.new_database(), next, "no number is used twice");
    }

    #[test]
    fn a_crash_before_the_rename_leaves_the_former_database() {
        let dir = tempfile::tempdir().unwrap();
        made(dir.path(), &["db", "db-1"]);
        fs::write(dir.path().join("DATABASE.new"), "db-1\n").unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.present(), dir.path().join("db"));
        assert!(!dir.path().join("db-1").exists());
    }

    #[test]
    fn a_damaged_pointer_is_not_taken_for_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "db-", "db-01", "../db", "incoming"] {
            fs::write(dir.path().join(POINTER), text).unwrap();
            let refused = DataDir::open(dir.path()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }

    #[test]
    fn a_database_that_is_gone_is_not_replaced_by_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        made(dir.path(), &["db", "db-1"]);
        fs::write(dir.path().join(POINTER), "db-2\n").unwrap();
        let refused = DataDir::open(dir.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        fs::remove_file(dir.path().join(POINTER)).unwrap();
        fs::remove_dir(dir.path().join("db")).unwrap();
        DataDir::open(dir.path()).unwrap_err();
        assert!(dir.path().join("db-1").exists());
    }

    #[test]
    fn only_one_at_a_time_has_a_directory_open() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let refused = DataDir::open_to_read(dir.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        DataDir::open_to_read(dir.path()).unwrap();
    }
}
