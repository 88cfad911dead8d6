//! How many connections a primary has to bear, however many domains are its own.
//!
//! A hundred domains of one hoster have one primary. As many connections as the policy allows to it are places that all
//! of them share, at each of its hosts: who wants one waits in line, first come, first served, and who has one leaves
//! it after a while if somebody waits ([`TURN`](super::limits::TURN)).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places at all hosts.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Mutex<HashMap<String, Weak<Line>>>>);

/// The places at one host, and who waits for one.
#[derive(Debug)]
struct Line {
    places: Arc<Semaphore>,
    /// How many there are, taken or free.
    all: AtomicUsize,
    waiting: AtomicUsize,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    line: Arc<Line>,
    _taken: OwnedSemaphorePermit,
}

/// What a connection is to take its place from, and how many its domain allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share<'a> {
    pub(crate) places: &'a Places,
    pub(crate) max: usize,
}

/// Somebody who waits, until he is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Places {
    /// Waits for a place at a host: `mail.example.com:25`. There are as many as the domains allow that use it or
    /// wait; if they do not agree, as many as the most generous of them.
    pub(crate) async fn take(&self, host: &str, max: usize) -> Place {
        loop {
            let line = self.line(host, max);
            let waiting = Waiting::count(&line.waiting);
            let taken = Arc::clone(&line.places).acquire_owned().await;
            drop(waiting);
            // No line is ever closed.
            if let Ok(taken) = taken {
                return Place {
                    line,
                    _taken: taken,
                };
            }
        }
    }

    fn line(&self, host: &str, max: usize) -> Arc<Line> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let host = host.to_ascii_lowercase();
        let line = lines.get(&host).and_then(Weak::upgrade);
        let line = line.unwrap_or_else(|| {
            lines.retain(|_, line| line.strong_count() > 0);
            let line = Arc::new(Line {
                places: Arc::new(Semaphore::new(0)),
                all: AtomicUsize::new(0),
                waiting: AtomicUsize::new(0),
            });
            lines.insert(host, Arc::downgrade(&line));
            line
        });
        // Under the lock, so that nobody else adds the same.
        let all = line.all.fetch_max(max, Ordering::Relaxed);
        line.places.add_permits(max.saturating_sub(all));
        line
    }

    /// How many wait for a place at a host.
    #[cfg(test)]
    pub(crate) fn waiting(&self, host: &str) -> usize {
        let lines = self.0.lock().unwrap();
        let line = lines.get(host).and_then(Weak::upgrade);
        line.map_or(0, |line| line.waiting.load(Ordering::Relaxed))
    }
}

impl Share<'_> {
    pub(crate) async fn take(self, host: &str) -> Place {
        self.places.take(host, self.max).await
    }
}

impl Place {
    /// Whether somebody waits for it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.line.waiting.load(Ordering::Relaxed) > 0
    }
}

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::*;

    const HOST: &str = "mail.example.com:25";

    /// A place that is free, if one is.
    fn free(places: &Places, host: &str, max: usize) -> Option<Place> {
        let mut now = Context::from_waker(Waker::noop());
        match pin!(places.take(host, max)).poll(&mut now) {
            Poll::Ready(place) => Some(place),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_host_has_as_many_places_as_the_most_generous_of_its_domains_allows() {
        let places = Places::default();
        let first = free(&places, HOST, 1).unwrap();
        assert!(free(&places, HOST, 1).is_none());
        assert!(free(&places, "MAIL.example.com:25", 1).is_none());
        assert!(free(&places, "mail.example.com:2525", 1).is_some());
        let more = [(); 2].map(|()| free(&places, HOST, 3).unwrap());
        assert!(free(&places, HOST, 3).is_none());
        drop(more);
        assert!(free(&places, HOST, 1).is_some());
        drop(first);
        // All of them are gone, and so is what the generous one allowed.
        let _one = free(&places, HOST, 1).unwrap();
        assert!(free(&places, HOST, 1).is_none());
    }

    #[test]
    fn who_waits_is_seen_and_served_in_turn() {
        let places = Places::default();
        let first = free(&places, HOST, 1).unwrap();
        assert!(!first.is_wanted());
        let mut now = Context::from_waker(Waker::noop());
        let mut second = Box::pin(places.take(HOST, 1));
        let mut third = Box::pin(places.take(HOST, 1));
        let mut fourth = Box::pin(places.take(HOST, 1));
        for next in [&mut second, &mut third, &mut fourth] {
            assert!(next.as_mut().poll(&mut now).is_pending());
        }
        assert!(first.is_wanted());
        assert_eq!(places.waiting(HOST), 3);
        // Whoever gives up waits no more.
        drop(third);
        assert_eq!(places.waiting(HOST), 2);
        drop(first);
        assert!(fourth.as_mut().poll(&mut now).is_pending());
        let Poll::Ready(second) = second.as_mut().poll(&mut now) else {
            panic!("the first in line gets it");
        };
        assert!(second.is_wanted());
        drop(second);
        assert!(fourth.as_mut().poll(&mut now).is_ready());
    }
}
