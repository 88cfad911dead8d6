//! `layover backup DIR`: a copy of the spool, which `layoverd restore --from DIR` reads.
//!
//! ```text
//!   DIR/db/…         the files of the database
//!   DIR/SHA256SUMS   what each hashes to; `sha256sum -c` reads it, too
//!   DIR/BACKUP       what it is a copy of; written last, so a copy without it is not whole
//! ```

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use api::{
    admin::v1::BackupRequest,
    copy::v1::{BackupChunk, BackupHeader, backup_chunk, part},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tonic::Streaming;

use crate::{
    output::Output,
    servers::{Client, Servers, in_time},
    words,
};

/// The format of the backup that this version writes.
const VERSION: u32 = 1;

/// How long a node may take before it sends the first part: it reads all its tables, of a million messages on a
/// slow disk too. One that is gone is noticed sooner.
const COPY_TIMEOUT: Duration = Duration::from_secs(600);

/// How often a watching person sees how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// What was backed up.
#[derive(Serialize)]
struct Summary<'a> {
    directory: &'a Path,
    cluster: &'a str,
    node_id: u64,
    taken_ms: u64,
    messages: u64,
    last_log_term: u64,
    last_log_index: u64,
    files: usize,
    bytes: u64,
}

/// Copies the spool of the first node that answers into a new or empty directory.
pub(crate) async fn backup(
    servers: &Servers,
    output: &mut Output,
    directory: PathBuf,
) -> anyhow::Result<()> {
    let writing = || format!("writing the backup to {} failed", directory.display());
    make_empty(&directory).with_context(writing)?;
    let mut chunks = servers
        .ask_within(COPY_TIMEOUT, async |mut client: Client| {
            Ok(client.backup(BackupRequest {}).await?.into_inner())
        })
        .await?;
    let Some(backup_chunk::Kind::Header(header)) = next(&mut chunks).await? else {
        bail!("the node sent no backup");
    };
    ensure!(
        header.version == VERSION,
        "the node makes backups of version {}, this program knows {VERSION}; use the layover of \
         the node's version",
        header.version
    );
    let mut copy = Copy::new(&directory, &header).with_context(writing)?;
    while let Some(part) = next_part(&mut chunks).await? {
        copy.take(part).with_context(writing)?;
        copy.show(output)?;
    }
    let bytes = copy.done;
    copy.finish(&header).with_context(writing)?;
    tell(
        output,
        &Summary {
            directory: &directory,
            cluster: &header.cluster,
            node_id: header.node_id,
            taken_ms: header.taken_ms,
            messages: header.messages,
            last_log_term: header.last_log_term,
            last_log_index: header.last_log_index,
            files: header.files.len(),
            bytes,
        },
    )
}

fn tell(output: &mut Output, summary: &Summary<'_>) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(output.document(summary)?);
    }
    output.end_progress()?;
    Ok(output.line(&format!(
        "{} of cluster {}, up to log index {} of node {}, in {}: {}",
        words::count(summary.messages, "message"),
        words::escaped(summary.cluster),
        summary.last_log_index,
        summary.node_id,
        summary.directory.display(),
        words::size(summary.bytes),
    ))?)
}

/// Makes sure that nothing is there that the backup would be mixed with.
fn make_empty(directory: &Path) -> anyhow::Result<()> {
    // It is to hold other people's mail.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let is_empty = directory.read_dir()?.next().is_none();
    ensure!(is_empty, "it is not empty; name a new directory");
    Ok(())
}

async fn next(chunks: &mut Streaming<BackupChunk>) -> anyhow::Result<Option<backup_chunk::Kind>> {
    let chunk = in_time(chunks.message()).await;
    let chunk = chunk.map_err(|status| {
        anyhow::anyhow!(
            "the backup broke off and is of no use: {}",
            status.message()
        )
    })?;
    Ok(chunk.and_then(|chunk| chunk.kind))
}

/// The next part; `None` at the end of a whole copy.
async fn next_part(chunks: &mut Streaming<BackupChunk>) -> anyhow::Result<Option<part::Kind>> {
    match next(chunks).await? {
        Some(backup_chunk::Kind::Part(part)) => match part.kind {
            Some(part::Kind::End(_)) => Ok(None),
            Some(kind) => Ok(Some(kind)),
            None => bail!("the node sent a part of a backup that this program does not know"),
        },
        _ => bail!("the backup broke off and is of no use"),
    }
}

/// The copy as it grows.
struct Copy {
    directory: PathBuf,
    open: Option<(String, File, Sha256)>,
    sums: String,
    files: usize,
    files_all: usize,
    done: u64,
    all: u64,
    shown: Instant,
}

impl Copy {
    fn new(directory: &Path, header: &BackupHeader) -> io::Result<Self> {
        fs::create_dir(directory.join("db"))?;
        let sizes = header.files.iter().map(|file| file.size);
        Ok(Self {
            directory: directory.to_owned(),
            open: None,
            sums: String::new(),
            files: 0,
            files_all: header.files.len(),
            done: 0,
            all: sizes.fold(0, u64::saturating_add),
            shown: Instant::now(),
        })
    }

    fn take(&mut self, part: part::Kind) -> anyhow::Result<()> {
        match (part, &mut self.open) {
            (part::Kind::File(file), None) => {
                ensure!(is_plain(&file.name), "{:?} is no file's name", file.name);
                let opened = File::create_new(self.directory.join("db").join(&file.name))?;
                self.open = Some((file.name, opened, Sha256::new()));
            }
            (part::Kind::Octets(octets), Some((_, file, sum))) => {
                file.write_all(&octets)?;
                sum.update(&octets);
                self.done += octets.len() as u64;
            }
            (part::Kind::Digest(digest), Some(_)) => {
                if let Some((name, file, sum)) = self.open.take() {
                    let sum = sum.finalize();
                    ensure!(*sum == *digest, "{name} is not what the node has sent");
                    file.sync_all()?;
                    for octet in sum {
                        write!(self.sums, "{octet:02x}")?;
                    }
                    writeln!(self.sums, "  db/{name}")?;
                    self.files += 1;
                }
            }
            _ => bail!("the node sent the parts of the backup out of turn"),
        }
        Ok(())
    }

    /// Tells a person who watches how far it is.
    fn show(&mut self, output: &mut Output) -> io::Result<()> {
        if !output.is_terminal() || self.shown.elapsed() < PROGRESS_INTERVAL {
            return Ok(());
        }
        self.shown = Instant::now();
        let line = format!(
            "{} of {}, file {} of {}",
            words::size(self.done),
            words::size(self.all),
            self.files + 1,
            self.files_all
        );
        output.progress_of(self.done, self.all, &line)
    }

    fn finish(self, header: &BackupHeader) -> anyhow::Result<()> {
        ensure!(
            self.open.is_none() && self.files == self.files_all,
            "only {} files of {} came",
            self.files,
            self.files_all
        );
        write_synced(&self.directory.join("SHA256SUMS"), &self.sums)?;
        File::open(self.directory.join("db"))?.sync_all()?;
        File::open(&self.directory)?.sync_all()?;
        let about = format!(
            "layover backup, format {VERSION}\ncluster {}\nnode {}\ntaken {}\nlog {} {}\nmessages {}\n",
            header.cluster,
            header.node_id,
            words::moment(header.taken_ms),
            header.last_log_term,
            header.last_log_index,
            header.messages,
        );
        write_synced(&self.directory.join("BACKUP"), &about)?;
        File::open(&self.directory)?.sync_all()?;
        Ok(())
    }
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Whether it is a file's name and leads nowhere else.
fn is_plain(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'.' || octet == b'-';
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BackupHeader {
        BackupHeader {
            version: VERSION,
            files: vec![api::copy::v1::ListedFile {
                name: "CURRENT".to_owned(),
                size: 3,
            }],
            ..BackupHeader::default()
        }
    }

    fn file(name: &str) -> part::Kind {
        part::Kind::File(api::copy::v1::File {
            name: name.to_owned(),
            from: 0,
        })
    }

    #[test]
    fn a_whole_copy_has_sums_and_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut copy = Copy::new(folder.path(), &header()).unwrap();
        copy.take(file("CURRENT")).unwrap();
        copy.take(part::Kind::Octets((&b"abc"[..]).into())).unwrap();
        let digest = Sha256::digest(b"abc");
        copy.take(part::Kind::Digest(digest.to_vec().into()))
            .unwrap();
        copy.finish(&header()).unwrap();
        let sums = fs::read_to_string(folder.path().join("SHA256SUMS")).unwrap();
        assert_eq!(
            sums,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  db/CURRENT\n"
        );
        let about = fs::read_to_string(folder.path().join("BACKUP")).unwrap();
        assert!(about.starts_with("layover backup, format 1\n"));
    }

    #[test]
    fn damaged_missing_and_strange_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut copy = Copy::new(folder.path(), &header()).unwrap();
        for name in ["", "..", "../x", "a/b", ".ssh"] {
            copy.take(file(name)).unwrap_err();
        }
        copy.take(part::Kind::Octets((&b"abc"[..]).into()))
            .unwrap_err();
        copy.take(file("CURRENT")).unwrap();
        copy.take(part::Kind::Octets((&b"abd"[..]).into())).unwrap();
        let digest = Sha256::digest(b"abc");
        copy.take(part::Kind::Digest(digest.to_vec().into()))
            .unwrap_err();
        copy.finish(&header()).unwrap_err();
        assert!(!folder.path().join("BACKUP").exists());
    }

    #[test]
    fn nothing_is_mixed_with_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        make_empty(&folder.path().join("new/one")).unwrap();
        make_empty(&folder.path().join("new/one")).unwrap();
        let refused = make_empty(&folder.path().join("new")).unwrap_err();
        assert!(refused.to_string().contains("not empty"), "{refused}");
    }
}
