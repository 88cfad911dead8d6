//! How often somebody tries to log in.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Attempts from one address within [`WINDOW`]. Who is right begins anew.
const ATTEMPTS_MAX: u32 = 10;

/// For so long they are counted, from the first one on.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// When as many addresses have tried, no further one may until a window ends.
const ADDRESSES_MAX: usize = 1000;

/// The attempts of each address; in IPv6, of each network of a host (/64).
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Count>>);

#[derive(Debug)]
struct Count {
    attempts: u32,
    first: Instant,
}

impl Attempts {
    /// Counts one, before it is known how it ends; says whether it may go on.
    pub(super) fn count(&self, peer: IpAddr, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, count| now.duration_since(count.first) < WINDOW);
        let host = host(peer);
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&host) {
            return false;
        }
        let count = all.entry(host).or_insert(Count {
            attempts: 0,
            first: now,
        });
        count.attempts = count.attempts.saturating_add(1);
        count.attempts <= ATTEMPTS_MAX
    }

    /// Forgets those of who was right.
    pub(super) fn forget(&self, peer: IpAddr) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&host(peer));
    }
}

/// Who has one address of a /64 has them all.
fn host(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_guesses_has_to_wait() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let tries = |text: &str, now| attempts.count(peer(text), now);
        for _ in 0..ATTEMPTS_MAX {
            assert!(tries("10.0.0.1", now));
        }
        assert!(!tries("10.0.0.1", now));
        assert!(tries("10.0.0.2", now), "another one");
        assert!(tries("10.0.0.1", now + WINDOW));
        attempts.forget(peer("10.0.0.1"));
        assert!(tries("10.0.0.1", now));
    }

    #[test]
    fn another_address_of_the_same_host_is_no_other() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for last in 0..ATTEMPTS_MAX {
            assert!(attempts.count(peer(&format!("2001:db8::{last:x}")), now));
        }
        assert!(!attempts.count(peer("2001:db8::ffff:1"), now));
        assert!(attempts.count(peer("2001:db8:0:1::1"), now));
    }

    #[test]
    fn no_more_addresses_are_remembered_than_so_many() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..ADDRESSES_MAX {
            let number = u32::try_from(number).unwrap();
            assert!(attempts.count(IpAddr::from(number.to_be_bytes()), now));
        }
        assert!(!attempts.count(peer("192.0.2.1"), now));
        assert!(attempts.count(peer("192.0.2.1"), now + WINDOW));
    }
}
