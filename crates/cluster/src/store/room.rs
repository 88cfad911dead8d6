//! Room on the disk that is only given back when it is asked for.
//!
//! A piece that is deleted stays in its file until the deletion, which is in memory at first, is
//! written to a file, too, and both are compacted. The write-ahead log has it a second time, until
//! every column has written what it has in memory. New mail brings all that about, and a disk that
//! is too full to take any would wait for it for ever.

use std::io;

use super::{present::Store, raft_state};
use crate::disk::Disk;

impl Store {
    /// Gives the room of all pieces back to the disk that were deleted, if the log was purged further
    /// than up to `before` since. Returns how far it was purged then; `None` when nothing was done.
    /// Blocks: not for the runtime's threads.
    ///
    /// # Errors
    /// The disk does not take what must be written for it. The node goes on: a deletion that is not
    /// written to a file is in the write-ahead log.
    pub(crate) fn give_room_back(&self, before: Option<u64>) -> io::Result<Option<u64>> {
        let database = self.now();
        let purged = raft_state::purged(&database)?.map(|purged| purged.index);
        // What must be written first would end the node where there is no room for it.
        let free = Disk::of(self.directory().path())?.free;
        if purged <= before || database.octets_to_give_back() > free {
            return Ok(None);
        }
        database.give_room_back()?;
        Ok(purged)
    }
}
