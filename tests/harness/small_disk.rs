//! A disk of a few megabytes, to be filled up.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::filler;

/// A tmpfs, taken down when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `mebibytes` at a directory, which is made if need be. Only root can do that,
    /// and not in every container: `None`, and a line that says so, where it is not permitted.
    ///
    /// # Panics
    /// When the directory can not be made.
    #[must_use]
    pub fn mount(at: &Path, mebibytes: u32) -> Option<Self> {
        fs::create_dir_all(at).expect("the directory can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}M"), "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("skipped: a small disk can not be mounted here; run the tests as root");
            return None;
        }
        Some(Self { at: at.to_owned() })
    }

    /// Octets that are free.
    ///
    /// # Panics
    /// When the disk can not be asked.
    #[must_use]
    pub fn free(&self) -> u64 {
        filler::free(&self.at)
    }

    /// Fills it up with a file until only `left` octets are free, or as few as there are.
    ///
    /// # Panics
    /// When writing fails for another reason than a full disk.
    pub fn fill(&self, left: u64) {
        filler::fill(&self.at, left);
    }

    /// Takes the file away again.
    ///
    /// # Panics
    /// When there is none.
    pub fn clear(&self) {
        filler::clear(&self.at);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that is dropped later still has its files open.
        let _gone = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
