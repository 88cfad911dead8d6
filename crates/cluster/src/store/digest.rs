//! What all rows of the spool's tables hash to, so that replicas can be compared.

use std::{io, sync::Arc};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    blocking::blocking,
    keys::{self, Table},
    open::{Column, Database},
    tables::Tables,
};
use crate::codec;

/// Everything that `apply` has made of the log on one node, in 32 octets. Bodies are in it by their
/// own digests, which stand in the messages' rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolDigest {
    /// Index of the last entry that was applied to what was read; 0 when there is none.
    pub applied_index: u64,
    /// How many rows there are.
    pub rows: u64,
    /// SHA-256 over all of them, in the order of their keys. Of each, the length of its key, its key
    /// (without what says under which number this database keeps its tables), the length of its
    /// value, and its value; lengths are eight octets, big-endian.
    pub sha256: [u8; 32],
}

/// Reads all rows of the tables on a thread of its own, one reading at a time. It ends early when the
/// node stops, or when nobody waits for it any more.
pub(crate) async fn digest(
    tables: &Arc<Tables>,
    stop: &CancellationToken,
) -> io::Result<SpoolDigest> {
    let unwanted = stop.child_token();
    let _until_given_up = unwanted.clone().drop_guard();
    let alone = tables.store().digest_alone().await;
    let tables = Arc::clone(tables);
    blocking(move || {
        let digest = of(&tables.now(), || unwanted.is_cancelled());
        drop(alone);
        digest
    })
    .await
}

fn of(database: &Database, is_unwanted: impl Fn() -> bool) -> io::Result<SpoolDigest> {
    let prefix = database.keys().incarnation();
    let applied_key = database.keys().table(Table::Applied);
    let mut applied_index = 0;
    let mut rows = 0;
    let mut sum = Sha256::new();
    // One reading is one moment of the database, and how far the log is applied is among its rows.
    database.for_each(
        Column::Spool,
        &prefix,
        keys::end_of(prefix.clone()),
        |key, value| {
            if is_unwanted() {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            if key == applied_key {
                let log_id: api::peer::v1::LogId = codec::decode(value, "log id")?;
                applied_index = log_id.index;
            }
            for octets in [key.get(prefix.len()..).unwrap_or_default(), value] {
                sum.update((octets.len() as u64).to_be_bytes());
                sum.update(octets);
            }
            rows += 1;
            Ok(())
        },
    )?;
    Ok(SpoolDigest {
        applied_index,
        rows,
        sha256: sum.finalize().into(),
    })
}
