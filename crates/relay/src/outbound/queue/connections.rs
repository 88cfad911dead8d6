//! How many connections may empty a window: one at first, more as the primary takes mail (while it is on trial: not
//! for that) or keeps it waiting, fewer when it refuses one.

use tokio::time::Instant;

use super::{Queue, State};
use crate::outbound::limits::{STALL, TRIAL_CONNECTIONS_MAX};

impl State {
    /// Whether messages wait that one connection more could take.
    fn could_widen(&self) -> bool {
        self.window.startable() > self.idle && self.connections < self.connections_max
    }
}

impl Queue {
    /// Fewer connections from now on: the primary has refused one.
    pub(in crate::outbound) fn halve_connections(&self) {
        let mut state = self.state();
        state.connections = (state.connections / 2).max(1);
        state.round = 0;
    }

    /// A message goes over a connection from now on.
    pub(in crate::outbound) fn begin_talk(&self) {
        let mut state = self.state();
        state.talking += 1;
        state.moved = Instant::now();
    }

    /// It does no more.
    pub(in crate::outbound) fn end_talk(&self) {
        let mut state = self.state();
        state.talking = state.talking.saturating_sub(1);
        state.moved = Instant::now();
    }

    /// When to look whether those under way have taken so long that those which wait get a connection more.
    pub(in crate::outbound) fn stalls_at(&self) -> Option<Instant> {
        let state = self.state();
        let since = match state.talking >= state.connections {
            true => state.moved,
            // One is being opened.
            false => Instant::now(),
        };
        state.could_widen().then(|| since + STALL)
    }

    /// Allows one connection more, if all that are allowed have been talking for so long.
    pub(in crate::outbound) fn widen_if_stalled(&self) {
        let mut state = self.state();
        let is_stalled = state.talking >= state.connections && state.moved.elapsed() >= STALL;
        if is_stalled && state.could_widen() {
            state.connections += 1;
            state.moved = Instant::now();
        }
    }

    /// One connection from now on: the primary was away, and may not be what it was.
    pub(in crate::outbound) fn begin_slowly(&self) {
        let mut state = self.state();
        state.connections = 1;
        state.round = 0;
    }

    /// How many workers to start, with so many running. While a primary is on trial there is one connection, and more
    /// only for what has stalled.
    pub(in crate::outbound) fn workers_wanted(
        &self,
        running: usize,
        connections_max: usize,
        on_trial: bool,
    ) -> usize {
        let mut state = self.state();
        let limit = if on_trial {
            TRIAL_CONNECTIONS_MAX
        } else {
            usize::MAX
        };
        state.connections_max = connections_max.clamp(1, limit);
        state.on_trial = on_trial;
        state.connections = state.connections.min(state.connections_max);
        let unserved = state.window.startable().saturating_sub(state.idle);
        unserved.min(state.connections.saturating_sub(running))
    }
}
