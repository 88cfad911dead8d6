//! What the log's writer is given to do.

use std::{io, sync::Arc, time::Instant};

use bytes::Bytes;
use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use super::{cache::cost, open::Database, received::Received};
use crate::raft::{Entry, LogId, Types, Vote};

/// One thing to write.
pub(super) enum Job {
    Append {
        entries: Vec<Entry>,
        flushed: IOFlushed<Types>,
        since: Instant,
    },
    SaveVote {
        vote: Vote,
        done: oneshot::Sender<io::Result<()>>,
    },
    TruncateAfter {
        last: Option<LogId>,
        done: oneshot::Sender<io::Result<()>>,
    },
    Purge {
        upto: LogId,
        done: oneshot::Sender<io::Result<()>>,
    },
    /// Puts a piece of a message's body in the place of a damaged one.
    Mend {
        /// The message's place in the order of arrival.
        sequence: u64,
        /// The entry that carried the piece.
        index: u64,
        piece: Bytes,
        done: oneshot::Sender<io::Result<()>>,
    },
    /// Moves what is still needed out of segments of which most is not.
    Tidy,
    /// Puts a received database in the place of the present one; answers with the former.
    Install {
        received: Received,
        done: oneshot::Sender<io::Result<Arc<Database>>>,
    },
}

impl Job {
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(cost).sum(),
            Self::Mend { piece, .. } => piece.len(),
            _ => 0,
        }
    }

    /// Whether what comes behind it is written behind it. Within a batch entries come to the disk first, and a vote or a
    /// cut must be there before them; what comes behind an installed snapshot belongs into its database.
    pub(super) const fn ends_batch(&self) -> bool {
        matches!(
            self,
            Self::SaveVote { .. } | Self::TruncateAfter { .. } | Self::Install { .. }
        )
    }

    /// Index of the last entry that it appends, if it appends any.
    pub(super) fn last_index(&self) -> Option<u64> {
        match self {
            Self::Append { entries, .. } => entries.last().map(|entry| entry.log_id.index),
            _ => None,
        }
    }
}
