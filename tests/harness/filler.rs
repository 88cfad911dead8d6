//! A file that takes up what is free on a disk.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use rustix::fs::statvfs;

/// What the file is called.
const FILLER: &str = "filler";

/// How much is written at a time.
static BLOCK: [u8; 64 << 10] = [0; 64 << 10];

/// Octets that are free on the disk mounted at `disk`.
pub(crate) fn free(disk: &Path) -> u64 {
    let figures = statvfs(disk).expect("the disk is mounted");
    figures.f_bavail * figures.f_frsize
}

/// Writes the file, or more of it, until only `left` octets are free, or as few as there are.
pub(crate) fn fill(disk: &Path, left: u64) {
    let filler = File::options()
        .create(true)
        .append(true)
        .open(disk.join(FILLER));
    let mut filler = filler.expect("the disk takes a file");
    while free(disk) > left {
        match filler.write_all(&BLOCK) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return,
            Err(error) => panic!("filling the disk: {error}"),
        }
    }
}

/// Takes the file away again.
pub(crate) fn clear(disk: &Path) {
    fs::remove_file(disk.join(FILLER)).expect("the disk was filled");
}
