//! The trial of a primary that is back (`spool::guard`), while this leader lets it run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use spool::Timestamp;
use spool::guard::{Answer, Standing, Trial};
use tokio::time::Instant;

/// A trial that a domain's task and its workers share.
#[derive(Debug)]
pub(super) struct OpenTrial {
    /// Of the recovery.
    pub(super) begun_at: Timestamp,
    /// Since when this leader lets it run.
    since: Instant,
    trial: Mutex<Trial>,
}

impl OpenTrial {
    pub(super) fn new(begun_at: Timestamp) -> Self {
        Self {
            begun_at,
            since: Instant::now(),
            trial: Mutex::default(),
        }
    }

    fn trial(&self) -> MutexGuard<'_, Trial> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self) -> Standing {
        self.trial().standing()
    }

    /// Hears what the primary answered about a recipient of a message.
    pub(super) fn hear(&self, message: u64, recipient: u32, answer: Answer<'_>) {
        self.trial().hear(message, recipient, answer);
    }

    /// Ends it: nothing more is there to be answered.
    pub(super) fn conclude(&self) -> Standing {
        let mut trial = self.trial();
        trial.conclude();
        trial.standing()
    }

    /// Ends it in the primary's favour.
    pub(super) fn call_off(&self) {
        self.trial().call_off();
    }

    /// Whether it is over by its age. The time in which nothing was sent, under an earlier leader or in a pause,
    /// does not count: nobody was heard in it.
    pub(super) fn is_outlived(&self) -> bool {
        self.trial().is_outlived(self.since.elapsed())
    }

    /// How many messages have a recipient whose refusal was not believed.
    pub(super) fn put_off(&self) -> u64 {
        self.trial().put_off()
    }
}
