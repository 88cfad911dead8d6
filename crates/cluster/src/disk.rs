//! How much of the disk is free, and files that survive a power failure.

use std::{
    fs::{self, File},
    io::{self, Write as _},
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
        let least = match must_stay_free {
            FreeSpace::Percent(percent) => self.size / 100 * u64::from(percent),
            FreeSpace::Bytes(bytes) => bytes,
        };
        self.free < least
    }
}

/// Makes a file with a text that is on the disk when this returns.
///
/// # Errors
/// What the system says; a file of that name must not be there.
pub(crate) fn create_synced(file: &Path, text: &str) -> io::Result<()> {
    let mut opened = File::create_new(file)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    file.parent().map_or(Ok(()), sync_directory)
}

/// Puts a text in the place of what a file says, or makes the file. It is on the disk when this returns;
/// a crash on the way leaves the one or the other.
///
/// # Errors
/// What the system says.
pub(crate) fn replace_synced(file: &Path, text: &str) -> io::Result<()> {
    let draft = file.with_extension("new");
    let mut opened = File::create(&draft)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    fs::rename(&draft, file)?;
    file.parent().map_or(Ok(()), sync_directory)
}

/// Makes what was created in a directory, or taken away from it, survive a power failure.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
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
        assert!(!disk.is_full(FreeSpace::Bytes(9_000)));
    }

    #[test]
    fn the_disk_of_a_real_path_has_a_size() {
        let disk = Disk::of(Path::new("/")).unwrap();
        assert!(disk.size >= disk.free && disk.size > 0);
    }
}
