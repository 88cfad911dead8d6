//! The files of bodies, kept few: what is needed of a file of which most is not goes to another.

use tokio::sync::mpsc;

use super::job::Job;

/// Has it done by the log's writer. Does not keep that waiting at the end.
#[derive(Clone, Debug)]
pub(crate) struct Tidying {
    jobs: mpsc::WeakSender<Job>,
}

impl Tidying {
    pub(super) const fn new(jobs: mpsc::WeakSender<Job>) -> Self {
        Self { jobs }
    }

    /// Has a few MiB moved, if there is anything to move. Returns before that is done.
    pub(crate) async fn ask(&self) {
        if let Some(jobs) = self.jobs.upgrade() {
            // A writer that is gone has told why.
            drop(jobs.send(Job::Tidy).await);
        }
    }
}
