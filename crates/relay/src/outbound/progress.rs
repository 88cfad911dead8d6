//! What only the node that delivers knows of a domain's delivery, for whoever asks it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spool::{Course, Courses};
use tokio::time::Instant;

/// A rate is told of about so long: it follows a primary that speeds up or slows down, and does not jump.
const RATE_SPAN: Duration = Duration::from_secs(10);

/// How all domains that this node delivers to are getting on; empty while it does not lead. Clones tell
/// the same.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<String, Followed>>>);

#[derive(Debug)]
struct Followed {
    course: Course,
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

impl Followed {
    fn new() -> Self {
        Self {
            course: Course::default(),
            rate: Rate {
                faded: 0.0,
                at: Instant::now(),
            },
        }
    }

    fn course(&self) -> Course {
        Course {
            per_second: self.rate.at(Instant::now()) / RATE_SPAN.as_secs_f64(),
            ..self.course.clone()
        }
    }
}

impl Courses for Progress {
    fn courses(&self) -> Vec<(String, Course)> {
        let by_domain = self.by_domain();
        let courses = by_domain.iter();
        courses
            .map(|(domain, followed)| (domain.clone(), followed.course()))
            .collect()
    }
}

impl Progress {
    /// How a domain is getting on; `None` when nothing is to be done for it here.
    #[cfg(test)]
    pub(super) fn of(&self, domain: &str) -> Option<Course> {
        self.by_domain().get(domain).map(Followed::course)
    }

    pub(super) fn change(&self, domain: &str, change: impl FnOnce(&mut Course)) {
        self.follow(domain, |followed| change(&mut followed.course));
    }

    /// The primary has taken a message.
    pub(super) fn delivered(&self, domain: &str) {
        self.follow(domain, |followed| followed.rate.note(Instant::now()));
    }

    fn follow(&self, domain: &str, change: impl FnOnce(&mut Followed)) {
        let mut by_domain = self.by_domain();
        change(match by_domain.get_mut(domain) {
            Some(followed) => followed,
            None => by_domain
                .entry(domain.to_owned())
                .or_insert_with(Followed::new),
        });
    }

    /// Nothing is to be done for a domain any more.
    pub(super) fn forget(&self, domain: &str) {
        self.by_domain().remove(domain);
    }

    /// This node delivers no more.
    pub(super) fn clear(&self) {
        self.by_domain().clear();
    }

    fn by_domain(&self) -> MutexGuard<'_, BTreeMap<String, Followed>> {
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
        let per_second = || progress.of("example.com").unwrap().per_second;
        assert!((9.0..11.0).contains(&per_second()), "{}", per_second());
        tokio::time::advance(6 * RATE_SPAN).await;
        assert!(per_second() < 0.1, "{}", per_second());
        progress.forget("example.com");
        assert!(progress.of("example.com").is_none());
    }
}
