//! How much of its list of files a database is known to have, noted beside that list.
//!
//! RocksDB lists its files in a MANIFEST. One that ends early, or in which the length of a record is
//! damaged, it takes for one whose last write was never finished: it goes on without the tables that
//! were listed behind that place, and the write-ahead log that had their rows is long gone. So what
//! the MANIFEST had is compared before a database is opened.
//!
//! Only what is on the disk is noted, so that an honest crash is accused of nothing, and only what was
//! appended since is read for it. What a MANIFEST got in the moment before a crash may not be noted
//! yet; the log tells then that entries are missing, unless it was cut off behind them in that moment.

use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use super::files;

/// The file in the directory of a database, a line of text. RocksDB leaves alone what it has not named.
pub(super) const FILE: &str = "NOTED";

/// The file that names the present MANIFEST.
pub(super) const CURRENT: &str = "CURRENT";

/// How often is looked whether there is more to note while the log grows.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps the note of an open database.
#[derive(Debug)]
pub(super) struct Note {
    database: PathBuf,
    file: File,
    manifest: Option<Manifest>,
    looked: Instant,
}

/// A MANIFEST as far as it was read.
#[derive(Debug)]
struct Manifest {
    name: String,
    file: File,
    bytes: u64,
    digest: Sha256,
}

impl Note {
    /// Notes what a database has that was just opened.
    pub(super) fn open(database: &Path) -> io::Result<Self> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(database.join(FILE))?;
        let mut note = Self {
            database: database.to_owned(),
            file,
            manifest: None,
            looked: Instant::now(),
        };
        note.write()?;
        Ok(note)
    }

    /// Notes what has been listed since, if that was not looked at just now.
    pub(super) fn keep_up(&mut self) -> io::Result<()> {
        if self.looked.elapsed() < EVERY {
            return Ok(());
        }
        self.write()
    }

    /// Notes what has been listed since.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let name = current(&self.database)?;
        let manifest = match self.manifest.take() {
            Some(manifest) if manifest.name == name => manifest,
            _ => match Manifest::open(&self.database, name) {
                // The next one has just taken its place.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                opened => opened?,
            },
        };
        let manifest = self.manifest.insert(manifest);
        if manifest.read_on()? {
            self.file.write_all_at(manifest.line().as_bytes(), 0)?;
        }
        Ok(())
    }
}

impl Manifest {
    fn open(database: &Path, name: String) -> io::Result<Self> {
        Ok(Self {
            file: File::open(database.join(&name))?,
            name,
            bytes: 0,
            digest: Sha256::new(),
        })
    }

    /// Reads what was appended. Returns whether there was anything.
    fn read_on(&mut self) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        if length <= self.bytes {
            return Ok(false);
        }
        self.file.sync_data()?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.bytes += files::digest(&mut self.file, length - self.bytes, &mut self.digest)?;
        Ok(true)
    }

    /// As it is noted: always of one length, and within one sector, so that it is written whole or not at
    /// all.
    fn line(&self) -> String {
        let digest = self.digest.clone().finalize();
        let digest: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("{:<30} {:>20} {digest}\n", self.name, self.bytes)
    }
}

/// Compares a database that is to be opened with what was noted.
///
/// # Errors
/// Its MANIFEST is not what it was, as `InvalidData`; it can not be read.
pub(super) fn check(database: &Path) -> io::Result<()> {
    let line = match fs::read(database.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        line => line?,
    };
    let line = String::from_utf8_lossy(&line);
    let name = current(database)?;
    let mut words = line.split_whitespace();
    // Another one took its place just before a crash.
    if words.next() != Some(&*name) {
        return Ok(());
    }
    let bytes = words.next().and_then(|bytes| bytes.parse().ok());
    let mut manifest = Manifest::open(database, name)?;
    manifest.bytes = files::digest(
        &mut manifest.file,
        bytes.unwrap_or(u64::MAX),
        &mut manifest.digest,
    )?;
    if manifest.line() == line {
        return Ok(());
    }
    let text = format!(
        "{} is damaged: it lists which tables there are, and does not begin with what {FILE} beside \
         it says; put both back from a copy of this very directory, or replace this node; where no \
         other node has the mail, layoverd export reads what is left once {FILE} is removed",
        database.join(&manifest.name).display(),
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// The name of a database's present MANIFEST.
fn current(database: &Path) -> io::Result<String> {
    let name = fs::read_to_string(database.join(CURRENT))?;
    Ok(name.trim_end().to_owned())
}
