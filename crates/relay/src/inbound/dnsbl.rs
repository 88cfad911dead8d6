//! Whether a client stands on one of the policy's block lists in the DNS (RFC 5782).
//!
//! Asked when the client has begun a message, so that who only looks in costs nothing, and while it goes
//! on: its first recipient waits for what is left. Whatever is not answered by then counts as not listed,
//! and a list that refuses to tell does, too. Whoever is listed is put off and never refused, so that a list
//! that is wrong delays mail and loses none.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::Ipv4Net;
use spool::Policy;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::{
    Metrics,
    limits::{LISTING_PATIENCE, SOUND_KEEP, UNUSABLE_TOLD_EVERY},
};
use crate::dns::Dns;

/// Who is listed has an address of these (RFC 5782 section 2.1).
const LISTED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);

/// And who asks in a way that the list does not want gets one of these, at Spamhaus and others.
const ERRORS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 255, 255, 0), 24);

/// Lists no client. Filters and lists that are fed up with somebody answer it.
const NOBODY: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Asks the lists.
#[derive(Debug)]
pub(super) struct Lists {
    dns: Arc<Dns>,
    metrics: Metrics,
    /// When the log was told last that a list is of no use, by zone.
    told: Mutex<HashMap<String, Instant>>,
    /// When a list did not list [`NOBODY`], by zone.
    sound: Mutex<HashMap<String, Instant>>,
}

/// What one connection asks.
#[derive(Debug)]
pub(super) struct Inquiry {
    zones: Vec<String>,
    found: watch::Receiver<Found>,
    _task: AbortOnDropHandle<()>,
}

/// How far it has come.
#[derive(Debug)]
enum Found {
    Nothing,
    /// The zone that lists the client, if one does.
    All(Option<String>),
}

/// What the answer of a list means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Listed,
    NotListed,
    /// An error code, or an address that no list gives.
    Unusable,
}

impl Lists {
    pub(super) fn new(dns: Arc<Dns>, metrics: Metrics) -> Self {
        Self {
            dns,
            metrics,
            told: Mutex::default(),
            sound: Mutex::default(),
        }
    }

    /// A client is there that they may have to be asked about.
    pub(super) fn prepare(&self, policy: &Policy) {
        if !policy.dnsbl.is_empty() {
            self.dns.wanted();
        }
    }

    /// Begins to ask the policy's lists about a client; they have been asked already if the inquiry that
    /// was begun before is about the same lists.
    pub(super) fn inquire(
        self: &Arc<Self>,
        policy: &Policy,
        client: IpAddr,
        before: Option<Inquiry>,
    ) -> Option<Inquiry> {
        let zones = &policy.dnsbl;
        if before.as_ref().is_some_and(|before| before.zones == *zones) {
            return before;
        }
        if zones.is_empty() || is_primary(policy, client) {
            return None;
        }
        let (sender, found) = watch::channel(Found::Nothing);
        let lists = Arc::clone(self);
        let to_ask = zones.clone();
        let task = tokio::spawn(async move {
            let listed = lists.ask(client, to_ask).await;
            sender.send_replace(Found::All(listed));
        });
        Some(Inquiry {
            zones: zones.clone(),
            found,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// The first zone that says that it lists the client.
    async fn ask(self: Arc<Self>, client: IpAddr, zones: Vec<String>) -> Option<String> {
        let mut asked = JoinSet::new();
        for zone in zones {
            asked.spawn(Arc::clone(&self).ask_one(client, zone));
        }
        while let Some(told) = asked.join_next().await {
            if let Ok(Some(zone)) = told {
                return Some(zone);
            }
        }
        None
    }

    async fn ask_one(self: Arc<Self>, client: IpAddr, zone: String) -> Option<String> {
        let deadline = Instant::now() + LISTING_PATIENCE;
        let codes = self.look_up(client, &zone, deadline).await?;
        match verdict(&codes) {
            Verdict::Listed => {
                // Lists that close have listed the whole world.
                let of_nobody = self.of_nobody(&zone, deadline).await?;
                if of_nobody.is_empty() {
                    debug!(zone, ?codes, "client is listed");
                    self.metrics.listing("listed");
                    return Some(zone);
                }
                self.unusable(&zone, &of_nobody);
            }
            Verdict::NotListed => self.metrics.listing("not_listed"),
            Verdict::Unusable => self.unusable(&zone, &codes),
        }
        None
    }

    /// What a list says of an address; `None` when it does not in time.
    async fn look_up(
        &self,
        address: IpAddr,
        zone: &str,
        deadline: Instant,
    ) -> Option<Vec<Ipv4Addr>> {
        let name = name_of(address, zone);
        match timeout_at(deadline, self.dns.ipv4(&name)).await {
            Ok(Ok(answer)) => return Some(answer.into_records()),
            Ok(Err(error)) => debug!(name, %error, "block list did not answer"),
            Err(_) => debug!(name, "block list did not answer in time"),
        }
        self.metrics.listing("unanswered");
        None
    }

    /// What a list says of [`NOBODY`], which it must not list (RFC 5782 section 5).
    async fn of_nobody(&self, zone: &str, deadline: Instant) -> Option<Vec<Ipv4Addr>> {
        if self.sound().contains_key(zone) {
            return Some(Vec::new());
        }
        let codes = self.look_up(NOBODY.into(), zone, deadline).await?;
        if codes.is_empty() {
            self.sound().insert(zone.to_owned(), Instant::now());
        }
        Some(codes)
    }

    /// The lists that were sound a short while ago.
    fn sound(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        sound.retain(|_, at| at.elapsed() < SOUND_KEEP);
        sound
    }

    fn unusable(&self, zone: &str, codes: &[Ipv4Addr]) {
        self.metrics.listing("unusable");
        self.tell(zone, codes);
    }

    fn tell(&self, zone: &str, codes: &[Ipv4Addr]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Zones that the policy had once go, too.
        told.retain(|_, at| at.elapsed() < UNUSABLE_TOLD_EVERY);
        if told.contains_key(zone) {
            return;
        }
        told.insert(zone.to_owned(), Instant::now());
        warn!(
            zone,
            ?codes,
            "block list is of no use: it answers with an error code, or with what no list says, or lists everybody. Most \
             refuse public name servers: list one of your own in [dns] servers, or take the zone out of the policy"
        );
    }
}

impl Inquiry {
    /// Whether it is about the lists of a policy.
    pub(super) fn is_by(&self, policy: &Policy) -> bool {
        self.zones == policy.dnsbl
    }

    /// Whether asking now would have to wait.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(*self.found.borrow(), Found::Nothing)
    }

    /// The zone that lists the client. Waits until all have answered, or have had their time.
    pub(super) async fn listed(&self) -> Option<String> {
        let mut found = self.found.clone();
        let all = found.wait_for(|found| matches!(found, Found::All(_))).await;
        match &*all.ok()? {
            Found::Nothing => None,
            Found::All(zone) => zone.clone(),
        }
    }
}

/// Whether the policy names the client as a primary by its address. Names are not looked up for it.
fn is_primary(policy: &Policy, client: IpAddr) -> bool {
    let client = client.to_canonical();
    let mut hosts = policy.domains.iter().flat_map(|domain| &domain.primary);
    hosts.any(|host| {
        let address = host.parse::<SocketAddr>();
        address.is_ok_and(|address| address.ip().to_canonical() == client)
    })
}

/// An address backwards, octet by octet or nibble by nibble, in front of a zone (RFC 5782 sections
/// 2.1 and 2.4).
fn name_of(client: IpAddr, zone: &str) -> String {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.{zone}")
        }
        IpAddr::V6(address) => {
            let octets = address.octets();
            let nibbles = octets
                .iter()
                .rev()
                .flat_map(|octet| [octet & 0xf, octet >> 4]);
            let name: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            name + zone
        }
    }
}

fn verdict(codes: &[Ipv4Addr]) -> Verdict {
    let is_code =
        |code: &Ipv4Addr| LISTED.contains(code) && !ERRORS.contains(code) && *code != NOBODY;
    if codes.iter().any(is_code) {
        Verdict::Listed
    } else if codes.is_empty() {
        Verdict::NotListed
    } else {
        Verdict::Unusable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_backwards() {
        for (client, name) in [
            ("192.0.2.1", "1.2.0.192.bl.example"),
            ("::ffff:192.0.2.1", "1.2.0.192.bl.example"),
            (
                "2001:db8:1:2:3:4:567:89ab",
                "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example",
            ),
        ] {
            assert_eq!(name_of(client.parse().unwrap(), "bl.example"), name);
        }
    }

    #[test]
    fn only_what_a_list_says_of_clients_counts() {
        for (codes, expected) in [
            (&[][..], Verdict::NotListed),
            (&["127.0.0.2"], Verdict::Listed),
            (&["127.255.254.255"], Verdict::Listed),
            (&["127.255.255.254"], Verdict::Unusable),
            (&["127.255.255.254", "127.0.0.4"], Verdict::Listed),
            // The registrar of a zone that is no more has a page to show.
            (&["192.0.2.80"], Verdict::Unusable),
            (&["127.0.0.1"], Verdict::Unusable),
        ] {
            let parsed: Vec<Ipv4Addr> = codes.iter().map(|code| code.parse().unwrap()).collect();
            assert_eq!(verdict(&parsed), expected, "{codes:?}");
        }
    }

    #[test]
    fn a_primary_is_known_by_its_address() {
        let text = "[[domain]]\nname = \"example.com\"\n\
            primary = [\"mail.example.com\", \"192.0.2.9:2525\", \"[2001:db8::9]\"]\n";
        let policy = Policy::parse(text).unwrap();
        for (client, expected) in [
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("2001:db8::9", true),
            ("192.0.2.8", false),
        ] {
            let client = client.parse().unwrap();
            assert_eq!(is_primary(&policy, client), expected, "{client}");
        }
    }
}
