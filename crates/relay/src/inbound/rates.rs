//! How much a client does in a minute.

use core::time::Duration;
use std::collections::HashMap;

use tokio::time::Instant;

use super::{
    limits::{
        CLIENTS_REMEMBERED_MAX, CROWDED_CONNECTIONS_PER_MINUTE, CROWDED_MESSAGES_PER_MINUTE,
        CROWDED_RECIPIENTS_PER_MINUTE, CROWDED_UNKNOWN_PER_MINUTE,
    },
    origin::Origin,
};

const MINUTE: Duration = Duration::from_secs(60);

/// How much one client may do in a minute; 0 is as much as it likes while there are places enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerMinute {
    /// Connections.
    pub connections: u32,
    /// Messages that are begun.
    pub messages: u32,
    /// Recipients that are named, whether they are taken or not.
    pub recipients: u32,
    /// Those of them that there are not, in domains that are ours.
    pub unknown: u32,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Connection,
    Message,
    Recipient,
    Unknown,
}

/// What clients did lately. It holds so many of them and no more: of those beyond, the ones that
/// were seen longest ago are forgotten, and begin anew.
#[derive(Debug)]
pub(super) struct Rates {
    limits: PerMinute,
    /// Those seen since the map before this one was full.
    recent: HashMap<Origin, Lately>,
    /// Those seen before.
    earlier: HashMap<Origin, Lately>,
}

/// For each deed a bucket that holds a minute's worth: when it will be full again.
#[derive(Clone, Copy, Debug)]
struct Lately {
    connections: Instant,
    messages: Instant,
    recipients: Instant,
    unknown: Instant,
}

impl Rates {
    pub(super) fn new(limits: PerMinute) -> Self {
        Self {
            limits,
            recent: HashMap::new(),
            earlier: HashMap::new(),
        }
    }

    /// Counts a deed, and says whether it is within the limit. While places are short there is one
    /// also where none was configured.
    pub(super) fn allow(
        &mut self,
        origin: Origin,
        deed: Deed,
        is_crowded: bool,
        now: Instant,
    ) -> bool {
        let (limit, is_binding) = self.limit(deed, is_crowded);
        let full_at = self.lately(origin, now).full_at(deed);
        let then = (*full_at).max(now) + MINUTE / limit;
        let is_within = then <= now + MINUTE;
        if is_within {
            *full_at = then;
        } else if !is_binding {
            // Emptier than empty would be held against it long after.
            *full_at = now + MINUTE;
        }
        is_within || !is_binding
    }

    /// Whether a deed would not be within the limit. Counts nothing.
    pub(super) fn is_spent(
        &self,
        origin: Origin,
        deed: Deed,
        is_crowded: bool,
        now: Instant,
    ) -> bool {
        let (limit, is_binding) = self.limit(deed, is_crowded);
        let lately = self
            .recent
            .get(&origin)
            .or_else(|| self.earlier.get(&origin));
        is_binding
            && lately.copied().is_some_and(|mut lately| {
                let full_at = *lately.full_at(deed);
                full_at.max(now) + MINUTE / limit > now + MINUTE
            })
    }

    /// How often in a minute, and whether that binds now.
    const fn limit(&self, deed: Deed, is_crowded: bool) -> (u32, bool) {
        let (configured, when_crowded) = match deed {
            Deed::Connection => (self.limits.connections, CROWDED_CONNECTIONS_PER_MINUTE),
            Deed::Message => (self.limits.messages, CROWDED_MESSAGES_PER_MINUTE),
            Deed::Recipient => (self.limits.recipients, CROWDED_RECIPIENTS_PER_MINUTE),
            Deed::Unknown => (self.limits.unknown, CROWDED_UNKNOWN_PER_MINUTE),
        };
        match configured {
            0 => (when_crowded, is_crowded),
            configured => (configured, true),
        }
    }

    fn lately(&mut self, origin: Origin, now: Instant) -> &mut Lately {
        let known = self.recent.contains_key(&origin);
        if !known && self.recent.len() >= CLIENTS_REMEMBERED_MAX / 2 {
            self.earlier = core::mem::take(&mut self.recent);
        }
        let earlier = if known {
            None
        } else {
            self.earlier.remove(&origin)
        };
        self.recent.entry(origin).or_insert_with(|| {
            earlier.unwrap_or(Lately {
                connections: now,
                messages: now,
                recipients: now,
                unknown: now,
            })
        })
    }
}

impl Lately {
    const fn full_at(&mut self, deed: Deed) -> &mut Instant {
        match deed {
            Deed::Connection => &mut self.connections,
            Deed::Message => &mut self.messages,
            Deed::Recipient => &mut self.recipients,
            Deed::Unknown => &mut self.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn client(number: u64) -> Origin {
        let network = u128::from(number) << 64;
        Origin::of(IpAddr::V6(Ipv6Addr::from_bits(network)))
    }

    fn three_messages() -> Rates {
        Rates::new(PerMinute {
            messages: 3,
            ..PerMinute::default()
        })
    }

    #[test]
    fn a_minutes_worth_is_free_and_comes_back_with_the_time() {
        let mut rates = three_messages();
        let start = Instant::now();
        let mut send = |at: u64| {
            let now = start + Duration::from_secs(at);
            rates.allow(client(1), Deed::Message, false, now)
        };
        assert_eq!(
            [0, 0, 0, 0, 19].map(&mut send),
            [true, true, true, false, false]
        );
        assert_eq!([20, 20, 59].map(&mut send), [true, false, true]);
        assert_eq!(
            [500, 500, 500, 500].map(&mut send),
            [true, true, true, false]
        );
    }

    #[test]
    fn whether_one_more_is_within_the_limit_can_be_asked_without_counting() {
        let mut rates = three_messages();
        let now = Instant::now();
        let is_spent = |rates: &Rates, at| rates.is_spent(client(1), Deed::Message, false, at);
        for _ in 0..3 {
            assert!(!is_spent(&rates, now));
            rates.allow(client(1), Deed::Message, false, now);
        }
        assert!(is_spent(&rates, now));
        assert!(!is_spent(&rates, now + MINUTE / 3));
        assert!(!rates.is_spent(client(1), Deed::Unknown, false, now));
        assert!(!rates.is_spent(client(2), Deed::Message, false, now));
    }

    #[test]
    fn clients_and_deeds_are_counted_apart() {
        let mut rates = three_messages();
        let now = Instant::now();
        for _ in 0..3 {
            assert!(rates.allow(client(1), Deed::Message, false, now));
        }
        assert!(!rates.allow(client(1), Deed::Message, false, now));
        assert!(rates.allow(client(2), Deed::Message, false, now));
        assert!(rates.allow(client(1), Deed::Recipient, false, now));
    }

    #[test]
    fn what_has_no_limit_has_one_while_places_are_short() {
        let mut rates = Rates::new(PerMinute::default());
        let now = Instant::now();
        let limit = CROWDED_MESSAGES_PER_MINUTE;
        for _ in 0..10 * limit {
            assert!(rates.allow(client(1), Deed::Message, false, now));
        }
        assert!(!rates.allow(client(1), Deed::Message, true, now));
        // Nothing is held against it beyond the minute.
        let later = now + MINUTE;
        for _ in 0..limit {
            assert!(rates.allow(client(1), Deed::Message, true, later));
        }
        assert!(!rates.allow(client(1), Deed::Message, true, later));
    }

    #[test]
    fn whoever_has_millions_of_addresses_takes_no_more_memory() {
        let mut rates = three_messages();
        let now = Instant::now();
        for number in 0..2 * CLIENTS_REMEMBERED_MAX as u64 {
            rates.allow(client(number), Deed::Message, false, now);
            // One that is seen all the time is remembered through all of it.
            let within = rates.allow(client(u64::MAX), Deed::Message, false, now);
            assert_eq!(within, number < 3);
            assert!(rates.recent.len() + rates.earlier.len() <= CLIENTS_REMEMBERED_MAX);
        }
    }
}
