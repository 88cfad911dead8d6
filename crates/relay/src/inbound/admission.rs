//! How many sessions there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::metrics::gauge::Gauge;

/// Counts the sessions under way.
#[derive(Debug)]
pub(super) struct Admission {
    max: usize,
    max_per_ip: usize,
    open: Gauge,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// A session's place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    ip: IpAddr,
}

impl Admission {
    pub(super) fn new(max: usize, max_per_ip: usize, open: Gauge) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_ip,
            open,
            counts: Mutex::default(),
        })
    }

    /// A place for a session, if there is one.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let ip = ip.to_canonical();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let from_ip = counts.by_ip.get(&ip).copied().unwrap_or(0);
        if counts.all >= self.max || from_ip >= self.max_per_ip {
            return None;
        }
        counts.all += 1;
        counts.by_ip.insert(ip, from_ip + 1);
        self.open.inc();
        Some(Place {
            admission: Arc::clone(self),
            ip,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .admission
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        match counts.by_ip.get_mut(&self.ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.by_ip.remove(&self.ip)),
        }
        self.admission.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_by_address_and_come_back() {
        let gauge = Gauge::default();
        let admission = Admission::new(3, 2, gauge.clone());
        let [a, b, c] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let first = admission.admit(a).unwrap();
        let second = admission.admit(mapped).unwrap();
        assert!(admission.admit(a).is_none());
        let third = admission.admit(b).unwrap();
        assert!(admission.admit(c).is_none());
        drop(second);
        let fourth = admission.admit(c).unwrap();
        assert_eq!(gauge.get(), 3);
        drop((first, third, fourth));
        assert_eq!(gauge.get(), 0);
        assert!(admission.counts.lock().unwrap().by_ip.is_empty());
    }
}
