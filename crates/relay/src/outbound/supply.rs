//! Reads a domain's queue ahead of the workers: what waits, and what was deferred and is due.
//!
//! A deferred message has stepped aside: others for its recipients overtake it until it is due.
//! From then on the order of arrival holds again among all that stands in the window, and what one
//! look brings in enters together. The spool keeps deferred messages by the moment they are due,
//! so when more of them are due at once than the window holds, an earlier one may come in behind
//! a later one; finding the earliest first would mean reading them all for each windowful.

use std::sync::Arc;
use std::time::Duration;

use spool::ports::{DeferredCursor, OutboxError};
use spool::{Due, Outbox, Timestamp};

use crate::outbound::Shared;
use crate::outbound::claims::Claims;
use crate::outbound::limits::{IN_DOUBT_LOOK, READ_AHEAD_MAX};
use crate::outbound::queue::Queue;
use crate::outbound::window::{Room, Source};

/// The longest sleep for a deferred message; the wall clock may be set meanwhile.
const DUE_SLEEP_MAX: Duration = Duration::from_secs(60);

/// What one look at the deferred messages brings in.
#[derive(Debug)]
struct Gathered {
    messages: Vec<Due>,
    room: Room,
}

/// Keeps one domain's window filled.
#[derive(Debug)]
pub(super) struct Supply<O> {
    shared: Arc<Shared<O>>,
    domain: String,
    queue: Arc<Queue>,
    claims: Claims<O>,
    /// The last message that was read, in order of arrival. Nothing before it begins to wait by itself:
    /// places in the order are given out rising, and a deferred message stays deferred. Where messages were put
    /// back, it begins again.
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
            claims: Claims::new(shared.clone(), domain.clone(), queue.clone()),
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

    /// Reads what the window has room for, and claims it.
    ///
    /// # Errors
    /// The outbox could not be read or takes no claims; what was claimed before that is in the
    /// window.
    pub(super) async fn refill(&mut self) -> Result<(), OutboxError> {
        self.follow_revision().await?;
        if self.claims.resolve_doubts().await? {
            // The walk of a flush passes by what stands in the window.
            self.flushed_at = Timestamp(0);
        }
        self.refill_deferred().await?;
        self.refill_waiting().await?;
        let more_deferred = self.more_deferred || self.flush_walk.is_some();
        self.queue.set_more(self.more_waiting, more_deferred);
        Ok(())
    }

    /// Gives back what was claimed and has not started.
    pub(super) async fn give_back(&mut self) {
        self.claims.give_back().await;
    }

    /// Gives it back for as long as nothing can be delivered, so that it can become too old, and claims it again
    /// when it is read anew. Not where a message was begun in vain: it would be at the front again with all its
    /// attempts before it, and nothing would ever get past it.
    pub(super) async fn lay_down(&mut self) {
        if self.queue.has_troubles() {
            return;
        }
        // What a flush has brought in comes in again only if it is walked for once more.
        if self.flush_walk.is_some() || self.queue.has_from(Source::Deferred) {
            self.flushed_at = Timestamp(0);
        }
        self.claims.give_back().await;
        self.cursor = 0;
        self.more_waiting = true;
        self.walked_at = None;
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

    /// Whether the primary has answered for all that is to be delivered, but for so many messages.
    pub(super) fn is_answered(&self, put_off: u64) -> bool {
        let totals = self.shared.outbox.destination(&self.domain).totals;
        self.queue.is_empty() && totals.waiting == 0 && totals.deferred <= put_off
    }

    /// How long until the next deferred message is due, or the next look at what is in doubt.
    pub(super) fn until_due(&self) -> Duration {
        if self.is_exhausted() {
            return DUE_SLEEP_MAX;
        }
        // A due message that found no room comes in as soon as there is some.
        let until_due = self.next_due.map_or(DUE_SLEEP_MAX, |due| {
            due.since(self.shared.clock.now())
                .clamp(Duration::from_millis(1), DUE_SLEEP_MAX)
        });
        if self.queue.has_doubts() {
            until_due.min(IN_DOUBT_LOOK)
        } else {
            until_due
        }
    }

    /// Looks again at what was read before the queue was changed by something else than reports: what is held,
    /// deleted or given up leaves the window, and what was put back comes in, in its place.
    async fn follow_revision(&mut self) -> Result<(), OutboxError> {
        let outbox = &self.shared.outbox;
        let revision = outbox.destination(&self.domain).revision;
        let is_revised = revision != self.queue.revision();
        if is_revised {
            let unstarted = self.queue.unstarted();
            let mut as_it_is = outbox.due(&self.domain, &unstarted).await?;
            // What was put back has to be claimed again.
            let term = Some(self.shared.config.term);
            as_it_is.retain(|due| due.claimed_by == term);
            self.queue.keep_unstarted(&as_it_is, revision);
            self.walked_at = None;
            // The walk of a flush has passed by what was held.
            self.flushed_at = Timestamp(0);
        }
        if self.queue.take_rewind() || is_revised {
            self.cursor = 0;
        }
        Ok(())
    }

    async fn refill_waiting(&mut self) -> Result<(), OutboxError> {
        self.more_waiting = true;
        while self.more_waiting && self.queue.room(Source::Waiting).is_left() {
            // What is read may be old when it comes in, if it is read for the second time.
            self.queue.begin_walk();
            let read = self.read_waiting().await;
            self.queue.end_walk();
            self.more_waiting = read?;
        }
        Ok(())
    }

    /// Brings in what waits behind the cursor. Returns whether there may be more.
    async fn read_waiting(&mut self) -> Result<bool, OutboxError> {
        let outbox = &self.shared.outbox;
        let read = outbox
            .waiting(&self.domain, self.cursor, READ_AHEAD_MAX)
            .await?;
        let full = read.len() >= READ_AHEAD_MAX;
        let last = read.last().map(|due| due.message.sequence);
        self.queue.meet(&read, self.shared.config.term);
        self.claims.bring_in(read, Source::Waiting).await?;
        self.cursor = last.unwrap_or(self.cursor);
        Ok(full)
    }

    /// Brings deferred messages in that are due, or were flushed.
    async fn refill_deferred(&mut self) -> Result<(), OutboxError> {
        let flushed_at = self.shared.outbox.destination(&self.domain).flushed_at;
        let now = self.shared.clock.now();
        if flushed_at > self.flushed_at {
            self.flushed_at = flushed_at;
            // What is due already comes in anyway, and first.
            self.flush_walk = Some(DeferredCursor(now, u64::MAX));
        }
        let due = self.next_due.is_some_and(|due| due <= now);
        let long_ago = self
            .walked_at
            .is_none_or(|at| now.since(at) >= DUE_SLEEP_MAX);
        let changed = self.queue.take_deferral_reported() || long_ago;
        let wanted = due || changed || self.more_deferred || self.flush_walk.is_some();
        if !wanted {
            return Ok(());
        }
        if !self.queue.room(Source::Deferred).is_left() {
            self.more_deferred = true;
            self.next_due = None;
            return Ok(());
        }
        self.queue.begin_walk();
        let walked = self.walk(now).await;
        self.queue.end_walk();
        if walked.is_err() {
            // The next one must not wait for a reason of its own.
            self.walked_at = None;
        }
        walked
    }

    async fn walk(&mut self, now: Timestamp) -> Result<(), OutboxError> {
        let mut gathered = Gathered {
            messages: Vec::new(),
            room: self.queue.room(Source::Deferred),
        };
        let more_deferred = self.gather(&mut gathered, None, now, now).await?;
        let flush_walk = match self.flush_walk {
            Some(from) => {
                let all = Timestamp(u64::MAX);
                self.gather(&mut gathered, Some(from), all, now).await?
            }
            None => None,
        };
        self.more_deferred = more_deferred.is_some();
        self.flush_walk = flush_walk;
        gathered.messages.sort_by_key(|due| due.message.sequence);
        self.claims
            .bring_in(gathered.messages, Source::Deferred)
            .await?;
        self.walked_at = Some(now);
        let behind = Some(DeferredCursor(now, u64::MAX));
        let outbox = &self.shared.outbox;
        let next = outbox
            .deferred(&self.domain, behind, Timestamp(u64::MAX), 1)
            .await?;
        self.next_due = next.first().map(|(cursor, _)| cursor.0);
        Ok(())
    }

    /// Gathers deferred messages behind a cursor. Returns where to go on when the room ran out.
    async fn gather(
        &self,
        gathered: &mut Gathered,
        mut from: Option<DeferredCursor>,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<DeferredCursor>, OutboxError> {
        loop {
            if !gathered.room.is_left() {
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
            let mut wanted: Vec<Due> = wanted.map(|(_, due)| due).collect();
            self.queue.retain_new(&mut wanted);
            for due in wanted {
                gathered.room = gathered.room.less(&due);
                gathered.messages.push(due);
            }
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
