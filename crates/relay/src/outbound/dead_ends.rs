//! Senders' domains whose hosts keep a courier waiting for nothing.
//!
//! There are few couriers, and anybody can have reports sent to hosts of his own. So of reports to such a domain
//! one is tried now and then, and the others are put off by what came of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::outbound::limits::{DEAD_END_KEEP, DEAD_END_WAIT};

/// What came of each, and when. There are as many at most as couriers have waited for within that time.
#[derive(Debug, Default)]
pub(super) struct DeadEnds(Mutex<HashMap<String, (Instant, String)>>);

impl DeadEnds {
    /// Notes why a report was put off that was begun then; one that was put off soon has kept nobody waiting.
    pub(super) fn note(&self, domain: &str, began: Instant, why: &str) {
        if began.elapsed() < DEAD_END_WAIT {
            return;
        }
        let mut by_domain = self.by_domain();
        by_domain.retain(|_, (at, _)| at.elapsed() < DEAD_END_KEEP);
        let domain = domain.to_ascii_lowercase();
        by_domain.insert(domain, (Instant::now(), why.to_owned()));
    }

    /// Why a report to this domain is put off without being tried, if it is.
    pub(super) fn objection(&self, domain: &str) -> Option<String> {
        let by_domain = self.by_domain();
        let (at, why) = by_domain.get(&domain.to_ascii_lowercase())?;
        (at.elapsed() < DEAD_END_KEEP).then(|| why.clone())
    }

    /// An operator wants all of them to be tried.
    pub(super) fn forget(&self) {
        self.by_domain().clear();
    }

    fn by_domain(&self) -> MutexGuard<'_, HashMap<String, (Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_domain_is_left_alone_for_a_while_once_somebody_has_waited_for_it() {
        let dead_ends = DeadEnds::default();
        let began = Instant::now();
        dead_ends.note("quick.example", began, "refused");
        assert_eq!(dead_ends.objection("quick.example"), None);
        tokio::time::advance(DEAD_END_WAIT).await;
        dead_ends.note("Slow.example", began, "no greeting");
        let objection = || dead_ends.objection("slow.EXAMPLE");
        assert_eq!(objection(), Some("no greeting".to_owned()));
        tokio::time::advance(DEAD_END_KEEP - Duration::from_millis(1)).await;
        assert!(objection().is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(objection(), None);
        dead_ends.note("slow.example", began, "no greeting");
        dead_ends.forget();
        assert_eq!(objection(), None);
    }
}
