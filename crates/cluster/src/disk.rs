//! How much of the disk is free, and files that survive a power failure.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use crate::config::FreeSpace;

/// Octets free for this process on a path's file system, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) free: u64,
    pub(crate) size: u64,
}

impl Disk {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Self {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            size: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    /// Whether less is free than must stay free.
    pub(crate) fn is_full(self, must_stay_free: FreeSpace) -> bool {
        self.free < self.least(must_stay_free)
    }

    /// How many octets more must be free so that what is delivered may be kept: half as many again as must
    /// stay free for mail.
    pub(crate) fn lacking(self, must_stay_free: FreeSpace) -> u64 {
        let least = self.least(must_stay_free);
        least.saturating_add(least / 2).saturating_sub(self.free)
    }

    /// How many octets must stay free.
    pub(crate) fn least(self, must_stay_free: FreeSpace) -> u64 {
        match must_stay_free {
            FreeSpace::Percent(percent) => self.size / 100 * u64::from(percent),
            FreeSpace::Bytes(bytes) => bytes,
        }
    }
}

/// Makes a directory, and what is missing above it, that only this process's user may enter: it is
/// to hold other people's mail. One that is there stays as it is.
///
/// # Errors
/// What the system says.
pub(crate) fn create_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Makes a file with a text that is on the disk when this returns. Of several who make it at the same
/// time one succeeds; a crash or a full disk on the way leaves none, never a part of one.
///
/// # Errors
/// What the system says; a file of that name must not be there.
pub(crate) fn create_synced(file: &Path, text: &str) -> io::Result<()> {
    // A name of its own: nobody else may write to what becomes the file.
    let draft = file.with_extension(format!("{:016x}.new", rand::random::<u64>()));
    let made = write_synced(File::create_new(&draft), text)
        // Unlike a rename, it takes the place of nothing.
        .and_then(|()| fs::hard_link(&draft, file));
    let removed = fs::remove_file(&draft);
    made.and(removed)?;
    file.parent().map_or(Ok(()), sync_directory)
}

/// Puts a text in the place of what a file says, or makes the file. It is on the disk when this returns;
/// a crash on the way leaves the one or the other.
///
/// # Errors
/// What the system says.
pub(crate) fn replace_synced(file: &Path, text: &str) -> io::Result<()> {
    let draft = file.with_extension("new");
    write_synced(File::create(&draft), text)?;
    fs::rename(&draft, file)?;
    file.parent().map_or(Ok(()), sync_directory)
}

fn write_synced(opened: io::Result<File>, text: &str) -> io::Result<()> {
    let mut opened = opened?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()
}

/// Makes what was created in a directory, or taken away from it, survive a power failure.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Octets of the files in a directory whose names end with `.ending`. Those that go meanwhile have none.
pub(crate) fn bytes_ending(directory: &Path, ending: &str) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| Path::new(&entry.file_name()).extension() == Some(ending.as_ref()))
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_disk_is_full_below_a_share_or_a_number_of_octets() {
        let disk = Disk {
            free: 9_000,
            size: 100_000,
        };
        assert!(disk.is_full(FreeSpace::Percent(10)));
        assert!(!disk.is_full(FreeSpace::Percent(9)));
        assert!(disk.is_full(FreeSpace::Bytes(9_001)));
        assert_eq!(disk.lacking(FreeSpace::Percent(8)), 3_000);
        assert_eq!(disk.lacking(FreeSpace::Bytes(6_000)), 0);
        assert!(!disk.is_full(FreeSpace::Bytes(9_000)));
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.collect()
    }

    #[test]
    fn a_file_is_made_once_and_only_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("NODE");
        create_synced(&file, "node 1\n").unwrap();
        let refused = create_synced(&file, "node 2\n").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "node 1\n");
        assert_eq!(names(dir.path()), ["NODE"], "no draft is left");
    }

    #[test]
    fn of_many_who_make_a_file_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("NODE");
        let texts: Vec<String> = (0..8).map(|id| format!("node {id}\n")).collect();
        let made: Vec<bool> = std::thread::scope(|scope| {
            let make = |text: &String| create_synced(&file, text).is_ok();
            let threads: Vec<_> = texts
                .iter()
                .map(|text| scope.spawn(move || make(text)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let winners: Vec<&String> = texts
            .iter()
            .zip(&made)
            .filter(|(_, made)| **made)
            .map(|(text, _)| text)
            .collect();
        assert_eq!(winners, [&fs::read_to_string(&file).unwrap()]);
    }

    #[test]
    fn a_file_that_can_not_be_made_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("NODE")).unwrap();
        create_synced(&dir.path().join("NODE"), "node 1\n").unwrap_err();
        assert_eq!(names(dir.path()), ["NODE"]);
    }

    #[test]
    fn a_directory_for_mail_is_made_for_one_user_and_one_that_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let made = dir.path().join("var/spool");
        create_private(&made).unwrap();
        assert_eq!(mode(&made), 0o700);
        let shared = Permissions::from_mode(0o750);
        fs::set_permissions(&made, shared).unwrap();
        create_private(&made).unwrap();
        assert_eq!(mode(&made), 0o750);
    }

    #[test]
    fn the_disk_of_a_real_path_has_a_size() {
        let disk = Disk::of(Path::new("/")).unwrap();
        assert!(disk.size >= disk.free && disk.size > 0);
    }
}
