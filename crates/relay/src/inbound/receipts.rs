//! Which 250s a client has read, as far as it lets us know.
//!
//! ```text
//!   250 queued ─▶ told ─▶ everything sent before it is dealt with, and it is written: the client's
//!                         turn ─▶ a line arrives: read
//! ```
//!
//! What a client had pipelined behind the final dot (RFC 2920 section 3.1) was sent before there was a
//! 250, so it proves nothing; nor does the end of the connection.

use core::mem;

use spool::MessageId;

/// 250s that a client may be told before it has to read one of them: more than one takes a client
/// that pipelines whole transactions. Of more, the earliest are never known to have been read.
const TOLD_MAX: usize = 16;

/// The 250s of one session.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    told: Vec<MessageId>,
    /// All of `told` is written, and nothing that was sent before is left to be read.
    is_clients_turn: bool,
    read: Vec<MessageId>,
}

impl Receipts {
    /// A 250 that names this message is about to be written.
    pub(super) fn tell(&mut self, id: MessageId) {
        self.is_clients_turn = false;
        if self.told.len() >= TOLD_MAX {
            self.told.remove(0);
        }
        self.told.push(id);
    }

    /// All replies are written, and `unread` is what is left of what the client has sent.
    pub(super) const fn written(&mut self, unread: &[u8]) {
        if unread.is_empty() {
            self.is_clients_turn = true;
        }
    }

    /// Something has arrived, and `unread` is what is there now. Returns what the client has read by
    /// this proof.
    pub(super) fn arrived(&mut self, unread: &[u8]) -> &[MessageId] {
        if self.told.is_empty() || !self.is_clients_turn || !unread.contains(&b'\n') {
            return &[];
        }
        let before = self.read.len();
        self.read.append(&mut self.told);
        self.read.get(before..).unwrap_or_default()
    }

    /// What was read since this was asked last.
    pub(super) fn take_read(&mut self) -> Vec<MessageId> {
        mem::take(&mut self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: MessageId = MessageId(1);
    const SECOND: MessageId = MessageId(2);

    #[test]
    fn a_line_that_comes_behind_the_250_proves_that_it_was_read() {
        let mut receipts = Receipts::default();
        receipts.written(b"");
        assert!(receipts.arrived(b"MAIL FROM:<>\r\n").is_empty());
        receipts.tell(FIRST);
        receipts.written(b"");
        assert!(receipts.arrived(b"QU").is_empty(), "not a line yet");
        receipts.written(b"QU");
        assert_eq!(receipts.arrived(b"QUIT\r\n"), [FIRST]);
        assert_eq!(receipts.take_read(), [FIRST]);
        assert!(receipts.take_read().is_empty());
    }

    #[test]
    fn what_was_sent_before_the_250_proves_nothing() {
        let mut receipts = Receipts::default();
        receipts.written(b"");
        receipts.tell(FIRST);
        assert!(receipts.arrived(b"MAIL FROM:<>\r\nRC").is_empty());
        receipts.written(b"RC");
        assert!(receipts.arrived(b"RCPT TO:<b@example.com>\r\n").is_empty());
        receipts.tell(SECOND);
        receipts.written(b"");
        assert_eq!(receipts.arrived(b"NOOP\r\n"), [FIRST, SECOND]);
    }

    #[test]
    fn a_client_that_never_waits_takes_no_memory() {
        let mut receipts = Receipts::default();
        for number in 0..1000 {
            receipts.tell(MessageId(number));
        }
        assert_eq!(receipts.told.len(), TOLD_MAX);
    }
}
