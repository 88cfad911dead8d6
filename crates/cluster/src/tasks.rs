//! What runs beside consensus: tasks that end when they are told to. One that ends before that takes
//! the node along, as a node that lacks a part of itself is worse than one that is down: nobody would
//! notice.

use std::{future::Future, sync::Arc, thread};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{failure::Failure, signals::Signals};

/// Tasks that end together.
pub(crate) struct Tasks {
    running: JoinSet<()>,
    signals: Arc<Signals>,
    stop: CancellationToken,
}

impl Tasks {
    pub(crate) fn new(signals: Arc<Signals>, stop: CancellationToken) -> Self {
        Self {
            running: JoinSet::new(),
            signals,
            stop,
        }
    }

    /// Starts a task that runs until stopped. `name` says in the log what it does.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.start(name, task, false);
    }

    /// Starts a task that may come to its end by itself.
    pub(crate) fn spawn_finite(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.start(name, task, true);
    }

    /// All of them, for whoever waits for their end.
    pub(crate) fn into_running(self) -> JoinSet<()> {
        self.running
    }

    fn start(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
        may_end: bool,
    ) {
        let watched = Watched {
            name,
            signals: Arc::clone(&self.signals),
            stop: self.stop.clone(),
            may_end: false,
        };
        self.running.spawn(async move {
            // As a whole: the task owns it until its end.
            let mut watched = watched;
            task.await;
            watched.may_end = may_end;
        });
    }
}

/// Dropped when its task ends, however it does.
struct Watched {
    name: &'static str,
    signals: Arc<Signals>,
    stop: CancellationToken,
    may_end: bool,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.may_end || self.stop.is_cancelled() {
            return;
        }
        self.signals.fail(if thread::panicking() {
            Failure::Panicked(self.name)
        } else {
            Failure::Ended(self.name)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a node fails whose task ends in this way, before it is stopped or after.
    async fn failure(
        finite: bool,
        stopped: bool,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Option<Failure> {
        let (signals, stop) = (Arc::new(Signals::new()), CancellationToken::new());
        signals.accepting.send_replace(true);
        let mut tasks = Tasks::new(Arc::clone(&signals), stop.clone());
        if stopped {
            stop.cancel();
        }
        if finite {
            tasks.spawn_finite("a chore", task);
        } else {
            tasks.spawn("a chore", task);
        }
        drop(tasks.into_running().join_next().await);
        let failure = signals.failed.borrow().clone();
        assert_eq!(*signals.accepting.borrow(), failure.is_none());
        failure
    }

    #[tokio::test]
    async fn a_task_that_ends_untold_ends_the_node() {
        let ended = Some(Failure::Ended("a chore"));
        assert_eq!(failure(false, false, async {}).await, ended);
        assert_eq!(failure(false, true, async {}).await, None);
        assert_eq!(failure(true, false, async {}).await, None);
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_the_node() {
        let panics = || async { panic!("as this test wants it") };
        let panicked = Some(Failure::Panicked("a chore"));
        for finite in [true, false] {
            assert_eq!(failure(finite, false, panics()).await, panicked);
        }
    }

    #[test]
    fn the_first_failure_is_the_one_that_is_told() {
        let signals = Signals::new();
        signals.fail(Failure::ConsensusGone);
        signals.fail(Failure::Ended("a chore"));
        assert_eq!(*signals.failed.borrow(), Some(Failure::ConsensusGone));
    }
}
