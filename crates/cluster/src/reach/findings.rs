//! Which primaries this node reaches, of those that are down.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::limits::{FINDING_PROBES_MIN, FINDING_STEADY};

/// What this node has found, and when leadership may be moved again.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    by_domain: Mutex<BTreeMap<String, Finding>>,
    /// No move before this, as far as this node knows.
    rests_until: Mutex<Option<Instant>>,
}

/// The same result, over and over.
#[derive(Clone, Copy, Debug)]
struct Finding {
    is_reached: bool,
    since: Instant,
    probes: u32,
    /// It is worth nothing after this: nobody probes any more.
    until: Instant,
}

impl Finding {
    fn is_steady(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.since);
        self.until > now && self.probes >= FINDING_PROBES_MIN && age >= FINDING_STEADY
    }
}

impl Findings {
    /// Notes what a probe has found at a moment, and for how long that counts.
    pub(crate) fn note(&self, domain: &str, is_reached: bool, now: Instant, lasts: Duration) {
        let mut by_domain = self.by_domain();
        by_domain.retain(|_, finding| finding.until > now);
        let known = by_domain.get(domain).copied();
        let before = known.filter(|known| known.is_reached == is_reached);
        let finding = Finding {
            is_reached,
            since: before.map_or(now, |known| known.since),
            probes: before.map_or(0, |known| known.probes).saturating_add(1),
            until: now + lasts,
        };
        by_domain.insert(domain.to_owned(), finding);
    }

    /// The domains whose primaries it has reached for a while, or has not.
    pub(crate) fn steady(&self, is_reached: bool, now: Instant) -> Vec<String> {
        let by_domain = self.by_domain();
        let steady = by_domain
            .iter()
            .filter(|(_, finding)| finding.is_reached == is_reached && finding.is_steady(now));
        steady.map(|(domain, _)| domain.clone()).collect()
    }

    /// Each domain that is probed, and whether its primary was reached the last time.
    pub(crate) fn last(&self, now: Instant) -> Vec<(String, bool)> {
        let by_domain = self.by_domain();
        let last = by_domain
            .iter()
            .filter(|(_, finding)| finding.until > now)
            .map(|(domain, finding)| (domain.clone(), finding.is_reached));
        last.collect()
    }

    /// Lets no move be made for a time.
    pub(crate) fn rest(&self, now: Instant, lasts: Duration) {
        let mut until = self.rests_until();
        *until = (*until).max(Some(now + lasts));
    }

    /// Whether a move may be made.
    pub(crate) fn may_move(&self, now: Instant) -> bool {
        self.rests_until().is_none_or(|until| until <= now)
    }

    fn by_domain(&self) -> MutexGuard<'_, BTreeMap<String, Finding>> {
        self.by_domain
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn rests_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_found_over_and_over_counts_and_one_other_result_begins_anew() {
        let findings = Findings::default();
        let began = Instant::now();
        let note = |second: u64, is_reached| {
            let now = began + Duration::from_secs(second);
            findings.note("a", is_reached, now, LASTS);
            findings.steady(true, now)
        };
        assert!(note(0, true).is_empty());
        assert!(note(20, true).is_empty());
        assert_eq!(note(40, true), ["a"]);
        assert!(note(50, false).is_empty());
        assert!(note(55, true).is_empty());
        assert!(note(60, true).is_empty());
        assert!(note(65, true).is_empty(), "often, and not for long");
        assert_eq!(note(90, true), ["a"]);
    }

    #[test]
    fn few_probes_say_nothing_however_long_ago() {
        let findings = Findings::default();
        let began = Instant::now();
        let later = began + Duration::from_secs(50);
        findings.note("a", false, began, LASTS);
        findings.note("a", false, later, LASTS);
        assert!(findings.steady(false, later).is_empty());
    }

    #[test]
    fn what_is_not_probed_any_more_is_forgotten() {
        let findings = Findings::default();
        let began = Instant::now();
        for second in [0, 20, 40] {
            let now = began + Duration::from_secs(second);
            findings.note("a", true, now, LASTS);
        }
        let still = began + Duration::from_secs(99);
        assert_eq!(findings.steady(true, still), ["a"]);
        assert!(findings.steady(false, still).is_empty());
        assert_eq!(findings.last(still), [("a".to_owned(), true)]);
        let past = began + Duration::from_secs(101);
        assert!(findings.steady(true, past).is_empty());
        assert!(findings.last(past).is_empty());
        findings.note("a", true, past, LASTS);
        assert!(findings.steady(true, past).is_empty(), "it begins anew");
    }

    #[test]
    fn after_a_move_there_is_a_rest() {
        let findings = Findings::default();
        let now = Instant::now();
        assert!(findings.may_move(now));
        findings.rest(now, LASTS);
        findings.rest(now, LASTS / 2);
        assert!(!findings.may_move(now + LASTS - Duration::from_secs(1)));
        assert!(findings.may_move(now + LASTS));
    }
}
