//! A body on its way out: with its dots stuffed behind DATA, or in the chunks of BDAT (RFC 3030).

use bytes::BytesMut;

use crate::client::outgoing::Outgoing;
use crate::data::Encoder;
use crate::limits::{CHUNK_SIZE, LAST_CHUNK_MAX};

/// How a body is sent.
#[derive(Debug)]
pub(super) enum Body {
    /// Behind DATA, up to a final dot.
    Data(Encoder),
    /// By BDAT. Octets go as they are, so that nothing in them can end the body.
    Chunks(Chunks),
}

impl Body {
    pub(super) fn new(chunked: bool) -> Self {
        if chunked {
            Self::Chunks(Chunks::default())
        } else {
            Self::Data(Encoder::default())
        }
    }

    /// The next octets.
    pub(super) fn feed(&mut self, octets: &[u8], outgoing: &mut Outgoing) {
        match self {
            Self::Data(encoder) => {
                for slice in encoder.encode(octets) {
                    outgoing.octets(slice);
                }
            }
            Self::Chunks(chunks) => {
                chunks.gathered.extend_from_slice(octets);
                if chunks.gathered.len() >= CHUNK_SIZE {
                    chunks.cut(outgoing);
                }
            }
        }
    }

    /// All octets are fed. What is too much for the last chunk goes ahead of it.
    pub(super) fn end(&mut self, outgoing: &mut Outgoing) {
        if let Self::Chunks(chunks) = self
            && chunks.gathered.len() > LAST_CHUNK_MAX
        {
            chunks.cut(outgoing);
        }
    }

    /// The end of data: a final dot, or the last chunk. Returns how many replies come before that
    /// which answers it.
    pub(super) fn finish(self, outgoing: &mut Outgoing) -> usize {
        match self {
            Self::Data(encoder) => {
                outgoing.octets(encoder.finish());
                0
            }
            Self::Chunks(Chunks {
                gathered,
                unanswered,
            }) => {
                outgoing.command(format_args!("BDAT {} LAST", gathered.len()));
                outgoing.octets(&gathered);
                unanswered
            }
        }
    }

    /// How many chunks have gone out without a reply yet.
    pub(super) const fn unanswered(&self) -> usize {
        match self {
            Self::Data(_) => 0,
            Self::Chunks(chunks) => chunks.unanswered,
        }
    }

    /// Takes one reply to a chunk. Returns whether one was awaited.
    pub(super) const fn count_reply(&mut self) -> bool {
        match self {
            Self::Chunks(Chunks { unanswered, .. }) if *unanswered > 0 => {
                *unanswered -= 1;
                true
            }
            _ => false,
        }
    }
}

/// A body that is cut into chunks.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// What is in no chunk yet: a chunk is announced by its size.
    gathered: BytesMut,
    unanswered: usize,
}

impl Chunks {
    fn cut(&mut self, outgoing: &mut Outgoing) {
        outgoing.command(format_args!("BDAT {}", self.gathered.len()));
        outgoing.octets(&self.gathered);
        self.gathered.clear();
        self.unanswered += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent of a body before its end is confirmed, and after.
    fn sent(body: &[u8], feeds: usize) -> (Vec<u8>, Vec<u8>, usize) {
        let mut outgoing = Outgoing::default();
        let mut sending = Body::new(true);
        for part in body.chunks(feeds.max(1)) {
            sending.feed(part, &mut outgoing);
        }
        sending.end(&mut outgoing);
        let before = outgoing.0.split().to_vec();
        let unanswered = sending.finish(&mut outgoing);
        (before, outgoing.0.to_vec(), unanswered)
    }

    #[test]
    fn a_small_body_is_one_chunk_that_waits_for_the_end() {
        assert_eq!(sent(b".\n", 1), (vec![], b"BDAT 2 LAST\r\n.\n".to_vec(), 0));
        assert_eq!(sent(b"", 1), (vec![], b"BDAT 0 LAST\r\n".to_vec(), 0));
        let (before, last, _) = sent(&vec![b'x'; LAST_CHUNK_MAX], 1000);
        assert!(before.is_empty());
        assert!(last.starts_with(b"BDAT 8192 LAST\r\nx"));
    }

    #[test]
    fn of_a_large_body_little_or_nothing_waits_for_the_end() {
        let body = vec![b'x'; LAST_CHUNK_MAX + 1];
        let (before, last, unanswered) = sent(&body, 1000);
        assert_eq!(before, [b"BDAT 8193\r\n", body.as_slice()].concat());
        assert_eq!((last.as_slice(), unanswered), (&b"BDAT 0 LAST\r\n"[..], 1));
        let body = vec![b'x'; 2 * CHUNK_SIZE + 5];
        let (before, last, unanswered) = sent(&body, CHUNK_SIZE);
        assert_eq!(before.len(), 2 * ("BDAT 65536\r\n".len() + CHUNK_SIZE));
        assert_eq!(
            (last.as_slice(), unanswered),
            (&b"BDAT 5 LAST\r\nxxxxx"[..], 2)
        );
    }
}
