//! What only the node that delivers knows of a domain's delivery, for whoever asks it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spool::Timestamp;
use tokio::time::Instant;

/// A rate is told of about so long: it follows a primary that speeds up or slows down, and does not jump.
const RATE_SPAN: Duration = Duration::from_secs(10);

/// How all domains that this node delivers to are getting on; empty while it does not lead. Clones tell
/// the same.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<String, Course>>>);

/// How one domain is getting on.
#[derive(Clone, Debug)]
pub struct Course {
    /// Workers that have a connection, or are opening one.
    pub connections: usize,
    /// Whether the primary is being asked at this moment whether it is back.
    pub probing: bool,
    /// Since when its queue is being emptied; `None` while nothing is sent.
    pub draining_since: Option<Timestamp>,
    /// What went wrong last, in words, and when.
    pub last_error: Option<(Timestamp, String)>,
    rate: Rate,
}

/// Events that fade, so that their sum is a rate.
#[derive(Clone, Copy, Debug)]
struct Rate {
    faded: f64,
    at: Instant,
}

impl Rate {
    fn at(self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        self.faded * (-age / RATE_SPAN.as_secs_f64()).exp()
    }

    fn note(&mut self, now: Instant) {
        self.faded = self.at(now) + 1.0;
        self.at = now;
    }
}

impl Course {
    fn new() -> Self {
        Self {
            connections: 0,
            probing: false,
            draining_since: None,
            last_error: None,
            rate: Rate {
                faded: 0.0,
                at: Instant::now(),
            },
        }
    }

    /// Messages a second that the primary has taken lately.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.rate.at(Instant::now()) / RATE_SPAN.as_secs_f64()
    }
}

impl Progress {
    /// How a domain is getting on; `None` when nothing is to be done for it here.
    #[must_use]
    pub fn of(&self, domain: &str) -> Option<Course> {
        self.by_domain().get(domain).cloned()
    }

    pub(super) fn change(&self, domain: &str, change: impl FnOnce(&mut Course)) {
        let mut by_domain = self.by_domain();
        let course = match by_domain.get_mut(domain) {
            Some(course) => course,
            None => by_domain
                .entry(domain.to_owned())
                .or_insert_with(Course::new),
        };
        change(course);
    }

    /// The primary has taken a message.
    pub(super) fn delivered(&self, domain: &str) {
        self.change(domain, |course| course.rate.note(Instant::now()));
    }

    /// Nothing is to be done for a domain any more.
    pub(super) fn forget(&self, domain: &str) {
        self.by_domain().remove(domain);
    }

    /// This node delivers no more.
    pub(super) fn clear(&self) {
        self.by_domain().clear();
    }

    fn by_domain(&self) -> MutexGuard<'_, BTreeMap<String, Course>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_that_of_the_last_seconds() {
        let progress = Progress::default();
        assert!(progress.of("example.com").is_none());
        for _ in 0..600 {
            progress.delivered("example.com");
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let per_second = || progress.of("example.com").unwrap().per_second();
        assert!((9.0..11.0).contains(&per_second()), "{}", per_second());
        tokio::time::advance(6 * RATE_SPAN).await;
        assert!(per_second() < 0.1, "{}", per_second());
        progress.forget("example.com");
        assert!(progress.of("example.com").is_none());
    }
}
