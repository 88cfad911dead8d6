//! What a domain's task and its workers share: the window, and who waits for work.

mod connections;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spool::policy::Order;
use spool::{Due, Verdict};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::outbound::limits::REPORT_PARTS;
use crate::outbound::window::{Room, Source, Window};

/// A domain's window, and how many connections may empty it.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// A message became startable while a worker waits.
    work: Notify,
    /// The domain's task should look again.
    attention: Notify,
    /// A place among the unrecorded is free while a worker waits for one.
    place: Notify,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Workers that wait for a message.
    idle: usize,
    /// Connections allowed now, and ever.
    connections: usize,
    connections_max: usize,
    /// Whether the primary is on trial, and one message goes at a time.
    on_trial: bool,
    /// Messages taken by the primary since `connections` changed.
    round: usize,
    /// Messages taken by the primary in all.
    delivered: u64,
    /// Connections over which a message is under way now.
    talking: usize,
    /// When one of those messages was last begun or ended, or `connections` grew.
    moved: Instant,
    /// Messages that the primary may have, and of which the spool does not know it; and whether their results are
    /// known here.
    unrecorded: BTreeMap<u64, bool>,
    /// Whether the task wants to know when there is room again, for each source.
    more_waiting: bool,
    more_deferred: bool,
    /// Whether a deferral was reported since the task last asked.
    deferral_reported: bool,
    /// Whether what was read before is to be read again.
    rewind: bool,
    /// When the next message may start, where the policy limits the rate.
    next_start: Instant,
}

impl State {
    /// Whether so many messages would be repeated if this leader fell that no other may join them.
    fn is_full(&self) -> bool {
        self.unrecorded.len() >= self.connections_max
    }

    /// Whether the window has room for more that is there.
    fn wants_more(&self) -> bool {
        (self.more_waiting && self.window.room(Source::Waiting).is_left())
            || (self.more_deferred && self.window.room(Source::Deferred).is_left())
    }
}

impl Queue {
    pub(super) fn new(order: Order) -> Self {
        Self {
            state: Mutex::new(State {
                window: Window::new(order),
                idle: 0,
                connections: 1,
                connections_max: 1,
                on_trial: false,
                round: 0,
                delivered: 0,
                talking: 0,
                moved: Instant::now(),
                unrecorded: BTreeMap::new(),
                more_waiting: false,
                more_deferred: false,
                deferral_reported: false,
                rewind: false,
                next_start: Instant::now(),
            }),
            work: Notify::new(),
            attention: Notify::new(),
            place: Notify::new(),
        }
    }

    /// No code that holds the lock can leave the window half changed, so a panic elsewhere in a
    /// worker does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message, waiting for one at most `patience`.
    pub(super) async fn next(&self, patience: Duration, stop: &CancellationToken) -> Option<Due> {
        let deadline = Instant::now() + patience;
        loop {
            if stop.is_cancelled() {
                return None;
            }
            if let Some(due) = self.take_or_wait() {
                return Some(due);
            }
            let waited = tokio::select! {
                waited = timeout_at(deadline, self.work.notified()) => waited.is_ok(),
                () = stop.cancelled() => false,
            };
            self.state().idle -= 1;
            if !waited {
                // What became startable in this very moment must not wait for another's call.
                return if stop.is_cancelled() {
                    None
                } else {
                    self.take()
                };
            }
        }
    }

    fn take_or_wait(&self) -> Option<Due> {
        let mut state = self.state();
        let due = state.window.start();
        match due {
            Some(_) => self.pass_on(&state),
            None => state.idle += 1,
        }
        due
    }

    fn take(&self) -> Option<Due> {
        let mut state = self.state();
        let due = state.window.start();
        self.pass_on(&state);
        due
    }

    /// Wakes one more worker if there is work for it, which does the same in turn; and the task if
    /// the window has room for more that is there.
    fn pass_on(&self, state: &State) {
        if state.window.startable() > 0 && state.idle > 0 {
            self.work.notify_one();
        }
        if state.wants_more() {
            self.attention.notify_one();
        }
    }

    /// Returns once a worker has something for the task to look at.
    pub(super) async fn attention(&self) {
        self.attention.notified().await;
    }

    /// Has the task look again.
    pub(super) fn call_attention(&self) {
        self.attention.notify_one();
    }

    /// Puts messages into the window, all before any of them can start.
    pub(super) fn offer(&self, messages: impl IntoIterator<Item = Due>, source: Source) {
        let mut state = self.state();
        for due in messages {
            state.window.offer(due, source);
        }
        self.pass_on(&state);
    }

    /// Puts messages into the window that an earlier leader may be delivering.
    pub(super) fn offer_in_doubt(&self, messages: impl IntoIterator<Item = Due>, source: Source) {
        let mut state = self.state();
        for due in messages {
            state.window.offer_in_doubt(due, source);
        }
    }

    pub(super) fn has_doubts(&self) -> bool {
        self.state().window.has_doubts()
    }

    /// The messages in doubt, in order of arrival.
    pub(super) fn in_doubt(&self) -> Vec<u64> {
        self.state().window.in_doubt()
    }

    /// Ends the doubt about messages that are still to be delivered.
    pub(super) fn clear(&self, messages: impl IntoIterator<Item = Due>) {
        let mut state = self.state();
        for due in messages {
            state.window.clear(due);
        }
        self.pass_on(&state);
    }

    /// Ends the doubt about messages that have left or were deferred.
    pub(super) fn forget(&self, sequences: impl IntoIterator<Item = u64>) {
        let mut state = self.state();
        for sequence in sequences {
            state.window.forget(sequence);
            // If it was deferred, its time may be near.
            state.deferral_reported = true;
        }
        self.pass_on(&state);
    }

    /// Whether anything in the window was begun in vain.
    pub(super) fn has_troubles(&self) -> bool {
        self.state().window.has_troubles()
    }

    /// Whether the window has anything from a source.
    pub(super) fn has_from(&self, source: Source) -> bool {
        self.state().window.has_from(source)
    }

    /// Takes out all that has not started; returns what of it had been claimed.
    pub(super) fn withdraw(&self) -> Vec<u64> {
        self.state().window.withdraw()
    }

    /// Waits for a place among the messages that the primary may have and that the spool does not know to
    /// be delivered. There are as many as connections: no more than that is repeated when this leader falls.
    pub(super) async fn take_place(&self, due: &Due) {
        loop {
            let place = self.place.notified();
            {
                let mut state = self.state();
                if !state.is_full() || state.unrecorded.contains_key(&due.message.sequence) {
                    state.unrecorded.insert(due.message.sequence, false);
                    return;
                }
            }
            place.await;
        }
    }

    /// Whether deliveries wait for places, and a report with so many results is to leave at once.
    pub(super) fn awaits_report(&self, results: usize) -> bool {
        let state = self.state();
        let enough = (state.connections_max / REPORT_PARTS).max(1);
        let mut known = state.unrecorded.values();
        state.is_full() && (results >= enough || known.all(|is_known| *is_known))
    }

    fn free_place(&self, state: &mut State, sequence: u64) {
        if state.unrecorded.remove(&sequence).is_some() {
            self.place.notify_one();
        }
    }

    /// Puts a message back: nothing has become of it, or it is asked about again. One whose result is known
    /// stays where it is and keeps its place: when the spool does not take the result, the next leader repeats it.
    pub(super) fn put_back(&self, due: &Due) {
        let mut state = self.state();
        if state.window.put_back(due.message.sequence) {
            self.free_place(&mut state, due.message.sequence);
        }
        self.pass_on(&state);
    }

    /// Counts a connection that broke under a message. Returns the count.
    pub(super) fn count_break(&self, due: &Due) -> u32 {
        self.state().window.count_break(due.message.sequence)
    }

    /// Counts a primary that turned away from a message. Returns the count.
    pub(super) fn count_closing(&self, due: &Due) -> u32 {
        self.state().window.count_closing(due.message.sequence)
    }

    /// Takes the result of a message. Connections grow by one for each round of deliveries, so
    /// that a primary that has just come back is not run over.
    pub(super) fn settle(&self, due: &Due, verdicts: &[(u32, Verdict)]) {
        let mut state = self.state();
        state.window.settle(due.message.sequence);
        if let Some(is_known) = state.unrecorded.get_mut(&due.message.sequence) {
            *is_known = true;
        }
        if verdicts.iter().any(|(_, verdict)| verdict.is_taken()) {
            state.delivered += 1;
            state.round += 1;
            let may_grow = !state.on_trial && state.connections < state.connections_max;
            if may_grow && state.round >= state.connections {
                state.round = 0;
                state.connections += 1;
                self.attention.notify_one();
            }
        }
        self.pass_on(&state);
    }

    /// Forgets messages whose results the spool has.
    pub(super) fn reported(&self, sequence: u64, deferred: bool) {
        let mut state = self.state();
        self.free_place(&mut state, sequence);
        let met_again = state.window.reported(sequence);
        state.rewind |= met_again;
        state.deferral_reported |= deferred;
        if met_again || deferred || state.window.is_empty() || state.wants_more() {
            self.attention.notify_one();
        }
    }

    /// Messages that the primary has taken so far.
    pub(super) fn delivered(&self) -> u64 {
        self.state().delivered
    }

    /// What may still be offered from a source.
    pub(super) fn room(&self, source: Source) -> Room {
        self.state().window.room(source)
    }

    /// Leaves out what the window has already.
    pub(super) fn retain_new(&self, messages: &mut Vec<Due>) {
        let state = self.state();
        messages.retain(|due| state.window.is_new(due.message.sequence));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().window.is_empty()
    }

    /// Whether there is more to read from each source, once there is room.
    pub(super) fn set_more(&self, waiting: bool, deferred: bool) {
        let mut state = self.state();
        state.more_waiting = waiting;
        state.more_deferred = deferred;
    }

    /// Whether a deferral was reported since this was last asked.
    pub(super) fn take_deferral_reported(&self) -> bool {
        core::mem::take(&mut self.state().deferral_reported)
    }

    /// The revision of the domain's queue that the window follows.
    pub(super) fn revision(&self) -> u64 {
        self.state().window.revision()
    }

    /// The revision up to which a message in the window is known to be right.
    pub(super) fn revision_of(&self, due: &Due) -> Option<u64> {
        self.state().window.revision_of(due.message.sequence)
    }

    pub(super) fn unstarted(&self) -> Vec<u64> {
        self.state().window.unstarted()
    }

    /// Takes out what has not started and is not among these messages as it stands here, at a revision.
    pub(super) fn keep_unstarted(&self, as_it_is: &[Due], revision: u64) {
        let mut state = self.state();
        state.window.keep_unstarted(as_it_is, revision);
        self.pass_on(&state);
    }

    /// Takes a message in flight out again: it is not to be delivered, or not as it was read.
    pub(super) fn call_off(&self, due: &Due) {
        let mut state = self.state();
        state.window.call_off(due.message.sequence);
        state.rewind = true;
        self.pass_on(&state);
        self.attention.notify_one();
    }

    /// A walk has read these messages that wait.
    pub(super) fn meet(&self, read: &[Due], term: u64) {
        let mut state = self.state();
        if state.window.meet(read, term) {
            state.rewind = true;
            self.attention.notify_one();
        }
    }

    /// Whether what was read before is to be read again, since this was last asked.
    pub(super) fn take_rewind(&self) -> bool {
        core::mem::take(&mut self.state().rewind)
    }

    pub(super) fn begin_walk(&self) {
        self.state().window.begin_walk();
    }

    pub(super) fn end_walk(&self) {
        self.state().window.end_walk();
    }

    /// When the caller may start a message, at so many a second; 0 is no limit.
    pub(super) fn reserve_start(&self, messages_per_second: u32) -> Option<Instant> {
        if messages_per_second == 0 {
            return None;
        }
        let mut state = self.state();
        let start = state.next_start.max(Instant::now());
        state.next_start = start + Duration::from_secs(1) / messages_per_second;
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Waker};

    use super::*;
    use crate::outbound::window::tests::due;

    #[test]
    fn a_place_is_kept_for_what_the_primary_has_and_the_spool_does_not_know() {
        let queue = Queue::new(Order::Recipient);
        queue.workers_wanted(0, 1, false);
        let recipients = ["a", "b"].map(str::to_owned);
        let messages = (1..).zip(&recipients);
        queue.offer(
            messages.map(|(sequence, to)| due(sequence, &[to.as_str()])),
            Source::Waiting,
        );
        let start = || queue.state().window.start().unwrap();
        let (first, second) = (start(), start());
        let has_place = |due: &Due| {
            let mut now = Context::from_waker(Waker::noop());
            pin!(queue.take_place(due)).poll(&mut now).is_ready()
        };
        assert!(has_place(&first));
        assert!(!has_place(&second));
        // Called off in front of its dot.
        queue.put_back(&first);
        assert!(has_place(&second));
        queue.settle(
            &second,
            &[(0, Verdict::Delivered("250 2.0.0 ok".to_owned()))],
        );
        // Its result was not taken.
        queue.put_back(&second);
        assert!(!has_place(&first));
        queue.reported(second.message.sequence, false);
        assert!(has_place(&first));
    }

    #[test]
    fn a_report_leaves_at_once_with_half_of_what_may_be_unrecorded_or_when_nothing_more_can_come() {
        let queue = Queue::new(Order::None);
        queue.workers_wanted(0, 5, false);
        queue.offer(
            (1..=5).map(|sequence| due(sequence, &["a"])),
            Source::Waiting,
        );
        let started: Vec<Due> = (0..5).map(|_| queue.take().unwrap()).collect();
        let taken = [(0, Verdict::Delivered("250 2.0.0 ok".to_owned()))];
        for due in &started {
            assert!(!queue.awaits_report(5), "places are left");
            let mut now = Context::from_waker(Waker::noop());
            assert!(pin!(queue.take_place(due)).poll(&mut now).is_ready());
        }
        assert!(!queue.awaits_report(1));
        assert!(queue.awaits_report(2));
        for due in &started {
            assert!(!queue.awaits_report(1), "another result may come");
            queue.settle(due, &taken);
        }
        assert!(queue.awaits_report(1));
        queue.reported(1, false);
        assert!(!queue.awaits_report(5), "a place is left");
    }
}
