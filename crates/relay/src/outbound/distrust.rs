//! Which hosts offer CHUNKING and do not know BDAT.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::outbound::limits::CHUNKING_DISTRUST;

/// The hosts that get bodies by DATA, whatever they offer. There are as many at most as policies have
/// named within that time.
#[derive(Debug, Default)]
pub(super) struct Distrust(Mutex<HashMap<String, Instant>>);

impl Distrust {
    /// Notes that a host does not know BDAT.
    pub(super) fn note(&self, host: &str) {
        let mut by_host = self.by_host();
        by_host.retain(|_, found_out| found_out.elapsed() < CHUNKING_DISTRUST);
        by_host.insert(host.to_owned(), Instant::now());
    }

    /// Whether a host's CHUNKING is not to be believed.
    pub(super) fn covers(&self, host: &str) -> bool {
        let found_out = self.by_host().get(host).copied();
        found_out.is_some_and(|at| at.elapsed() < CHUNKING_DISTRUST)
    }

    fn by_host(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_is_distrusted_for_its_time_and_no_other_is() {
        let distrust = Distrust::default();
        assert!(!distrust.covers("a.example:25"));
        distrust.note("a.example:25");
        tokio::time::advance(CHUNKING_DISTRUST / 2).await;
        assert!(distrust.covers("a.example:25"));
        assert!(!distrust.covers("b.example:25"));
        tokio::time::advance(CHUNKING_DISTRUST).await;
        assert!(!distrust.covers("a.example:25"));
    }
}
