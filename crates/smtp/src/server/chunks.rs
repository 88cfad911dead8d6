//! A body that comes in chunks (RFC 3030).
//!
//! Each chunk says how long it is, so nothing in it marks an end, and dots are only dots.

use bytes::BytesMut;

use super::{
    Settings,
    reading::{Progress, Reading},
};
use crate::{BodyType, Envelope, Reply, data::LineEnds};

/// What is kept of a message from its first BDAT to its last.
#[derive(Debug)]
pub(super) struct Chunks {
    reading: Reading,
    /// Where a stray CR or LF in the body means anything: not in a binary one.
    line_ends: Option<LineEnds>,
    chunk: Chunk,
}

/// One chunk, and how far it has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    /// How long its BDAT says that it is.
    pub(super) octets: u64,
    /// Whether the body ends with it.
    pub(super) last: bool,
    to_come: u64,
}

impl Chunk {
    /// One of which nothing has come yet.
    pub(super) const fn new(octets: u64, last: bool) -> Self {
        Self {
            octets,
            last,
            to_come: octets,
        }
    }

    /// Whether all of it has come.
    pub(super) const fn has_ended(self) -> bool {
        self.to_come == 0
    }

    /// Takes what has come of it off the front.
    pub(super) fn take(&mut self, unread: &mut BytesMut) -> BytesMut {
        let to_come = usize::try_from(self.to_come).unwrap_or(usize::MAX);
        let octets = unread.split_to(to_come.min(unread.len()));
        self.to_come -= octets.len() as u64;
        octets
    }
}

impl Chunks {
    /// A body of which no chunk has come.
    pub(super) fn new(envelope: Envelope) -> Self {
        let is_text = envelope.body_type != BodyType::BinaryMime;
        Self {
            reading: Reading::new(envelope),
            line_ends: is_text.then(LineEnds::default),
            chunk: Chunk::new(0, false),
        }
    }

    /// The octets of a chunk follow. It counts with its whole length at once: a message that is too
    /// big is not gathered first.
    pub(super) const fn begin(&mut self, chunk: Chunk) {
        self.reading.announce(chunk.octets);
        self.chunk = chunk;
    }

    /// The chunk that is arriving.
    pub(super) const fn chunk(&self) -> Chunk {
        self.chunk
    }

    /// Appends what has arrived of the chunk to the body.
    pub(super) fn read(
        &mut self,
        unread: &mut BytesMut,
        body: &mut BytesMut,
        settings: &Settings,
    ) -> Progress {
        let before = body.len();
        let octets = self.chunk.take(unread);
        self.reading.take(&octets, body, settings);
        if let Some(line_ends) = &mut self.line_ends {
            line_ends.check(&octets);
            if self.chunk.last && self.chunk.has_ended() {
                line_ends.end();
            }
            if line_ends.has_bare() {
                self.reading.note_bare_line_end();
            }
        }
        self.reading.progress(body.len() > before, settings)
    }

    /// Why the message is refused, as far as it is known.
    pub(super) fn objection(&self, settings: &Settings) -> Option<Reply> {
        self.reading.objection(settings)
    }

    /// The message, when its last chunk has arrived.
    pub(super) fn into_reading(self) -> Reading {
        self.reading
    }
}
