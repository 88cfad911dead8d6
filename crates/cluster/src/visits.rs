//! Who was sent away by this node's sentries, on its way to all nodes.
//!
//! ```text
//!   Intake::admit ──▶ waiting ──▶ once a second: Command::Visits
//! ```
//!
//! Anybody can come, so what is told of it is bounded here, before it is written anywhere. New visitors
//! are told of a few at a time; those that came back have shown something that few strangers do, so a
//! crowd of new ones does not keep them waiting. Who is not told of has to come once more.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use spool::{Clock, Command, Visitor, Visits as Batch};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{limits, propose::Proposer};

/// Visitors that are not told of yet, and whether each is new.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    waiting: Mutex<BTreeMap<Visitor, bool>>,
    came: Notify,
}

impl Visits {
    /// Takes a visitor, if there is room.
    pub(crate) fn add(&self, visitor: Visitor, is_new: bool) {
        let most = if is_new {
            limits::NEW_VISITORS_WAITING_MAX
        } else {
            limits::VISITORS_WAITING_MAX
        };
        let mut waiting = self.waiting();
        if waiting.len() < most {
            waiting.insert(visitor, is_new);
            self.came.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Visitor, bool>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody has come, and takes as many as one command may tell of.
    async fn gather(&self) -> Vec<Visitor> {
        loop {
            let visitors = self.take();
            if !visitors.is_empty() {
                return visitors;
            }
            self.came.notified().await;
        }
    }

    fn take(&self) -> Vec<Visitor> {
        let mut waiting = self.waiting();
        let of_kind = |new: bool, most: usize| {
            let some = waiting.iter().filter(move |(_, is_new)| **is_new == new);
            some.map(|(visitor, _)| *visitor).take(most)
        };
        let back = of_kind(false, limits::BACK_PER_VISITS_MAX);
        let new = of_kind(true, limits::NEW_PER_VISITS_MAX);
        let visitors: Vec<Visitor> = back.chain(new).collect();
        for visitor in &visitors {
            waiting.remove(visitor);
        }
        visitors
    }
}

/// Tells all nodes who was sent away here, until stopped.
pub(crate) async fn tell(
    visits: Arc<Visits>,
    proposer: Proposer,
    clock: Clock,
    stop: CancellationToken,
) {
    let telling = async {
        loop {
            let visitors = visits.gather().await;
            let count = visitors.len();
            let at = clock.now();
            let told = proposer.propose(Command::Visits(Batch { at, visitors }));
            if let Err(refusal) = told.await {
                tracing::debug!(%refusal, count, "visits to a sentry are lost");
            }
            sleep(limits::VISITS_INTERVAL).await;
        }
    };
    stop.run_until_cancelled(telling).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitors(range: std::ops::Range<u128>) -> Vec<Visitor> {
        range.map(Visitor).collect()
    }

    #[tokio::test]
    async fn a_visitor_is_told_of_once() {
        let visits = Visits::default();
        for _ in 0..3 {
            visits.add(Visitor(2), true);
        }
        visits.add(Visitor(1), false);
        assert_eq!(visits.gather().await, visitors(1..3));
        assert_eq!(visits.take(), []);
    }

    #[test]
    fn a_crowd_of_new_ones_keeps_nobody_waiting_who_came_back() {
        let visits = Visits::default();
        for visitor in visitors(0..10_000) {
            visits.add(visitor, true);
        }
        assert_eq!(visits.waiting().len(), limits::NEW_VISITORS_WAITING_MAX);
        visits.add(Visitor(u128::MAX), false);
        let told = visits.take();
        assert_eq!(told.first(), Some(&Visitor(u128::MAX)));
        assert_eq!(told.len(), 1 + limits::NEW_PER_VISITS_MAX);
        for visitor in visitors(20_000..30_000) {
            visits.add(visitor, false);
        }
        assert_eq!(visits.waiting().len(), limits::VISITORS_WAITING_MAX);
        let told = visits.take();
        let most = limits::BACK_PER_VISITS_MAX + limits::NEW_PER_VISITS_MAX;
        assert_eq!(told.len(), most);
    }
}
