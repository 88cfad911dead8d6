//! Whether the cluster is set up rightly, as this node sees it.
//!
//! ```text
//!   Examination ─▶ its parts, several at a time, each until the deadline ─▶ findings, as they are made
//! ```
//!
//! Nothing is changed, and only this node looks: what another one sees of the DNS and of primaries, that one is
//! to be asked for.

mod certificates;
mod disk;
mod outbound;
mod peers;
mod primary;

use std::{path::PathBuf, sync::Arc, time::Duration};

use api::admin::v1;
use cluster::Cluster;
use futures::{
    Stream, StreamExt as _,
    future::{BoxFuture, join_all},
    stream,
};
use relay::{
    dns::Dns,
    doctor::{self, Check, Finding, Node},
};
use spool::{Policy, policy::Domain, ports::Members as _};
use tls::MutualFiles;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use tonic::Status;

use super::{AdminService, recipients};
use crate::config::Config;

/// How long all of it may take. Whoever waits for it at a screen waits no longer.
const PATIENCE: Duration = Duration::from_secs(25);

/// Parts at a time: each asks a dozen questions, so that there is room for those of mail, or talks to one primary.
const PARTS_AT_ONCE: usize = 8;

/// Domains that are looked at; further ones can be asked for one by one.
const DOMAINS_MAX: usize = 200;

/// What this node looks at, besides what its cluster knows.
#[derive(Debug)]
pub(crate) struct Doctor {
    dns: Arc<Dns>,
    node: String,
    hostname: String,
    data_dir: PathBuf,
    smtp: Option<PathBuf>,
    /// The certificates for clients that ask for a name.
    named: Vec<PathBuf>,
    advertise: String,
    cluster: Option<MutualFiles>,
    admin: Option<MutualFiles>,
    /// One examination at a time.
    turn: Arc<Semaphore>,
}

/// A part of an examination.
struct Part {
    /// What it is, where it does not end in time.
    check: Check,
    findings: BoxFuture<'static, Vec<Finding>>,
}

impl Part {
    fn new(check: Check, findings: impl Future<Output = Vec<Finding>> + Send + 'static) -> Self {
        Self {
            check,
            findings: Box::pin(findings),
        }
    }

    async fn until(self, deadline: Instant) -> Vec<Finding> {
        let late = || {
            let words = format!("this took longer than {} s in all", PATIENCE.as_secs());
            vec![self.check.skipped(words)]
        };
        timeout_at(deadline, self.findings)
            .await
            .unwrap_or_else(|_| late())
    }
}

impl Doctor {
    pub(crate) fn new(config: &Config, dns: Arc<Dns>) -> Self {
        Self {
            dns,
            node: node(config.node_id),
            hostname: config.hostname.clone(),
            data_dir: config.data_dir.clone(),
            smtp: config.smtp.tls.as_ref().map(|pair| pair.cert.clone()),
            named: config
                .smtp
                .certificates
                .iter()
                .map(|pair| pair.cert.clone())
                .collect(),
            advertise: config.cluster.advertise.clone(),
            cluster: config.cluster.tls.clone(),
            admin: config.admin_tls.clone(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// What it asks.
    pub(super) fn dns(&self) -> Arc<Dns> {
        Arc::clone(&self.dns)
    }

    fn turn(&self) -> Result<OwnedSemaphorePermit, Status> {
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        turn.map_err(|_| {
            Status::resource_exhausted(
                "this node is at it for somebody else: ask again in half a minute, or ask another node",
            )
        })
    }

    /// What concerns this node and the others.
    fn of_nodes(&self, cluster: &Cluster, now_ms: u64) -> Vec<Part> {
        let check = |name| Check::of(name, self.node.as_str());
        let of_peers = cluster.clone();
        let of_disks = cluster.clone();
        vec![
            Part::new(
                check("certificate"),
                certificates::look(self.uses(), check("certificate"), now_ms),
            ),
            Part::new(
                check("fsync"),
                disk::sync(self.data_dir.clone(), check("fsync")),
            ),
            Part::new(check("disk"), async move {
                disk::room(&of_disks.status().await)
            }),
            Part::new(check("peer"), async move {
                let pulses = of_peers.pulses().await;
                pulses.iter().flat_map(peers::judge).collect()
            }),
        ]
    }

    /// What certificates are for.
    fn uses(&self) -> Vec<certificates::Use> {
        let mutual = |files: &Option<MutualFiles>| files.as_ref().map(|files| files.cert.clone());
        let advertised = tls::host_of(&self.advertise).to_owned();
        let named = self.named.iter().map(|file| certificates::Use {
            table: "[[smtp.certificate]]",
            file: Some(file.clone()),
            host: None,
        });
        let mut uses = vec![
            certificates::Use {
                table: "[smtp]",
                file: self.smtp.clone(),
                host: Some(self.hostname.clone()),
            },
            certificates::Use {
                table: "[cluster]",
                file: mutual(&self.cluster),
                host: Some(advertised),
            },
            certificates::Use {
                table: "[admin]",
                file: mutual(&self.admin),
                host: None,
            },
        ];
        uses.extend(named);
        uses
    }

    /// What the DNS says of the nodes and of domains.
    fn of_dns(&self, cluster: &Cluster, domains: &[Domain], now_ms: u64) -> Vec<Part> {
        let members = Arc::new(cluster.members());
        let nodes = Node::all(&members).into_iter();
        let own = nodes.filter(|node| node.id == cluster.node_id());
        let tlsa = own.map(|node| {
            let (dns, file) = (Arc::clone(&self.dns), self.smtp.clone());
            let check = Check::of("tlsa", node.hostname.as_str());
            let found = async move { certificates::tlsa(&dns, &node, file, now_ms).await };
            Part::new(check, found)
        });
        let hosts = Node::all(&members).into_iter().map(|node| {
            let dns = Arc::clone(&self.dns);
            let check = Check::of("address", node.hostname.as_str());
            Part::new(check, async move { doctor::host(&dns, &node).await })
        });
        let own_id = cluster.node_id();
        let ports = Node::all(&members).into_iter().map(|node| {
            let (dns, hostname) = (Arc::clone(&self.dns), self.hostname.clone());
            let check = Check::of("inbound", node.hostname.as_str());
            let found =
                async move { doctor::inbound(&dns, &node, node.id == own_id, &hostname).await };
            Part::new(check, found)
        });
        let domains = domains.iter().cloned().map(|domain| {
            let (dns, members) = (Arc::clone(&self.dns), Arc::clone(&members));
            let check = Check::of("mx", domain.name.as_str());
            let found = async move { doctor::domain(&dns, &members, &domain).await };
            Part::new(check, found)
        });
        tlsa.chain(hosts).chain(ports).chain(domains).collect()
    }
}

impl AdminService {
    /// Looks at the nodes, and at one domain or all of them.
    pub(super) async fn examine(
        &self,
        only: Option<String>,
    ) -> Result<impl Stream<Item = Result<v1::Finding, Status>> + Send + use<>, Status> {
        let policy = match &only {
            Some(name) => Some(recipients::policy_with(&self.cluster, name)?),
            None => self.cluster.policy(),
        };
        let turn = self.doctor.turn()?;
        let deadline = Instant::now() + PATIENCE;
        let (domains, left_out) = chosen(policy.as_deref(), only.as_deref());

        let mut told = doctor::names(&self.cluster.members());
        told.extend(left_out);
        let now_ms = self.clock.now().0;
        let mut parts = self.doctor.of_nodes(&self.cluster, now_ms);
        let servers = doctor::servers(&self.doctor.dns, &self.doctor.node).await;
        if servers.verdict == doctor::Verdict::Fine {
            let in_policy: Vec<Domain> = domains
                .iter()
                .filter(|domain| domain.name != spool::notice::QUEUE)
                .cloned()
                .collect();
            parts.extend(self.doctor.of_dns(&self.cluster, &in_policy, now_ms));
        }
        told.push(servers);
        let courses = self.cluster.status().await.courses;
        let statuses = self.domains(&courses).await?;
        let dials = outbound::Dials::default();
        parts.extend(domains.into_iter().map(|domain| {
            let status = statuses.iter().find(|status| status.name == domain.name);
            let (status, routes) = (status.cloned(), Arc::clone(&self.routes));
            let (hostname, dials) = (self.hostname.clone(), dials.clone());
            let check = Check::of("primary", domain.name.as_str());
            let of_it = check.clone();
            Part::new(check, async move {
                let probed = primary::probe(&domain, &routes, &hostname, &dials).await;
                vec![primary::judge(&of_it, status.as_ref(), &probed)]
            })
        }));

        let node_id = self.cluster.node_id();
        let looked = stream::iter(parts).map(move |part| part.until(deadline));
        let looked = looked.buffer_unordered(PARTS_AT_ONCE);
        let check = Check::of("outbound", self.doctor.node.as_str());
        // Once all primaries have been visited.
        let way_out = stream::once(async move { vec![dials.judge(&check)] });
        let findings = stream::iter([told])
            .chain(looked)
            .chain(way_out)
            .flat_map(stream::iter)
            .map(move |finding| {
                let _until_the_end = &turn;
                Ok(answer(finding, node_id))
            });
        Ok(findings)
    }
}

impl AdminService {
    /// The addresses of all members.
    pub(super) async fn addresses_of_nodes(&self) -> v1::NodeAddressesResponse {
        let dns = &self.doctor.dns;
        // Whether it answers, each lookup finds out again; this one waits for a first sign.
        doctor::servers(dns, &self.doctor.node).await;
        let members = self.cluster.members();
        let nodes = Node::all(&members);
        let hosts = members.iter().map(|member| async {
            let Some(node) = nodes.iter().find(|node| node.id == member.id) else {
                return v1::NodeHost {
                    id: member.id,
                    ..v1::NodeHost::default()
                };
            };
            let addresses = doctor::addresses(dns, node).await;
            v1::NodeHost {
                id: node.id,
                hostname: node.hostname.clone(),
                addresses: addresses.iter().map(ToString::to_string).collect(),
            }
        });
        let nodes = join_all(hosts).await;
        v1::NodeAddressesResponse { nodes }
    }
}

/// The domains that are looked at, and what is said of those that are not.
fn chosen(policy: Option<&Policy>, only: Option<&str>) -> (Vec<Domain>, Option<Finding>) {
    let queues = policy.into_iter().flat_map(Policy::queues);
    let mut domains: Vec<Domain> = queues
        .filter(|domain| only.is_none_or(|only| only == domain.name))
        .cloned()
        .collect();
    let left_out = domains.len().saturating_sub(DOMAINS_MAX);
    domains.truncate(DOMAINS_MAX);
    let finding = (left_out > 0).then(|| {
        Check::of("mx", "other domains").skipped(format!(
            "{left_out} domains of the policy were left out, as it has more than {DOMAINS_MAX}: ask for one by its name"
        ))
    });
    (domains, finding)
}

/// How a node is called as the subject of a finding.
fn node(id: u64) -> String {
    format!("node {id}")
}

fn answer(finding: Finding, node_id: u64) -> v1::Finding {
    v1::Finding {
        check: finding.check.to_owned(),
        subject: finding.subject,
        verdict: finding.verdict.word().to_owned(),
        text: finding.text,
        zone: finding.zone,
        node_id,
    }
}
