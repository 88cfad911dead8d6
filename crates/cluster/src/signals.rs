//! What is told to the whole node: who leads, whether mail is taken, whose turn it is, what has failed.

use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use crate::{failure::Failure, hand_over::Turns, status::Leadership};

/// What everything here watches, and mostly the watch on leadership tells.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) accepting: watch::Sender<bool>,
    /// Whether this node sees a quorum. What it knows of a leader is out of date otherwise.
    pub(crate) in_quorum: AtomicBool,
    /// Whether this node's forwarder may run, and whether it does.
    pub(crate) turns: Turns,
    /// Why this node can not go on.
    pub(crate) failed: watch::Sender<Option<Failure>>,
}

impl Signals {
    /// Nobody leads, nothing is accepted, nothing has failed.
    pub(crate) fn new() -> Self {
        let nobody = Leadership {
            term: 0,
            leader: None,
            leading: false,
        };
        Self {
            leadership: watch::Sender::new(nobody),
            accepting: watch::Sender::new(false),
            in_quorum: AtomicBool::new(false),
            turns: Turns::new(),
            failed: watch::Sender::new(None),
        }
    }

    /// Notes why this node can not go on, unless there is a reason already: what fails later fails for
    /// that.
    pub(crate) fn fail(&self, failure: Failure) {
        self.failed.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
        self.accepting.send_replace(false);
    }
}
