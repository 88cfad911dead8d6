//! Files that appear as a whole or not at all.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use rcgen::KeyPair;
use tempfile::NamedTempFile;

/// Certificates are shown to everyone who connects.
pub(super) const PUBLIC: u32 = 0o644;

/// Keys are their owner's.
const SECRET: u32 = 0o600;

/// Whether there is something of this name, readable or not.
pub(super) fn exists(path: &Path) -> anyhow::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("looking for {} failed", path.display())),
    }
}

/// Writes a file that must not be there yet.
pub(super) fn create(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let write = || {
        let (dir, file) = written(path, text, mode)?;
        file.persist_noclobber(path)?;
        File::open(dir)?.sync_all()
    };
    write().with_context(|| failed(path))
}

/// Puts a file in the place of one that is there.
pub(super) fn replace(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let write = || {
        let (dir, file) = written(path, text, mode)?;
        file.persist(path)?;
        File::open(dir)?.sync_all()
    };
    write().with_context(|| failed(path))
}

fn failed(path: &Path) -> String {
    format!(
        "writing {} failed; make room and see that you may write there, then run it again",
        path.display()
    )
}

/// The text on the disk, beside the place where it is to be.
fn written<'a>(path: &'a Path, text: &str, mode: u32) -> io::Result<(&'a Path, NamedTempFile)> {
    let dir = path
        .parent()
        .ok_or_else(|| io::Error::other("it is in no directory"))?;
    let mut file = tempfile::Builder::new()
        .prefix(".unfinished-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok((dir, file))
}

/// Makes a key and writes it.
pub(super) fn new_key(path: &Path) -> anyhow::Result<KeyPair> {
    let key = KeyPair::generate().context("making a key failed")?;
    create(path, &key.serialize_pem(), SECRET)?;
    Ok(key)
}

/// Reads a key.
pub(super) fn read_key(path: &Path) -> anyhow::Result<KeyPair> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "reading {} failed; run this as the key's owner",
            path.display()
        )
    })?;
    KeyPair::from_pem(&text).with_context(|| {
        format!(
            "{} is no private key in PKCS #8 form (-----BEGIN PRIVATE KEY-----); \
             turn it into one with: openssl pkcs8 -topk8 -nodes",
            path.display()
        )
    })
}

/// When the first certificate of a file ends, in milliseconds since 1970.
pub(super) fn not_after_ms(path: &Path) -> anyhow::Result<u64> {
    let chain = tls::certificates(path)?;
    let Some(certificate) = chain.first() else {
        bail!("{} holds no certificate", path.display());
    };
    Ok(tls::not_after(path, certificate)?.as_secs() * 1000)
}
