//! What is done with a message's octets between the client and the spool.

use core::ops::Range;

use bytes::BytesMut;
use sha2::{Digest as _, Sha256};
use smtp::forged::Forged;
use spool::Digest;

use super::{
    evidence::{Evidence, Gathered},
    own_ids::OwnIds,
};

/// Takes forged fields out of a message while it arrives, gathers evidence from it as it was sent, and
/// knows what was sent when that is no longer what is held.
#[derive(Debug)]
pub(in crate::inbound) struct Screen {
    forged: Forged<OwnIds>,
    evidence: Option<Box<Evidence>>,
    /// Where in what is held the octets of the body begin that are no evidence yet; `None` while the
    /// header arrives.
    body_at: Option<usize>,
    /// Since something was taken out.
    sent: Option<Box<Sent>>,
}

/// What the client sent, in contrast to what is spooled.
#[derive(Debug)]
struct Sent {
    hasher: Sha256,
    size: u64,
    /// How much of what is held has been counted.
    at: usize,
}

/// What came of a whole message.
#[derive(Debug)]
pub(in crate::inbound) struct Seen {
    pub(in crate::inbound) gathered: Option<Gathered>,
    /// How long the message was as it was sent, and its SHA-256, when something was taken out.
    pub(in crate::inbound) sent: Option<(u64, Digest)>,
}

/// What was taken out of what is held. The octets behind it are moved when it is closed, or when the next
/// joins it: each of them once, however much is taken out.
#[derive(Debug, Default)]
struct Gap(Range<usize>);

/// What has been spooled of a message in front of what is held.
#[derive(Clone, Copy, Debug)]
pub(in crate::inbound) struct Before<'a> {
    pub(in crate::inbound) hasher: &'a Sha256,
    pub(in crate::inbound) size: u64,
}

impl Screen {
    /// Takes out the fields that claim to be of one of these ids, if there are any.
    pub(in crate::inbound) const fn new(ids: Option<OwnIds>) -> Self {
        Self {
            forged: Forged::new(ids),
            evidence: None,
            body_at: None,
            sent: None,
        }
    }

    /// Gathers evidence, too. Nothing of the message may have arrived.
    pub(in crate::inbound) fn gather(&mut self, evidence: Evidence) {
        self.evidence = Some(Box::new(evidence));
    }

    /// Looks at what has arrived since the last time. What is held begins behind what was spooled
    /// before.
    pub(in crate::inbound) fn look(&mut self, held: &mut BytesMut, before: Before<'_>) {
        if self.body_at.is_some() {
            return;
        }
        let mut gap = Gap::default();
        loop {
            let from = self.forged.at();
            let forged = self.forged.next(held);
            if let Some(evidence) = &mut self.evidence {
                evidence.header(held.get(from..self.forged.at()).unwrap_or_default());
            }
            match forged {
                Some(forged) => self.take_out(held, forged, &mut gap, before),
                None => break,
            }
        }
        self.close(held, gap);
        if self.forged.is_over() {
            self.end_header();
        }
    }

    /// The same when nothing more will arrive.
    pub(in crate::inbound) fn look_at_last(&mut self, held: &mut BytesMut, before: Before<'_>) {
        self.look(held, before);
        if self.body_at.is_none() {
            let mut gap = Gap::default();
            if let Some(forged) = self.forged.end() {
                self.take_out(held, forged, &mut gap, before);
            }
            self.close(held, gap);
            self.end_header();
        }
    }

    /// Nothing that is or will be held matters any more.
    pub(in crate::inbound) fn give_up(&mut self) {
        self.forged = Forged::over();
        self.evidence = None;
        self.body_at = Some(0);
        self.sent = None;
    }

    /// How much of what is held may be spooled.
    pub(in crate::inbound) const fn settled(&self, held: usize) -> usize {
        self.forged.settled(held)
    }

    /// The front of what is held is spooled, and held no longer.
    pub(in crate::inbound) fn let_go(&mut self, front: &[u8]) {
        self.forged.let_go(front.len());
        if let Some(sent) = &mut self.sent {
            sent.count(front.get(sent.at..).unwrap_or_default());
            sent.at = sent.at.saturating_sub(front.len());
        }
        if let Some(body_at) = &mut self.body_at {
            if let Some(evidence) = &mut self.evidence {
                evidence.body(front.get(*body_at..).unwrap_or_default());
            }
            *body_at = body_at.saturating_sub(front.len());
        }
    }

    /// Everything has been let go.
    pub(in crate::inbound) fn finish(&mut self) -> Seen {
        let sent = self.sent.take().map(|sent| *sent);
        Seen {
            gathered: self.evidence.take().map(|evidence| evidence.finish()),
            sent: sent.map(|sent| (sent.size, Digest(sent.hasher.finalize().into()))),
        }
    }

    fn end_header(&mut self) {
        self.body_at = Some(self.forged.at());
        if let Some(evidence) = &mut self.evidence {
            evidence.header_ends();
        }
    }

    fn take_out(
        &mut self,
        held: &mut BytesMut,
        forged: Range<usize>,
        gap: &mut Gap,
        before: Before<'_>,
    ) {
        let sent = self.sent.get_or_insert_with(|| {
            Box::new(Sent {
                hasher: before.hasher.clone(),
                size: before.size,
                at: 0,
            })
        });
        sent.count(held.get(sent.at..forged.end).unwrap_or_default());
        sent.at = forged.end;
        gap.join(held, forged);
    }

    fn close(&mut self, held: &mut BytesMut, gap: Gap) {
        self.forged.let_go(gap.0.len());
        if let Some(sent) = &mut self.sent {
            sent.at = sent.at.saturating_sub(gap.0.len());
        }
        gap.close(held);
    }
}

impl Gap {
    /// Takes out more, somewhere behind.
    fn join(&mut self, held: &mut BytesMut, more: Range<usize>) {
        if self.0.is_empty() {
            self.0 = more;
            return;
        }
        let between = self.0.end..more.start;
        let start = self.0.start + between.len();
        held.copy_within(between, self.0.start);
        self.0 = start..more.end;
    }

    /// Moves the rest.
    fn close(self, held: &mut BytesMut) {
        if self.0.is_empty() {
            return;
        }
        let left = held.len() - self.0.len();
        held.copy_within(self.0.end.., self.0.start);
        held.truncate(left);
    }
}

impl Sent {
    fn count(&mut self, octets: &[u8]) {
        self.hasher.update(octets);
        self.size += octets.len() as u64;
    }
}
