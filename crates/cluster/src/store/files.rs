//! A database on its way, file by file.
//!
//! ```text
//!   list ─────▶ which files there are, and how long each is
//!        ◀───── held: what the receiver has of them already, with a SHA-256 of each
//!   parts ────▶ for each file: from which octet on, octets, SHA-256 of the whole file
//! ```
//!
//! Files of a database do not change once they are written, so what both ends have need not be sent
//! again, whether it came with a transfer that broke off or from an earlier snapshot.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::limits::SNAPSHOT_CHUNK_BYTES;

/// One file of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name, without a folder.
    pub(crate) name: String,
    /// Its octets.
    pub(crate) size: u64,
}

/// What a receiver has of a file: its first octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) size: u64,
    pub(crate) digest: [u8; 32],
}

/// What a receiver has of each file, by name.
pub(crate) type HeldFiles = BTreeMap<String, Held>;

/// A part of a database on its way; parts come in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A file begins.
    File {
        /// Its name, one of those listed.
        name: String,
        /// The receiver keeps what it has up to here, or begins anew at 0.
        from: u64,
    },
    /// The next octets of it.
    Octets(Bytes),
    /// It ends: the SHA-256 of all of it.
    FileEnd([u8; 32]),
    /// That was the last file.
    End,
}

/// The files in a directory, in order of their names.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files.push(Listed {
            name: entry.file_name().to_string_lossy().into_owned(),
            size: entry.metadata()?.len(),
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Reads up to `size` octets of a file into a digest; returns how many there were.
pub(crate) fn digest(file: &mut File, size: u64, into: &mut Sha256) -> io::Result<u64> {
    let mut file = file.take(size);
    let mut octets = vec![0; SNAPSHOT_CHUNK_BYTES];
    let mut count = 0;
    loop {
        let read = file.read(&mut octets)?;
        if read == 0 {
            return Ok(count);
        }
        into.update(octets.get(..read).unwrap_or_default());
        count += read as u64;
    }
}

/// Sends all parts of the listed files that the receiver does not hold, and the end.
///
/// # Errors
/// A file can not be read, or nobody takes the parts any more.
pub(crate) fn send(
    directory: &Path,
    files: &[Listed],
    held: &HeldFiles,
    parts: &mpsc::Sender<io::Result<Part>>,
) -> io::Result<()> {
    for listed in files {
        send_file(directory, listed, held.get(&listed.name), parts)?;
    }
    parts.blocking_send(Ok(Part::End)).map_err(|_| broken_off())
}

fn send_file(
    directory: &Path,
    listed: &Listed,
    held: Option<&Held>,
    parts: &mpsc::Sender<io::Result<Part>>,
) -> io::Result<()> {
    let give = |part| parts.blocking_send(Ok(part)).map_err(|_| broken_off());
    let path = directory.join(&listed.name);
    let mut file = File::open(&path)?;
    let mut sum = Sha256::new();
    let mut from = 0;
    if let Some(held) = held.filter(|held| held.size <= listed.size) {
        let mut same = sum.clone();
        from = digest(&mut file, held.size, &mut same)?;
        if from == held.size && *same.clone().finalize() == held.digest {
            sum = same;
        } else {
            file = File::open(&path)?;
            from = 0;
        }
    }
    let name = listed.name.clone();
    give(Part::File { name, from })?;
    while from < listed.size {
        let want = (listed.size - from).min(SNAPSHOT_CHUNK_BYTES as u64);
        let mut octets = Vec::with_capacity(SNAPSHOT_CHUNK_BYTES);
        (&mut file).take(want).read_to_end(&mut octets)?;
        if octets.is_empty() {
            return Err(io::Error::other(format!(
                "{} is shorter than it was",
                path.display()
            )));
        }
        sum.update(&octets);
        from += octets.len() as u64;
        give(Part::Octets(octets.into()))?;
    }
    give(Part::FileEnd(sum.finalize().into()))
}

pub(crate) fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the snapshot broke off")
}
