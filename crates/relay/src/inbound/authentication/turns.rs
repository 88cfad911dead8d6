//! Who may ask the DNS now.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Places for the evaluations that ask the DNS at a time: all of this node, or those of one client.
#[derive(Debug)]
pub(in crate::inbound) struct Places {
    /// For SPF.
    pub(super) spf: Semaphore,
    /// For all else, which takes a short while only, and does not wait for what a slow name server of a
    /// stranger keeps.
    pub(super) rest: Semaphore,
}

/// The places that an evaluation needs: one of its client's, and one of all. Who waits for his own takes none
/// from others meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    pub(super) of_client: Arc<Places>,
    pub(super) of_all: Arc<Places>,
}

/// Both places. They are free again when this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'p> {
    _of_client: Option<SemaphorePermit<'p>>,
    _of_all: Option<SemaphorePermit<'p>>,
}

impl Places {
    pub(in crate::inbound) fn new(max: usize) -> Self {
        Self {
            spf: Semaphore::new(max),
            rest: Semaphore::new(max),
        }
    }
}

impl Turns {
    /// Waits for the turn to ask for SPF.
    pub(super) async fn spf(&self) -> Turn<'_> {
        turn(&self.of_client.spf, &self.of_all.spf).await
    }

    /// Waits for the turn to ask for the rest.
    pub(super) async fn rest(&self) -> Turn<'_> {
        turn(&self.of_client.rest, &self.of_all.rest).await
    }
}

async fn turn<'p>(of_client: &'p Semaphore, of_all: &'p Semaphore) -> Turn<'p> {
    // Nobody closes them.
    Turn {
        _of_client: of_client.acquire().await.ok(),
        _of_all: of_all.acquire().await.ok(),
    }
}
