//! How the outages of domains have ended.

use std::collections::{BTreeMap, VecDeque};

use spool::{Condition, Destination, Timestamp};

/// Endings of one domain that are remembered.
const ENDINGS_MAX: usize = 100;

/// The end of an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// When the outage began.
    since: Timestamp,
    /// When it was seen to be over.
    seen_at: Timestamp,
    /// Messages that waited then, or were deferred.
    pub(crate) waited: u64,
    pub(crate) drain: Drain,
}

/// What became of the mail that had waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// It is still leaving.
    Lasts,
    /// No message was due any more, so many milliseconds after the end.
    Took(u64),
    /// The next outage came before.
    BrokenOff,
}

/// The outages of one domain, as they were seen.
#[derive(Debug, Default)]
pub(super) struct Endings {
    /// Those that last, by their beginnings, with what waited at the last look.
    lasting: BTreeMap<Timestamp, u64>,
    /// Those that are over, the earliest first.
    ended: VecDeque<Ending>,
}

impl Endings {
    /// Looks at the domain.
    pub(super) fn look(&mut self, destination: &Destination, now: Timestamp) {
        let totals = &destination.totals;
        let waiting = totals.waiting + totals.deferred;
        let outages = destination.outages_at(now);
        let lasting: BTreeMap<Timestamp, u64> = outages.map(|one| (one.since, waiting)).collect();
        let over = self.lasting.iter();
        for (since, waited) in over.filter(|(since, _)| !lasting.contains_key(since)) {
            self.ended.push_back(Ending {
                since: *since,
                seen_at: now,
                waited: *waited,
                drain: Drain::Lasts,
            });
        }
        self.lasting = lasting;
        let excess = self.ended.len().saturating_sub(ENDINGS_MAX);
        self.ended.drain(..excess);
        let is_drained = destination.condition(now) == Condition::Up;
        let is_out = !self.lasting.is_empty();
        for ending in &mut self.ended {
            if ending.drain != Drain::Lasts {
                continue;
            }
            if is_out {
                ending.drain = Drain::BrokenOff;
            } else if is_drained {
                ending.drain = Drain::Took(now.0.saturating_sub(ending.seen_at.0));
            }
        }
    }

    /// How the outage ended that began at a moment.
    pub(super) fn of(&self, since: Timestamp) -> Option<Ending> {
        let mut ended = self.ended.iter();
        ended.find(|ending| ending.since == since).copied()
    }
}

#[cfg(test)]
mod tests {
    use spool::{Pause, Reachability, Totals};

    use super::*;

    fn up(since: u64, waiting: u64, deferred: u64) -> Destination {
        Destination {
            since: Timestamp(since),
            totals: Totals {
                waiting,
                deferred,
                ..Totals::default()
            },
            ..Destination::default()
        }
    }

    fn down(since: u64, waiting: u64) -> Destination {
        Destination {
            reachability: Reachability::Down("no".to_owned()),
            ..up(since, waiting, 0)
        }
    }

    fn seen(looks: &[(u64, &Destination)]) -> Endings {
        let mut endings = Endings::default();
        for (at, destination) in looks {
            endings.look(destination, Timestamp(*at));
        }
        endings
    }

    #[test]
    fn what_waited_at_the_end_and_how_long_it_took_is_told() {
        let before = [(10, &down(10, 0)), (20, &down(10, 7))];
        assert_eq!(seen(&before).of(Timestamp(10)), None, "it lasts");
        let draining = seen(&[before[0], before[1], (30, &up(29, 5, 0))]);
        let ending = draining.of(Timestamp(10)).unwrap();
        assert_eq!((ending.waited, ending.drain), (7, Drain::Lasts));
        let done = seen(&[
            before[0],
            before[1],
            (30, &up(29, 5, 0)),
            (45, &up(29, 0, 2)),
            (60, &up(29, 1, 0)),
        ]);
        let ending = done.of(Timestamp(10)).unwrap();
        assert_eq!((ending.waited, ending.drain), (7, Drain::Took(15)));
    }

    #[test]
    fn a_drain_that_the_next_outage_breaks_off_has_no_end() {
        let endings = seen(&[
            (10, &down(10, 7)),
            (20, &up(20, 6, 0)),
            (30, &down(30, 6)),
            (40, &up(40, 0, 0)),
        ]);
        let drains = [10, 30].map(|since| endings.of(Timestamp(since)).map(|one| one.drain));
        assert_eq!(drains, [Some(Drain::BrokenOff), Some(Drain::Took(0))]);
    }

    #[test]
    fn a_pause_is_an_outage_of_its_own() {
        let pause = Pause {
            since: Timestamp(15),
            until: None,
            by: "ann".to_owned(),
            reason: String::new(),
        };
        let paused = Destination {
            paused: Some(Box::new(pause)),
            ..up(20, 3, 0)
        };
        let endings = seen(&[(20, &paused), (30, &up(20, 0, 0))]);
        let ending = endings.of(Timestamp(15)).unwrap();
        assert_eq!((ending.waited, ending.drain), (3, Drain::Took(0)));
    }

    #[test]
    fn the_earliest_are_forgotten() {
        let mut endings = Endings::default();
        for n in 1..=200 {
            endings.look(&down(n, 1), Timestamp(n));
        }
        endings.look(&up(201, 1, 0), Timestamp(201));
        assert_eq!(endings.ended.len(), ENDINGS_MAX);
        assert!(endings.of(Timestamp(200)).is_some() && endings.of(Timestamp(1)).is_none());
    }
}
