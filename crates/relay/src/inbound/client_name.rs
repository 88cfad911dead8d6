//! What a client's address is called, which spam filters read in `Received`.
//!
//! Asked for once a connection, when its first recipient is taken, so that who only looks in costs nothing, and
//! while the message comes. A client whose name is not known soon after is said to be unknown, and nobody waits.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use ipnet::Ipv4Net;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::limits::{NAME_PATIENCE, NAME_TIMEOUT, NAMES_MAX};
use crate::dns::Dns;

/// Addresses that a provider shares out among his customers (RFC 6598).
const SHARED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);

/// Asks for names.
#[derive(Debug)]
pub(super) struct Names {
    dns: Arc<Dns>,
    /// A place for each that is asked for at a time.
    places: Arc<Semaphore>,
}

/// The name of one connection's client, which is asked for.
#[derive(Debug)]
pub(super) struct ClientName {
    found: watch::Receiver<Option<String>>,
    /// Nobody waits for it any longer.
    due: Instant,
    _task: AbortOnDropHandle<()>,
}

impl Names {
    pub(super) fn new(dns: Arc<Dns>) -> Self {
        Self {
            dns,
            places: Arc::new(Semaphore::new(NAMES_MAX)),
        }
    }

    /// A client is there whose name may have to be asked for.
    pub(super) fn prepare(&self, client: IpAddr) {
        if may_have_name(client) {
            self.dns.wanted();
        }
    }

    /// Begins to ask for a client's name, at one of its places. `None` where there is no use in it.
    pub(super) fn ask(&self, client: IpAddr, places: Arc<Semaphore>) -> Option<ClientName> {
        if !may_have_name(client) || !self.dns.is_answering() {
            return None;
        }
        let (sender, found) = watch::channel(None);
        let (dns, of_all) = (Arc::clone(&self.dns), Arc::clone(&self.places));
        let asking = async move {
            // Nobody closes them. Who waits for his own takes none from others meanwhile.
            let _of_client = places.acquire().await;
            let _of_all = of_all.acquire().await;
            dns.confirmed_name(client).await
        };
        let task = tokio::spawn(async move {
            match timeout(NAME_TIMEOUT, asking).await {
                Ok(Ok(name)) => drop(sender.send_replace(name)),
                Ok(Err(error)) => debug!(%client, %error, "client's name is not known"),
                Err(_) => debug!(%client, "client's name is not known in time"),
            }
        });
        Some(ClientName {
            found,
            due: Instant::now() + NAME_PATIENCE,
            _task: AbortOnDropHandle::new(task),
        })
    }
}

impl ClientName {
    /// The name; `None` when there is none, or it is not known in time.
    pub(super) async fn told(&self) -> Option<String> {
        let mut found = self.found.clone();
        let told = timeout_at(self.due, found.wait_for(Option::is_some)).await;
        told.ok()?.ok()?.clone()
    }
}

/// Whether an address is one that all the world may reach, so that the DNS may have a name for it.
fn may_have_name(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || SHARED.contains(&address))
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_whole_world_are_asked_for() {
        for (address, expected) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("2001:db8::7", true),
            ("127.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("::1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("::ffff:192.168.0.1", false),
            ("100.64.0.1", false),
            ("169.254.0.1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
            ("::", false),
        ] {
            assert_eq!(
                may_have_name(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }
}
