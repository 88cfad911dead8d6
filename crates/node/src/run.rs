//! A node from its start to its end.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use cluster::{CertificateEnd, Cluster};
use prometheus_client::registry::Registry;
use relay::{
    dns::Dns,
    outbound::{self, Progress},
    route::Routes,
    webhook,
};
use sd_notify::NotifyState;
use spool::{Courses, Policy, policy::Document, ports::MailHost};
use tls::MutualTls;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};
use tracing::{error, info, warn};

use crate::{
    admin::{self, AdminService, doctor::Doctor},
    certificates::{Certificates, Expiries},
    clock,
    config::Config,
    differing,
    forwarding::Forwarding,
    http,
    logging::Shown,
    metrics::{self, Metrics},
    open_files,
    part::Part,
    renewal::Renewal,
    signals::{Request, Signals},
    smtp::Smtp,
    supervisor,
};

/// All in all, so that the service manager, which waits for 30 s, never has to kill.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(29);

/// A node whose storage has failed has nothing to finish: its senders go to another one, and the sooner it has
/// ended, the sooner it is started again. One that was removed hands over what is under way, like any.
const STORAGE_FAILED_TIMEOUT: Duration = Duration::from_secs(2);

/// Operators and scrapers get their last answers within this.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a running node is reached.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) smtp: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Ports {
    fn of(smtp: &Smtp, admin: &TcpListener, http: &TcpListener) -> io::Result<Self> {
        Ok(Self {
            smtp: smtp.addresses(),
            admin: admin.local_addr()?,
            http: http.local_addr()?,
        })
    }
}

/// Runs a node until it is told to stop, or can not go on and has said why in the log. An error is
/// why it did not start, in one line. What is shown of the log may change then. Announced is where it is reached, and
/// by which policy it goes, unless it is still to be founded.
pub(crate) fn start(
    mut config: Config,
    policy: Option<Document>,
    shown: Shown,
    announce: impl FnOnce(&Ports, Option<&Policy>),
) -> anyhow::Result<ExitCode> {
    config.smtp.max_connections = open_files::make_room(config.smtp.max_connections)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime failed")?;
    let ended = runtime.block_on(run(config, policy, shown, announce));
    // Whatever still blocks has nothing more to write.
    runtime.shutdown_timeout(LAST_ANSWERS_TIMEOUT);
    ended
}

async fn run(
    config: Config,
    policy: Option<Document>,
    shown: Shown,
    announce: impl FnOnce(&Ports, Option<&Policy>),
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("listening to signals failed")?;
    let starting = Node::start(&config, policy, shown);
    let mut node = tokio::select! {
        node = starting => node?,
        () = stop_requested(&mut signals) => return Ok(ExitCode::SUCCESS),
    };
    announce(&node.ports, node.cluster.policy().as_deref());
    supervisor::notify(NotifyState::Ready);
    info!(
        version = env!("CARGO_PKG_VERSION"), node = config.node_id,
        smtp = ?node.ports.smtp, admin = %node.ports.admin, http = %node.ports.http,
        "started"
    );
    let (failure, limit) = node.attend(&mut signals, &config).await;
    supervisor::notify(NotifyState::Stopping);
    if tokio::time::timeout(limit, node.stop()).await.is_err() {
        warn!("the node did not stop in time; what was under way is broken off");
    }
    match failure {
        None => {
            info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Some(reason) => {
            error!("{reason}");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn stop_requested(signals: &mut Signals) {
    while signals.next().await != Request::Stop {}
}

/// A running node.
struct Node {
    cluster: Cluster,
    ports: Ports,
    dns: Arc<Dns>,
    /// Told when the certificates are to be read again at once.
    reload: Arc<Notify>,
    /// Mail in and out. Ends first, at the token.
    mail: Part,
    /// Admin and HTTP. Ends last, at the token.
    answers: Part,
}

impl Node {
    async fn start(
        config: &Config,
        policy: Option<Document>,
        shown: Shown,
    ) -> anyhow::Result<Self> {
        let clock = clock::SYSTEM;
        // The ports first: what is taken by another program is found out before the spool opens.
        let admin_port = bind(config.admin_listen, "[admin]").await?;
        let http_port = bind(config.http.listen, "[http]").await?;
        let certificates = Certificates::load(config, clock.now())?;
        let mut registry = metrics::registry();
        let dns_metrics = relay::dns::Metrics::register(&mut registry);
        let dns = Dns::new(config.dns.clone(), config.anchors.clone(), dns_metrics);
        let dns = Arc::new(dns);
        let smtp = Smtp::bind(config, certificates.smtp.clone(), Arc::clone(&dns))?;
        let ports = Ports::of(&smtp, &admin_port, &http_port)?;
        let expiries = Arc::new(Expiries::default());
        let renewal = Renewal::new(&certificates, Arc::clone(&expiries), clock);

        let smtp_metrics = relay::inbound::Metrics::register(&mut registry);
        let forwarding_metrics = outbound::Metrics::register(&mut registry);
        let deliveries = forwarding_metrics.clone();
        let webhook_metrics = webhook::Metrics::register(&mut registry);
        let peer_tls = certificates.cluster.clone();
        let file = config.policy_file.clone().zip(policy.clone());
        let progress = Progress::default();
        let courses: Arc<dyn Courses> = Arc::new(progress.clone());
        let told = (courses, expiries.told());
        let cluster = start_cluster(config, policy, peer_tls, told, &mut registry).await?;

        let routes = Arc::new(Routes::new(Arc::clone(&dns), Arc::new(cluster.clone())));
        let forwarding = Forwarding::new(
            cluster.clone(),
            config.hostname.clone(),
            Arc::clone(&routes),
            clock,
            forwarding_metrics,
            progress,
            webhook_metrics,
        );
        let mut mail = Part::default();
        mail.spawn("forwarding", |stop| forwarding.run(stop));
        mail.spawn("dns", |stop| Arc::clone(&dns).run(stop));
        let (spool, ways) = (cluster.clone(), Arc::clone(&routes));
        mail.spawn("smtp", |stop| {
            smtp.run(spool, ways, clock, smtp_metrics, stop)
        });

        let (spool, hostname) = (cluster.clone(), config.hostname.clone());
        let doctor = Doctor::new(config, Arc::clone(&dns));
        let service = AdminService::new(spool, routes, hostname, clock, doctor, shown);
        let service = Arc::new(service);
        mail.spawn("drills", |stop| service.drills().run(stop));
        let counted = (registry, deliveries);
        let metrics = Metrics::new(counted, cluster.clone(), expiries, service.drills(), clock);
        let settings = config.http.clone();
        let mut answers = Part::default();
        let looking = Arc::clone(&service);
        answers.spawn("looking back", |stop| looking.look_back(stop));
        answers.spawn("admin", |stop| {
            admin::serve(admin_port, certificates.admin, Arc::clone(&service), stop)
        });
        answers.spawn("http", |stop| {
            http::serve(http_port, settings, cluster.clone(), metrics, service, stop)
        });
        let reload = watch_files(&mut answers, &cluster, file, renewal);
        answers.spawn("watchdog", supervisor::feed_watchdog);
        Ok(Self {
            cluster,
            ports,
            dns,
            reload,
            mail,
            answers,
        })
    }

    /// Does what signals ask for; returns when the node is to stop, with the reason if it has to, and how long
    /// that may take.
    async fn attend(
        &mut self,
        signals: &mut Signals,
        config: &Config,
    ) -> (Option<String>, Duration) {
        loop {
            tokio::select! {
                failure = self.cluster.failed() => {
                    let limit = if failure.is_of_storage() {
                        STORAGE_FAILED_TIMEOUT
                    } else {
                        SHUTDOWN_TIMEOUT
                    };
                    return (Some(failure.to_string()), limit);
                }
                reason = self.mail.broken() => return (Some(reason), SHUTDOWN_TIMEOUT),
                reason = self.answers.broken() => return (Some(reason), SHUTDOWN_TIMEOUT),
                request = signals.next() => match request {
                    Request::Stop => return (None, SHUTDOWN_TIMEOUT),
                    Request::Reload => {
                        self.reload.notify_one();
                        self.dns.read_again();
                        if let Some(news) = config.news(clock::SYSTEM.now()) {
                            warn!(news, "the node file is not used as it is now");
                        }
                    }
                },
            }
        }
    }

    /// Mail first, then the spool, the answers last.
    async fn stop(&mut self) {
        info!("stopping");
        self.mail.stop().await;
        self.cluster.shutdown().await;
        // A client that keeps its connection open and asks nothing is not waited for.
        if tokio::time::timeout(LAST_ANSWERS_TIMEOUT, self.answers.stop())
            .await
            .is_err()
        {
            self.answers.abort().await;
        }
    }
}

/// Has the files watched that may change while the node runs. Who tells what is returned has the certificates read
/// again at once.
fn watch_files(
    answers: &mut Part,
    cluster: &Cluster,
    policy: Option<(PathBuf, Document)>,
    renewal: Renewal,
) -> Arc<Notify> {
    if let Some((file, document)) = policy {
        answers.spawn("comparing the policy file", |stop| {
            differing::tell(cluster.clone(), file, document, stop)
        });
    }
    let reload = Arc::new(Notify::new());
    answers.spawn("renewal", |stop| renewal.run(Arc::clone(&reload), stop));
    reload
}

async fn bind(address: SocketAddr, table: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{table} listen = \"{address}\" is not possible; use a free port of this machine")
    })
}

/// How this node is known to the Internet. An address that stands for all of the machine's says nothing.
fn mail_host(config: &Config) -> MailHost {
    let listen = config.smtp.listen.iter().map(SocketAddr::ip);
    let single = listen.filter(|address| !address.is_unspecified());
    MailHost {
        hostname: config.hostname.clone(),
        addresses: single
            .chain(config.smtp.public_addresses.iter().copied())
            .collect(),
    }
}

async fn start_cluster(
    config: &Config,
    policy: Option<Document>,
    tls: Option<Arc<MutualTls>>,
    (courses, certificates): (Arc<dyn Courses>, watch::Receiver<Vec<CertificateEnd>>),
    registry: &mut Registry,
) -> anyhow::Result<Cluster> {
    let cluster = cluster::Config {
        node_id: config.node_id,
        data_dir: config.data_dir.clone(),
        listen: config.cluster.listen,
        advertise: config.cluster.advertise.clone(),
        mail_host: mail_host(config),
        courses,
        certificates,
        founding: config.cluster.founding.clone(),
        policy,
        tls,
        commit_timeout: config.smtp.commit_timeout,
        min_free_space: config.min_free_space,
        log_keep: config.cluster.log_keep,
        log_keep_bytes: config.cluster.log_keep_bytes,
    };
    let metrics = cluster::Metrics::register(registry);
    Ok(Cluster::start(cluster, clock::SYSTEM, metrics).await?)
}
