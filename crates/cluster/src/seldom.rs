//! What goes on and on is said when it begins, and then seldom: often enough to be found, and not to fill a log.

use std::time::Instant;

use crate::limits::SAID_AGAIN_AFTER;

/// What was said lately, and when.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Vec<(String, Instant)>);

impl Seldom {
    /// Whether it is to be said now: it was not said, or a while ago. It counts as said then.
    pub(crate) fn is_due(&mut self, what: &str, now: Instant) -> bool {
        self.0
            .retain(|(_, at)| now.saturating_duration_since(*at) < SAID_AGAIN_AFTER);
        let is_due = self.0.iter().all(|(said, _)| said != what);
        if is_due {
            self.0.push((what.to_owned(), now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_not_changed_is_said_once_a_minute() {
        let mut seldom = Seldom::default();
        let began = Instant::now();
        let mut at = |what, seconds| seldom.is_due(what, began + Duration::from_secs(seconds));
        assert!(at("node 2 is silent", 0));
        assert!(!at("node 2 is silent", 59));
        assert!(at("node 2 is silent", 60));
        assert!(at("node 3 is silent", 61));
        assert!(!at("node 3 is silent", 120));
        assert!(at("node 3 is silent", 121));
    }
}
