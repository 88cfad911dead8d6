//! What the files are called.

use std::{fs, io, path::Path};

/// How the names of segments end.
pub(crate) const ENDING: &str = "piece";

pub(super) fn name_of(number: u64) -> String {
    format!("{number:08}.{ENDING}")
}

/// The numbers of the segments in a directory, in order.
pub(super) fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        // Others are RocksDB's, which may remove some at this very moment.
        numbers.extend(number_in(&entry?.file_name().to_string_lossy()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn number_in(name: &str) -> Option<u64> {
    name.strip_suffix(ENDING)?.strip_suffix('.')?.parse().ok()
}
