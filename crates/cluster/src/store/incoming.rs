//! A snapshot that is received: another node's database, gathered file by file beside the present
//! one.
//!
//! What a transfer that broke off has left is kept and offered to the next one. A first transfer is
//! offered the files of the present database: after an earlier snapshot most of them are the
//! sender's own.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use super::{
    directory::{self, Remains},
    files::{self, Held, HeldFiles, Listed, Part},
    present::Store,
    received::Received,
    receiving::Place,
};
use crate::{
    disk::{self, Disk},
    limits::SNAPSHOT_FREE_MIN,
};

/// Names of a database's files are short.
const NAME_BYTES_MAX: usize = 64;

/// Gathers the files of one snapshot. Blocks: not for the runtime's threads.
#[derive(Debug)]
pub(crate) struct Incoming {
    store: Arc<Store>,
    directory: PathBuf,
    /// Size of each file that is still to come, or is arriving.
    missing: BTreeMap<String, u64>,
    open: Option<Open>,
    /// Octets that need not be sent.
    kept: u64,
    /// Octets that were sent.
    received: u64,
    _place: Place,
}

/// The file whose octets are arriving.
#[derive(Debug)]
struct Open {
    name: String,
    file: File,
    written: u64,
    size: u64,
    sum: Sha256,
}

fn refused(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

impl Incoming {
    /// Makes ready for the listed files in the place for them, which is this store's; returns what is
    /// there of them already.
    ///
    /// # Errors
    /// The list is no database's, or the disk has no room for what is missing. Nothing is kept of an
    /// earlier transfer then: what can not become whole would only make the room shorter.
    pub(crate) fn begin(
        store: Arc<Store>,
        place: Place,
        list: Vec<Listed>,
    ) -> io::Result<(Self, HeldFiles)> {
        let directory = store.directory().incoming();
        let mut missing = BTreeMap::new();
        for Listed { name, size } in list {
            if !is_plain(&name) || missing.insert(name.clone(), size).is_some() {
                return Err(refused(format!("a snapshot has no file named {name:?}")));
            }
        }
        if !directory.exists() {
            // By hard links, which are cut before anything else is written under their names.
            store.now().checkpoint(&directory)?;
        }
        let held = hold(&directory, &missing)?;
        let size = missing
            .values()
            .fold(0, |sum: u64, size| sum.saturating_add(*size));
        let to_come = size.saturating_sub(held.values().map(|held| held.size).sum());
        if let Err(error) = check_room(store.directory().path(), to_come) {
            directory::remove(&directory)?;
            return Err(error);
        }
        let incoming = Self {
            store,
            directory,
            missing,
            open: None,
            kept: 0,
            received: 0,
            _place: place,
        };
        Ok((incoming, held))
    }

    /// Octets that this transfer found here and did not ask for again.
    pub(crate) const fn kept(&self) -> u64 {
        self.kept
    }

    /// Octets that this transfer has brought.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// It does not belong to the list, or the octets are not those that were sent; the file they
    /// were for is removed then. Or the disk has no room for it.
    pub(crate) fn take(&mut self, part: Part) -> io::Result<()> {
        match part {
            Part::File { name, from } => self.begin_file(name, from),
            Part::Octets(octets) => self.append(&octets),
            Part::FileEnd(sum) => self.end_file(sum),
            Part::End => Ok(()),
        }
    }

    fn begin_file(&mut self, name: String, from: u64) -> io::Result<()> {
        let size = match self.missing.get(&name) {
            Some(size) if self.open.is_none() && from <= *size => *size,
            _ => return Err(refused(format!("{name:?} comes out of turn"))),
        };
        let path = self.directory.join(&name);
        let mut sum = Sha256::new();
        let file = if from == 0 {
            remove_file(&path)?;
            File::create_new(&path)?
        } else {
            // One that is whole may be a file of the present database, too: it is only read.
            let is_whole = from == size;
            let mut file = File::options().read(true).append(!is_whole).open(&path)?;
            if files::digest(&mut file, u64::MAX, &mut sum)? != from {
                return Err(refused(format!("of {name} there is another part")));
            }
            file
        };
        self.kept += from;
        self.open = Some(Open {
            name,
            file,
            written: from,
            size,
            sum,
        });
        Ok(())
    }

    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        let count = octets.len() as u64;
        let open = self.open.take_if(|open| count > open.size - open.written);
        if let Some(Open { name, .. }) = open {
            remove_file(&self.directory.join(&name))?;
            return Err(refused(format!(
                "{name} of the snapshot is longer than it was listed"
            )));
        }
        let open = self.open.as_mut();
        let open = open.ok_or_else(|| refused("octets of no file"))?;
        // There was room for all of it; others write to the disk meanwhile, too.
        check_room(&self.directory, count)?;
        open.file.write_all(octets)?;
        open.sum.update(octets);
        open.written += count;
        self.received += count;
        Ok(())
    }

    fn end_file(&mut self, sum: [u8; 32]) -> io::Result<()> {
        let open = self
            .open
            .take()
            .ok_or_else(|| refused("the end of no file"))?;
        if open.size != open.written || *open.sum.finalize() != sum {
            remove_file(&self.directory.join(&open.name))?;
            return Err(refused(format!(
                "{} of the snapshot is not what was sent",
                open.name
            )));
        }
        open.file.sync_all()?;
        self.missing.remove(&open.name);
        Ok(())
    }

    /// Checks that everything has arrived, and opens it as a database of this node, beside the
    /// present one.
    ///
    /// # Errors
    /// Something is missing, or it is no sound database.
    pub(crate) fn finish(self) -> io::Result<Received> {
        if let Some((name, _)) = self.missing.first_key_value() {
            return Err(refused(format!("{name} of the snapshot did not come")));
        }
        disk::sync_directory(&self.directory)?;
        let path = self.store.directory().new_database();
        // Nobody would take up again what has got this name.
        let remains = Remains::of(&path);
        remains.give_up(true);
        fs::rename(&self.directory, &path)?;
        disk::sync_directory(self.store.directory().path())?;
        let received = Received::open(&path, Arc::clone(self.store.metrics()))?;
        // They go with the database from here on.
        remains.give_up(false);
        Ok(received)
    }
}

/// Whether it may be a file's name in a database, and leads nowhere else.
fn is_plain(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'.' || octet == b'-';
    let length = 1..=NAME_BYTES_MAX;
    length.contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

/// Checks that a disk has room for so many octets more, and for what else is written to it meanwhile.
fn check_room(path: &Path, to_come: u64) -> io::Result<()> {
    let free = Disk::of(path)?.free;
    if to_come <= free.saturating_sub(SNAPSHOT_FREE_MIN) {
        return Ok(());
    }
    let text = format!(
        "the snapshot needs {to_come} octets more, and of the {free} that are free on the disk \
         {SNAPSHOT_FREE_MIN} must stay free; make room"
    );
    Err(io::Error::new(io::ErrorKind::StorageFull, text))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads what is there of the wanted files, and removes what is not wanted.
fn hold(directory: &Path, wanted: &BTreeMap<String, u64>) -> io::Result<HeldFiles> {
    let mut held = HeldFiles::new();
    for Listed { name, size } in files::list(directory)? {
        let path = directory.join(&name);
        let wanted = wanted.get(&name).copied().unwrap_or(0);
        // What is also a file of the present database must never be appended to.
        let is_shared = path.metadata()?.nlink() > 1;
        if size > wanted || (is_shared && size < wanted) {
            fs::remove_file(path)?;
            continue;
        }
        let mut sum = Sha256::new();
        files::digest(&mut File::open(path)?, size, &mut sum)?;
        let digest = sum.finalize().into();
        held.insert(name, Held { size, digest });
    }
    Ok(held)
}
