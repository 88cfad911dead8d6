//! Work with the disk, without keeping the runtime waiting.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Does it on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// Does it on the caller's own thread, while another one goes on with the runtime's other tasks: that spares the way to
/// another thread and back. The calling task does nothing else meanwhile, and can not be broken off.
///
/// # Panics
/// On a runtime of one thread. When the work itself does, that is an error, as in [`blocking`].
pub(super) fn in_place<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let done = tokio::task::block_in_place(|| catch_unwind(AssertUnwindSafe(work)));
    done.unwrap_or_else(|_| Err(io::Error::other("panicked, as the log says")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_panics_in_place_is_an_error() {
        assert_eq!(in_place(|| Ok(7)).unwrap(), 7);
        let error = in_place::<()>(|| panic!("as it was told")).unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    }
}
