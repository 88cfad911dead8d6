//! A body on its way in.

use bytes::{Buf as _, BytesMut};

use super::{Settings, hops::HopCounter, replies};
use crate::{
    Envelope, Reply,
    data::Decoder,
    limits::{OWN_HOPS_MAX, RECEIVED_MAX},
};

/// What is kept of a message while its octets arrive.
///
/// Everything is read to the end, also when the message will be refused: a server that stops earlier
/// reads the rest of the body as commands (SMTP smuggling).
#[derive(Debug)]
pub(super) struct Reading {
    envelope: Envelope,
    hops: HopCounter,
    size: u64,
    bare_line_end: bool,
    refused: bool,
}

/// What one stretch of input brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing for the caller to do.
    Nothing,
    /// The body grew.
    Grown,
    /// From now on the message is refused.
    Refused,
}

impl Reading {
    pub(super) const fn new(envelope: Envelope) -> Self {
        Self {
            envelope,
            hops: HopCounter::new(),
            size: 0,
            bare_line_end: false,
            refused: false,
        }
    }

    /// Appends what has arrived behind DATA to the body, and says whether it has ended.
    pub(super) fn read_data(
        &mut self,
        decoder: &mut Decoder,
        unread: &mut BytesMut,
        body: &mut BytesMut,
        settings: &Settings,
    ) -> (Progress, bool) {
        let before = body.len();
        let consumed = decoder.decode(unread, |run| {
            self.announce(run.len() as u64);
            self.take(run, body, settings);
        });
        unread.advance(consumed.octets);
        if decoder.has_bare_line_end() {
            self.note_bare_line_end();
        }
        (self.progress(body.len() > before, settings), consumed.ended)
    }

    /// So many octets of the body are here or are sure to come.
    pub(super) const fn announce(&mut self, octets: u64) {
        self.size = self.size.saturating_add(octets);
    }

    /// Appends octets that were announced to the body.
    pub(super) fn take(&mut self, octets: &[u8], body: &mut BytesMut, settings: &Settings) {
        self.hops.count(octets, &settings.hostname);
        if !self.refused {
            body.extend_from_slice(octets);
        }
    }

    /// A CR without an LF or an LF without a CR has occurred.
    pub(super) const fn note_bare_line_end(&mut self) {
        self.bare_line_end = true;
    }

    /// What a stretch of input has brought, given whether the body grew by it.
    pub(super) fn progress(&mut self, grown: bool, settings: &Settings) -> Progress {
        if !self.refused && self.objection(settings).is_some() {
            self.refused = true;
            Progress::Refused
        } else if grown {
            Progress::Grown
        } else {
            Progress::Nothing
        }
    }

    /// The whole message, or why it is refused. What is answered depends on the whole body and
    /// not on what was noticed first, so that it does not depend on how the octets arrived.
    pub(super) fn finish(self, settings: &Settings) -> Result<Envelope, Reply> {
        match self.objection(settings) {
            Some(reply) => Err(reply),
            None => Ok(self.envelope),
        }
    }

    /// Why the message is refused, as far as it is known.
    pub(super) fn objection(&self, settings: &Settings) -> Option<Reply> {
        if self.bare_line_end {
            Some(replies::bare_line_end())
        } else if self.size > settings.size_max {
            Some(replies::too_big(settings.size_max))
        } else if self.hops.hops() > RECEIVED_MAX {
            Some(replies::too_many_hops())
        } else if self.hops.own_hops() > OWN_HOPS_MAX {
            Some(replies::been_here_before())
        } else {
            None
        }
    }
}
