//! Whether this node gets out at port 25, as far as its visits to the primaries tell.
//!
//! Many providers of machines bar that port outwards until they are asked. Then every host there is silent, and
//! each looks as if it were down.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use relay::doctor::{Check, Finding, is_public};
use spool::policy::DEFAULT_SMTP_PORT;

/// Hosts on the Internet that this node wanted to connect to at port 25, and whether it could.
#[derive(Clone, Debug, Default)]
pub(super) struct Dials(Arc<Mutex<BTreeMap<SocketAddr, bool>>>);

impl Dials {
    /// What lies in an inner network, or at another port, has no such barrier before it.
    pub(super) fn note(&self, address: SocketAddr, is_connected: bool) {
        if address.port() == DEFAULT_SMTP_PORT && is_public(address.ip()) {
            self.lock().insert(address, is_connected);
        }
    }

    pub(super) fn judge(&self, check: &Check) -> Finding {
        let dials = self.lock();
        let connected = dials.values().filter(|connected| **connected).count();
        let mut addresses = dials.keys();
        match (connected, addresses.next(), addresses.len()) {
            (_, None, _) => check.skipped(format!(
                "whether this node gets out can not be judged from here, as no primary is at port {DEFAULT_SMTP_PORT} of \
                 a public address; reports to senders go there"
            )),
            (0, Some(only), 0) => check.skipped(format!(
                "whether this node gets out can not be judged from here, as {only} alone was tried: it may be down, or \
                 the port barred outwards"
            )),
            (0, Some(_), further) => check.problem(format!(
                "none of {} addresses at port {DEFAULT_SMTP_PORT} can be connected to: that port seems to be barred \
                 outwards, as many providers of machines do; have yours open it, or name another port in `primary`",
                further + 1
            )),
            (connected, Some(_), further) => check.fine(format!(
                "{connected} of {} addresses at port {DEFAULT_SMTP_PORT} can be connected to",
                further + 1
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use relay::doctor::Verdict;

    use super::*;

    fn judged(dials: &[(&str, bool)]) -> Verdict {
        let noted = Dials::default();
        for (address, is_connected) in dials {
            noted.note(address.parse().unwrap(), *is_connected);
        }
        noted.judge(&Check::of("outbound", "node 1")).verdict
    }

    #[test]
    fn silence_of_all_is_the_ports_and_of_one_its_own() {
        let first = "192.0.2.9:25";
        let second = "[2001:db8::9]:25";
        assert_eq!(judged(&[(first, true), (second, false)]), Verdict::Fine);
        assert_eq!(judged(&[(first, false), (second, false)]), Verdict::Problem);
        assert_eq!(judged(&[(first, false), (first, false)]), Verdict::Skipped);
    }

    #[test]
    fn inner_networks_and_other_ports_tell_nothing() {
        let inner = ["10.0.0.9:25", "127.0.0.1:25", "192.0.2.9:587"];
        assert_eq!(
            judged(&inner.map(|address| (address, true))),
            Verdict::Skipped
        );
        assert_eq!(
            judged(&inner.map(|address| (address, false))),
            Verdict::Skipped
        );
    }
}
