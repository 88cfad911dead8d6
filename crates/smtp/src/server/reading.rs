//! A body on its way in.

use bytes::{Buf as _, BytesMut};

use super::{Settings, hops::HopCounter, replies};
use crate::{Envelope, Reply, data::Decoder, limits::RECEIVED_MAX};

/// What is kept while the octets after DATA arrive.
///
/// Everything is read to the end of data, also when the message will be refused: a server that
/// stops earlier reads the rest of the body as commands (SMTP smuggling).
#[derive(Debug)]
pub(super) struct Reading {
    envelope: Envelope,
    decoder: Decoder,
    hops: HopCounter,
    size: u64,
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
    pub(super) const fn new(envelope: Envelope, decoder: Decoder) -> Self {
        Self {
            envelope,
            decoder,
            hops: HopCounter::new(),
            size: 0,
            refused: false,
        }
    }

    /// Appends what has arrived to the body, and says whether it has ended.
    pub(super) fn read(
        &mut self,
        unread: &mut BytesMut,
        body: &mut BytesMut,
        settings: &Settings,
    ) -> (Progress, bool) {
        let before = body.len();
        let Self {
            decoder,
            hops,
            size,
            refused,
            ..
        } = self;
        let consumed = decoder.decode(unread, |run| {
            hops.count(run);
            *size = size.saturating_add(run.len() as u64);
            if !*refused {
                body.extend_from_slice(run);
            }
        });
        unread.advance(consumed.octets);
        let progress = if !self.refused && self.objection(settings).is_some() {
            self.refused = true;
            Progress::Refused
        } else if body.len() > before {
            Progress::Grown
        } else {
            Progress::Nothing
        };
        (progress, consumed.ended)
    }

    /// The whole message, or why it is refused. What is answered depends on the whole body and
    /// not on what was noticed first, so that it does not depend on how the octets arrived.
    pub(super) fn finish(self, settings: &Settings) -> Result<Envelope, Reply> {
        match self.objection(settings) {
            Some(reply) => Err(reply),
            None => Ok(self.envelope),
        }
    }

    fn objection(&self, settings: &Settings) -> Option<Reply> {
        if self.decoder.has_bare_line_end() {
            Some(replies::bare_line_end())
        } else if self.size > settings.size_max {
            Some(replies::too_big(settings.size_max))
        } else if self.hops.hops() > RECEIVED_MAX {
            Some(replies::too_many_hops())
        } else {
            None
        }
    }
}
