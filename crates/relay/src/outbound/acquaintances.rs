//! To whom each domain's mail was delivered last: people whom the primary knows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smtp::ForwardPath;

use crate::outbound::limits::ACQUAINTANCES_MAX;

/// A few recipients of each domain that had mail while this node led.
#[derive(Debug, Default)]
pub(super) struct Acquaintances(Mutex<HashMap<String, VecDeque<ForwardPath>>>);

impl Acquaintances {
    /// The primary has taken a message for him.
    pub(super) fn note(&self, domain: &str, path: &ForwardPath) {
        let mut by_domain = self.by_domain();
        let known = match by_domain.get_mut(domain) {
            Some(known) => known,
            None => by_domain.entry(domain.to_owned()).or_default(),
        };
        if known.contains(path) {
            return;
        }
        known.truncate(ACQUAINTANCES_MAX - 1);
        known.push_front(path.clone());
    }

    /// The primary knows him no more.
    pub(super) fn forget(&self, domain: &str, path: &ForwardPath) {
        if let Some(known) = self.by_domain().get_mut(domain) {
            known.retain(|known| known != path);
        }
    }

    /// Whether the primary has taken a message for him, as far as is remembered.
    pub(super) fn include(&self, domain: &str, path: &ForwardPath) -> bool {
        let by_domain = self.by_domain();
        by_domain
            .get(domain)
            .is_some_and(|known| known.contains(path))
    }

    /// So many of them at most, the latest first.
    pub(super) fn latest(&self, domain: &str, count: usize) -> Vec<ForwardPath> {
        let by_domain = self.by_domain();
        let known = by_domain.get(domain).into_iter().flatten();
        known.take(count).cloned().collect()
    }

    fn by_domain(&self) -> MutexGuard<'_, HashMap<String, VecDeque<ForwardPath>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use smtp::Mailbox;

    use super::*;

    fn path(number: usize) -> ForwardPath {
        ForwardPath::Mailbox(Mailbox {
            local_part: format!("user{number}"),
            domain: "example.com".into(),
        })
    }

    #[test]
    fn the_latest_of_each_domain_are_remembered() {
        let known = Acquaintances::default();
        for number in [0, 1, 1, 0].into_iter().chain(2..=ACQUAINTANCES_MAX) {
            known.note("example.com", &path(number));
        }
        assert!(!known.include("example.com", &path(0)));
        assert!(known.include("example.com", &path(1)));
        assert!(!known.include("example.org", &path(1)));
        let latest = [path(ACQUAINTANCES_MAX), path(ACQUAINTANCES_MAX - 1)];
        assert_eq!(known.latest("example.com", 2), latest);
        known.forget("example.com", &latest[0]);
        assert_eq!(known.latest("example.com", 1), latest[1..]);
        assert_eq!(known.latest("example.org", 1), []);
    }
}
