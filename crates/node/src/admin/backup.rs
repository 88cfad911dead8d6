//! A copy of the spool, as it goes to the operator.

use api::copy::v1::{BackupChunk, backup_chunk::Kind};
use cluster::Backup;
use futures::{Stream, StreamExt as _, stream};
use tonic::Status;
use tracing::error;

/// The header and then all parts. A failure ends it without the part that closes it.
pub(super) fn chunks(
    backup: Backup,
) -> impl Stream<Item = Result<BackupChunk, Status>> + Send + 'static {
    let header = chunk(Kind::Header(backup.header.clone()));
    let parts = stream::unfold(backup, |mut backup| async {
        let part = backup.next().await?;
        let part = part.map(|part| chunk(Kind::Part(part))).map_err(|error| {
            error!(%error, "a backup broke off");
            Status::internal(format!("reading the spool failed: {error}"))
        });
        Some((part, backup))
    });
    stream::iter([Ok(header)]).chain(parts)
}

const fn chunk(kind: Kind) -> BackupChunk {
    BackupChunk { kind: Some(kind) }
}
