//! Who is turned away, gathered for the log.

use std::collections::BTreeMap;

use super::{limits::REFUSED_TOLD_MAX, origin::Origin};

/// Why a connection is refused, or ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// All places are taken.
    Full,
    /// Its client has as many as it may have.
    PerIp,
    /// Its client did too much in the last minute.
    Rate,
    /// It comes from a proxy and does not say whose it is.
    ProxyHeader,
    /// It asked for too many recipients that are not ours.
    Recipients,
    /// It took too long while places were short.
    Slow,
}

impl Reason {
    /// Every reason.
    pub(super) const ALL: [Self; 6] = [
        Self::Full,
        Self::PerIp,
        Self::Rate,
        Self::ProxyHeader,
        Self::Recipients,
        Self::Slow,
    ];

    /// Its name in metrics and in the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::PerIp => "per_ip",
            Self::Rate => "rate",
            Self::ProxyHeader => "proxy_header",
            Self::Recipients => "recipients",
            Self::Slow => "slow",
        }
    }
}

/// Connections that were refused since this was last told, by client and reason. A flood of them
/// is a few lines.
#[derive(Debug, Default)]
pub(super) struct Refused {
    counts: BTreeMap<(Origin, Reason), u64>,
    /// Those of clients beyond.
    others: u64,
}

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Client, reason, and how many: in order of address.
    pub(super) clients: Vec<(Origin, Reason, u64)>,
    /// Connections of other clients.
    pub(super) others: u64,
}

impl Refused {
    pub(super) fn note(&mut self, origin: Origin, reason: Reason) {
        let key = (origin, reason);
        if self.counts.len() < REFUSED_TOLD_MAX || self.counts.contains_key(&key) {
            *self.counts.entry(key).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    /// What came together since this was asked last.
    pub(super) fn take(&mut self) -> Told {
        let Self { counts, others } = core::mem::take(self);
        let clients = counts
            .into_iter()
            .map(|((origin, reason), n)| (origin, reason, n));
        Told {
            clients: clients.collect(),
            others,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_flood_of_strangers_is_a_few_lines() {
        let client = |number: u32| Origin::of(IpAddr::V4(number.into()));
        let mut refused = Refused::default();
        for number in 0..1000 {
            refused.note(client(number), Reason::PerIp);
            refused.note(client(0), Reason::PerIp);
        }
        let told = refused.take();
        assert_eq!(told.clients.len(), REFUSED_TOLD_MAX);
        assert_eq!(told.clients[0], (client(0), Reason::PerIp, 1001));
        assert_eq!(told.others, 1000 - REFUSED_TOLD_MAX as u64);
        let nothing = Told {
            clients: Vec::new(),
            others: 0,
        };
        assert_eq!(refused.take(), nothing);
    }

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let names = Reason::ALL.map(Reason::name);
        assert!(
            names
                .iter()
                .all(|name| names.iter().filter(|other| other == &name).count() == 1)
        );
    }
}
