//! Pieces that can not be read here while the log is sent to a follower.
//!
//! A new leader does not know what its followers have and sends them from the middle of its log, so
//! one damaged piece would end every leader that has it, for an entry that the others have already.

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{blocking::blocking, entries, open::Database};
use crate::{
    limits::LOST_PIECES_MAX,
    raft::{Entry, LogId},
};

/// A piece that is wanted of another node.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The entry that carried it. Whoever has an entry of this id has this very entry (Raft paper
    /// section 5.3).
    pub(crate) log_id: LogId,
    /// Gets the piece; dropped when nobody has it.
    pub(crate) found: oneshot::Sender<Bytes>,
}

/// Where they are asked for.
#[derive(Clone, Debug)]
pub(super) struct LostPieces(mpsc::Sender<Lost>);

impl LostPieces {
    pub(super) fn new() -> (Self, mpsc::Receiver<Lost>) {
        let (wanted, asked) = mpsc::channel(LOST_PIECES_MAX);
        (Self(wanted), asked)
    }

    /// The entry `index`, which could not be read because of `error`, with its piece from another
    /// node. The disk stays as it is: what is still to be delivered is mended then.
    pub(super) async fn find(
        &self,
        database: Arc<Database>,
        index: u64,
        error: io::Error,
    ) -> io::Result<Entry> {
        let bare = blocking(move || entries::read_bare(&database, index)).await;
        // It is more that is wrong, and nobody else can tell what stood there.
        let Ok(Some((log_id, bare))) = bare else {
            return Err(error);
        };
        let (found, piece) = oneshot::channel();
        if self.0.send(Lost { log_id, found }).await.is_err() {
            return Err(error);
        }
        match piece.await {
            Ok(piece) => entries::with_piece(bare, piece),
            Err(_) => Err(error),
        }
    }
}
