//! How the members are known to the Internet, so that no mail is sent to the cluster itself.
//!
//! Each node knows that of itself from its configuration, and tells it to whoever asks (hello). What a
//! member has told is kept in memory for as long as it is a member, also while it is down.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use api::peer::v1::{HelloRequest, HelloResponse};
use futures::future::join_all;
use spool::ports::{MailHost, MemberHost, Members};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Cluster, limits,
    peer::Peers,
    raft::{self, Raft, StoredMembership},
};

/// What the other members have told.
#[derive(Debug, Default)]
pub(crate) struct MailHosts(Mutex<BTreeMap<u64, MailHost>>);

impl MailHosts {
    fn told(&self) -> MutexGuard<'_, BTreeMap<u64, MailHost>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, id: u64, host: MailHost) {
        self.told().insert(id, host);
    }

    fn keep_members(&self, membership: &StoredMembership) {
        self.told()
            .retain(|id, _| membership.get_node(id).is_some());
    }

    fn knows(&self, id: u64) -> bool {
        self.told().contains_key(&id)
    }

    fn of(&self, id: u64) -> Option<MailHost> {
        self.told().get(&id).cloned()
    }
}

impl Members for Cluster {
    fn members(&self) -> Vec<MemberHost> {
        let membership = raft::metrics(&self.0.raft).membership_config;
        let own = &self.0.config;
        let members = membership.nodes().map(|(id, member)| MemberHost {
            id: *id,
            peer_host: tls::host_of(&member.address).to_owned(),
            mail: if *id == own.node_id {
                Some(own.mail_host.clone())
            } else {
                self.0.mail_hosts.of(*id)
            },
        });
        members.collect()
    }
}

/// What a node's answer to a hello tells of it; `None` from older ones, which tell nothing.
fn told(hello: HelloResponse) -> Option<MailHost> {
    let addresses = hello.mail_addresses.iter();
    let host = MailHost {
        hostname: hello.mail_hostname,
        addresses: addresses.filter_map(|text| text.parse().ok()).collect(),
    };
    (!host.hostname.is_empty()).then_some(host)
}

/// Asks the members, until stopped: those that have not told soon again, all of them now and then, as
/// they may be started with another name.
pub(crate) async fn learn(
    mail_hosts: Arc<MailHosts>,
    own: u64,
    raft: Raft,
    peers: Peers,
    stop: CancellationToken,
) {
    let mut tick = interval(limits::MAIL_HOSTS_ASK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut all_asked: Option<Instant> = None;
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let membership = raft::metrics(&raft).membership_config;
        mail_hosts.keep_members(&membership);
        let asks_all = all_asked.is_none_or(|at| at.elapsed() >= limits::MAIL_HOSTS_REFRESH);
        if asks_all {
            all_asked = Some(Instant::now());
        }
        let others = membership.nodes().filter(|(id, _)| **id != own);
        let wanted = others.filter(|(id, _)| asks_all || !mail_hosts.knows(**id));
        let asked = wanted.map(|(id, member)| ask(&peers, *id, &member.address));
        let answers = stop.run_until_cancelled(join_all(asked)).await;
        for (id, host) in answers.into_iter().flatten().flatten() {
            mail_hosts.note(id, host);
        }
    }
}

async fn ask(peers: &Peers, id: u64, address: &str) -> Option<(u64, MailHost)> {
    let mut client = peers.client(address, Some(id)).ok()?;
    let hello = client.hello(HelloRequest::default());
    let answer = timeout(limits::PEER_REPLY_TIMEOUT, hello)
        .await
        .ok()?
        .ok()?;
    Some((id, told(answer.into_inner())?))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn what_makes_no_sense_of_a_hello_is_left_out() {
        let hello = HelloResponse {
            mail_hostname: "mx2.example.net".to_owned(),
            mail_addresses: ["192.0.2.2", "somewhere", "2001:db8::2"]
                .map(str::to_owned)
                .to_vec(),
            ..HelloResponse::default()
        };
        let host = told(hello).unwrap();
        let addresses: [IpAddr; 2] = ["192.0.2.2", "2001:db8::2"].map(|a| a.parse().unwrap());
        assert_eq!(host.addresses, addresses);
        assert_eq!(told(HelloResponse::default()), None);
    }
}
