//! A new cluster from a backup.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use super::metrics;
use crate::{
    claim, disk,
    raft::Member,
    store::{self, DataDir, Store, Tables},
};

/// Octets copied at once.
const COPY_BYTES: usize = 1 << 20;

/// Copies the database in `from`, each of whose files must hash to the SHA-256 beside its name in
/// `sums`, into a data directory without data, and makes it the beginning of a new cluster of this
/// node alone, reached at `advertise`. Returns the cluster's name.
///
/// # Errors
/// The data directory has data, a file is damaged or missing, or it can not be written. The
/// directory still has no data then.
pub fn restore(
    from: &Path,
    sums: &[(String, [u8; 32])],
    data_dir: &Path,
    node_id: u64,
    advertise: &str,
) -> io::Result<u128> {
    disk::create_private(data_dir)?;
    let directory = DataDir::open_to_read(data_dir)?;
    let database = directory.present();
    if claim::is_claimed(data_dir) || database.exists() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it has data; give the restored node an empty data_dir",
        ));
    }
    let draft = directory.incoming();
    store::remove(&draft)?;
    fs::create_dir(&draft)?;
    for (name, sum) in sums {
        copy(&from.join(name), &draft.join(name), sum)?;
    }
    // It gets its place only when it is a new cluster's: a node that was started on it earlier
    // would take part in the former one, without what it had voted there.
    let opened = Arc::new(Store::open_at(directory, &draft, metrics())?);
    let tables = Tables::open(Arc::clone(&opened))?;
    let member = Member {
        address: advertise.to_owned(),
    };
    let name = store::found_anew(&tables, node_id, member)?;
    drop((tables, opened));
    disk::sync_directory(&draft)?;
    fs::rename(&draft, &database)?;
    claim::claim_alone(data_dir, node_id)?;
    Ok(name)
}

fn copy(from: &Path, to: &Path, expected: &[u8; 32]) -> io::Result<()> {
    let at =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", from.display()));
    let mut source = File::open(from).map_err(at)?;
    let mut target = File::create_new(to)?;
    let mut sum = Sha256::new();
    let mut octets = vec![0; COPY_BYTES];
    loop {
        let count = source.read(&mut octets).map_err(at)?;
        let read = octets.get(..count).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        sum.update(read);
        target.write_all(read)?;
    }
    if *sum.finalize() != *expected {
        return Err(at(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is not what was backed up",
        )));
    }
    target.sync_all()
}
