//! Work with the disk, without keeping the runtime waiting.

use std::io;

/// Does on the caller's own thread what takes microseconds, unless the disk is slow: the runtime's other tasks go on on
/// another thread then. What else the calling task is at waits, and it can not be broken off.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// Does it on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
