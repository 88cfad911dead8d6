//! Reads a domain's queue ahead of the workers: what waits, and what was deferred and is due.

use std::sync::Arc;
use std::time::Duration;

use spool::ports::{DeferredCursor, OutboxError};
use spool::{Due, Outbox, Timestamp};

use crate::outbound::Shared;
use crate::outbound::limits::READ_AHEAD_MAX;
use crate::outbound::queue::Queue;

/// The longest sleep for a deferred message; the wall clock may be set meanwhile.
const DUE_SLEEP_MAX: Duration = Duration::from_secs(60);

/// Keeps one domain's window filled.
#[derive(Debug)]
pub(super) struct Supply<O> {
    shared: Arc<Shared<O>>,
    domain: String,
    queue: Arc<Queue>,
    /// The last message that was read, in order of arrival. Nothing before it can begin to wait:
    /// places in the order are given out rising, and a deferred message stays deferred.
    cursor: u64,
    /// Whether the last read found as much as it asked for.
    more_waiting: bool,
    /// The latest flush that was heeded.
    flushed_at: Timestamp,
    /// Where the walk that a flush has started goes on.
    flush_walk: Option<DeferredCursor>,
    /// Whether due messages found no room.
    more_deferred: bool,
    /// When the next deferred message is due, as far as known.
    next_due: Option<Timestamp>,
    /// When the deferred messages were last looked at.
    walked_at: Option<Timestamp>,
}

impl<O: Outbox> Supply<O> {
    pub(super) fn new(shared: Arc<Shared<O>>, domain: String, queue: Arc<Queue>) -> Self {
        Self {
            shared,
            domain,
            queue,
            cursor: 0,
            more_waiting: true,
            flushed_at: Timestamp(0),
            flush_walk: None,
            more_deferred: false,
            next_due: None,
            walked_at: None,
        }
    }

    /// Reads what the window has room for.
    ///
    /// # Errors
    /// The outbox could not be read; what was read before that is in the window.
    pub(super) async fn refill(&mut self) -> Result<(), OutboxError> {
        self.refill_deferred().await?;
        if self.queue.is_low() {
            self.refill_waiting().await?;
        } else {
            self.more_waiting = true;
        }
        self.queue
            .set_more(self.more_waiting || self.more_deferred || self.flush_walk.is_some());
        Ok(())
    }

    /// Whether there is nothing to deliver, now or later.
    pub(super) fn is_exhausted(&self) -> bool {
        self.queue.is_empty()
            && !self.more_waiting
            && !self.more_deferred
            && self.flush_walk.is_none()
            && self
                .shared
                .outbox
                .destination(&self.domain)
                .totals
                .undelivered()
                == 0
    }

    /// How long until the next deferred message is due.
    pub(super) fn until_due(&self) -> Duration {
        // A due message that found no room comes in when the window runs low.
        self.next_due.map_or(DUE_SLEEP_MAX, |due| {
            due.since(self.shared.clock.now())
                .clamp(Duration::from_millis(1), DUE_SLEEP_MAX)
        })
    }

    async fn refill_waiting(&mut self) -> Result<(), OutboxError> {
        self.more_waiting = true;
        while self.queue.has_room() {
            let outbox = &self.shared.outbox;
            let read = outbox
                .waiting(&self.domain, self.cursor, READ_AHEAD_MAX)
                .await?;
            let full = read.len() >= READ_AHEAD_MAX;
            if let Some(last) = read.last() {
                self.cursor = last.message.sequence;
            }
            self.queue.offer(read);
            if !full {
                self.more_waiting = false;
                break;
            }
        }
        Ok(())
    }

    /// Brings deferred messages in that are due, or were flushed.
    async fn refill_deferred(&mut self) -> Result<(), OutboxError> {
        let flushed_at = self.shared.outbox.destination(&self.domain).flushed_at;
        if flushed_at > self.flushed_at {
            self.flushed_at = flushed_at;
            self.flush_walk = Some(DeferredCursor::default());
        }
        let now = self.shared.clock.now();
        let due = self.next_due.is_some_and(|due| due <= now);
        let long_ago = self
            .walked_at
            .is_none_or(|at| now.since(at) >= DUE_SLEEP_MAX);
        let changed = self.queue.take_deferral_reported() || long_ago;
        let wanted = due || changed || self.more_deferred || self.flush_walk.is_some();
        if !wanted {
            return Ok(());
        }
        // Half of the window stays free for what waits, so that a long row of deferred messages
        // does not keep new mail out.
        if !self.queue.is_low() {
            self.more_deferred = true;
            self.next_due = None;
            return Ok(());
        }
        self.queue.begin_walk();
        let walked = self.walk(now).await;
        self.queue.end_walk();
        walked
    }

    async fn walk(&mut self, now: Timestamp) -> Result<(), OutboxError> {
        if let Some(from) = self.flush_walk {
            self.flush_walk = self
                .walk_until(Some(from), Timestamp(u64::MAX), now)
                .await?;
        }
        self.more_deferred = self.walk_until(None, now, now).await?.is_some();
        self.walked_at = Some(now);
        let behind = Some(DeferredCursor(now, u64::MAX));
        let outbox = &self.shared.outbox;
        let next = outbox
            .deferred(&self.domain, behind, Timestamp(u64::MAX), 1)
            .await?;
        self.next_due = next.first().map(|(cursor, _)| cursor.0);
        Ok(())
    }

    /// Offers deferred messages behind a cursor. Returns where to go on when the room ran out.
    async fn walk_until(
        &self,
        mut from: Option<DeferredCursor>,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<DeferredCursor>, OutboxError> {
        loop {
            if !self.queue.is_low() {
                return Ok(Some(from.unwrap_or_default()));
            }
            let outbox = &self.shared.outbox;
            let read = outbox
                .deferred(&self.domain, from, until, READ_AHEAD_MAX)
                .await?;
            let full = read.len() >= READ_AHEAD_MAX;
            from = read.last().map_or(from, |(cursor, _)| Some(*cursor));
            let wanted = read
                .into_iter()
                .filter(|(cursor, due)| cursor.0 <= now || self.is_flushed(due));
            self.queue.offer(wanted.map(|(_, due)| due));
            if !full {
                return Ok(None);
            }
        }
    }

    /// Whether a flush has made a deferred message due: it was last tried before it.
    fn is_flushed(&self, due: &Due) -> bool {
        due.message
            .attempted_at
            .is_none_or(|at| at < self.flushed_at)
    }
}
