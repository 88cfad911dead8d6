//! One message's body on its way from the client into the spool.

use core::mem;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use spool::{Clock, Digest, Intake, MessageId, Refusal, Stage};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    authentication::{Before, Evidence, Gathered, Screen},
    limits::{BODY_READ_SIZE, PIECE_SIZE},
    unfinished::Unfinished,
};

/// Gathers a body, without the fields of its header that claim to be of this host: a small one stays in memory until it is accepted, of a large one every full
/// piece is staged, so that no session ever holds much more than a piece. When many sessions hold
/// as much, the others stage what they have; staging waits for room in the log, and so does the
/// client, from whom nothing is read meanwhile. What one client may have staged and not finished is
/// limited, and so is what all may.
///
/// Dropped before it is accepted, it gives up what was staged.
#[derive(Debug)]
pub(super) struct Arrival<I: Intake> {
    /// What has arrived and is not staged yet.
    pub(super) body: BytesMut,
    id: MessageId,
    intake: Arc<I>,
    /// Buffers of a whole piece that are free.
    large_bodies: Arc<Semaphore>,
    /// The one that this body has.
    large: Option<OwnedSemaphorePermit>,
    /// What is staged, as it counts for the client.
    unfinished: Unfinished,
    screen: Screen,
    hasher: Sha256,
    size: u64,
    staged: u32,
    /// Something may be staged, so that it has to be discarded.
    to_discard: bool,
    refusal: Option<Refusal>,
}

/// A whole body.
#[derive(Debug)]
pub(super) struct Arrived {
    /// Pieces that were staged.
    pub(super) staged: u32,
    /// What follows them.
    pub(super) tail: Bytes,
    /// Octets in all.
    pub(super) size: u64,
    pub(super) digest: Digest,
    /// Octets and SHA-256 of what the client sent: what a repeat is known by, as it may come to a host
    /// that takes other fields out of it.
    pub(super) sent: (u64, Digest),
    /// What it is judged by, when it is to be judged.
    pub(super) gathered: Option<Gathered>,
}

impl<I: Intake> Arrival<I> {
    pub(super) fn new(
        intake: Arc<I>,
        large_bodies: Arc<Semaphore>,
        unfinished: Unfinished,
        screen: Screen,
        id: MessageId,
    ) -> Self {
        Self {
            body: BytesMut::new(),
            id,
            intake,
            large_bodies,
            large: None,
            unfinished,
            screen,
            hasher: Sha256::new(),
            size: 0,
            staged: 0,
            to_discard: false,
            refusal: None,
        }
    }

    pub(super) const fn id(&self) -> MessageId {
        self.id
    }

    /// Pieces that are staged.
    pub(super) const fn pieces(&self) -> u32 {
        self.staged
    }

    /// Octets that have arrived.
    pub(super) fn octets(&self) -> u64 {
        self.size + self.body.len() as u64
    }

    /// Gathers evidence of who sent it, too. Nothing of it may have arrived.
    pub(super) fn gather(&mut self, evidence: Evidence) {
        self.screen.gather(evidence);
    }

    /// Makes room for the next read.
    pub(super) async fn make_room(&mut self, clock: Clock) {
        self.stage_pieces(clock).await;
        if self.body.len() <= BODY_READ_SIZE {
            return;
        }
        if self.large.is_none() {
            self.large = Arc::clone(&self.large_bodies).try_acquire_owned().ok();
        }
        if self.large.is_none() {
            self.stage(self.settled(), clock).await;
        } else {
            // A buffer that grew by doubling would take twice as much, for as long as anyone holds
            // the piece that is cut from it.
            self.body
                .reserve((PIECE_SIZE + BODY_READ_SIZE).saturating_sub(self.body.len()));
        }
    }

    /// Stages every full piece.
    pub(super) async fn stage_pieces(&mut self, clock: Clock) {
        let before = Before {
            hasher: &self.hasher,
            size: self.size,
        };
        self.screen.look(&mut self.body, before);
        while self.settled() >= PIECE_SIZE {
            self.stage(PIECE_SIZE, clock).await;
        }
    }

    /// The same when nothing more will arrive.
    pub(super) async fn stage_last_pieces(&mut self, clock: Clock) {
        self.look_at_last();
        self.stage_pieces(clock).await;
    }

    fn look_at_last(&mut self) {
        let before = Before {
            hasher: &self.hasher,
            size: self.size,
        };
        self.screen.look_at_last(&mut self.body, before);
    }

    /// How much of what has arrived may be staged.
    fn settled(&self) -> usize {
        self.screen.settled(self.body.len())
    }

    /// Stages so many octets. After a refusal they are thrown away; the message's sender hears of it
    /// when he has sent everything.
    async fn stage(&mut self, octets: usize, clock: Clock) {
        if octets == 0 {
            return;
        }
        let piece = self.body.split_to(octets).freeze();
        self.screen.let_go(&piece);
        self.size += piece.len() as u64;
        if self.refusal.is_some() {
            return;
        }
        if !self.unfinished.add(piece.len()) {
            self.refuse(Refusal::Busy);
            return;
        }
        self.hasher.update(&piece);
        self.to_discard = true;
        let stage = Stage {
            id: self.id,
            number: self.staged,
            at: clock.now(),
            piece,
        };
        match self.intake.stage(stage).await {
            Ok(()) => self.staged += 1,
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
        self.give_up();
    }

    /// Throws away what has arrived.
    pub(super) fn give_up(&mut self) {
        self.body = BytesMut::new();
        self.screen.give_up();
        self.large = None;
        self.unfinished.clear();
        if mem::take(&mut self.to_discard) {
            self.intake.discard(self.id);
        }
    }

    /// The whole body, or why it could not be staged.
    pub(super) fn finish(&mut self) -> Result<Arrived, Refusal> {
        if let Some(refusal) = self.refusal.clone() {
            return Err(refusal);
        }
        self.look_at_last();
        let tail = mem::take(&mut self.body).freeze();
        self.screen.let_go(&tail);
        self.size += tail.len() as u64;
        self.hasher.update(&tail);
        let digest = Digest(mem::take(&mut self.hasher).finalize().into());
        let seen = self.screen.finish();
        Ok(Arrived {
            staged: self.staged,
            tail,
            size: self.size,
            digest,
            sent: seen.sent.unwrap_or((self.size, digest)),
            gathered: seen.gathered,
        })
    }

    /// The message is ours: nothing is to be discarded any more.
    pub(super) fn accepted(&mut self) {
        self.to_discard = false;
        self.large = None;
        self.unfinished.clear();
    }
}

impl<I: Intake> Drop for Arrival<I> {
    fn drop(&mut self) {
        if self.to_discard {
            self.intake.discard(self.id);
        }
    }
}
