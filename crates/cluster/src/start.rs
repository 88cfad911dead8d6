//! Starting a node.

use std::sync::{Arc, Mutex, OnceLock};

use spool::{Clock, MessageId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Cluster, Config, Founding, Metrics,
    ageing::{Counted, Watcher},
    claim,
    cluster::Running,
    confirmations::{self, Confirmations},
    delays::Delays,
    failure::{Failure, StartError},
    founding,
    housekeeping::Housekeeper,
    leadership::{self, Sources},
    lessons::{self, Lessons},
    limits,
    mail_hosts::{self, MailHosts},
    membership::{self, Changer},
    mend, pass,
    peer::{self, Identity, Network, PeerServer, Peers, Served, Signs},
    propose::Proposer,
    raft::{self, Raft},
    reach::{Findings, Mover},
    rebuilding::Rebuilding,
    retention::Retention,
    signals::Signals,
    space::Space,
    store::{Checkpoints, LogStore, LogWriter, Lost, Machine, ReadAhead, Store, Tables},
    tasks::Tasks,
    upkeep::Upkeep,
    visits::{self, Visits},
    voting::{Admission, Voting},
    witness::Witness,
};

/// What a node says that is to found a cluster and does not know whose mail it takes.
pub const NO_POLICY: &str = "[policy] initial is missing: a new cluster is founded with the policy it names; write \
                             for example initial = \"/etc/layover/policy.toml\"";

/// Puts what was being tried in front of why it failed.
fn failed<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> StartError {
    move |error| StartError(format!("{what}: {error}"))
}

/// The opened data directory. The writer comes last: it ends when the log is dropped, and dropping
/// it waits for that.
struct Opened {
    store: Arc<Store>,
    tables: Arc<Tables>,
    checkpoints: Arc<Checkpoints>,
    log: LogStore,
    lost: mpsc::Receiver<Lost>,
    rebuilding: Rebuilding,
    log_writer: LogWriter,
    space: Arc<Space>,
    witness: Arc<Witness>,
}

impl Cluster {
    /// Opens the store, meets the peers and takes part.
    ///
    /// # Errors
    /// One line for the operator: what is wrong and what would be right.
    pub async fn start(
        mut config: Config,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        if let Some(document) = &config.policy {
            document.policy().map_err(failed("the policy is wrong"))?;
        }
        let founds = !matches!(config.founding, Founding::Join(_));
        if founds && config.policy.is_none() && !claim::is_claimed(&config.data_dir) {
            return Err(StartError(NO_POLICY.to_owned()));
        }
        let recorded = claim::claim(&config)?;
        let metrics = Arc::new(metrics);
        let tls = config.tls.clone();
        let port = PeerServer::bind(config.listen, tls.clone())
            .await
            .map_err(failed(format!(
                "[cluster] listen = \"{}\" is not possible; use a free port of this machine",
                config.listen
            )))?;
        let opened = open_store(&config, Arc::clone(&metrics)).await?;
        let stored = opened.tables.membership().map_err(failed("the members"))?;
        let retired = opened.tables.figures().retired.clone();
        // With nothing left of it, the others are asked, as ever.
        let has_members = stored.nodes().next().is_some();
        if recorded.is_anew() && has_members && config.founding != Founding::Bootstrap {
            tracing::info!(
                "this node has founded its cluster anew: `members` and `join` in [cluster] do not count"
            );
            config.founding = Founding::Bootstrap;
        }
        claim::check_members(&config, &recorded, &stored, &retired)?;
        let identity = Identity {
            node_id: config.node_id,
            address: config.advertise.clone(),
            tables: Arc::clone(&opened.tables),
        };
        let peers = Peers::new(identity, tls);
        founding::ask_members(&config, &peers, &stored).await?;
        if founds && opened.tables.figures().policy.is_none() && config.policy.is_none() {
            return Err(StartError(NO_POLICY.to_owned()));
        }
        let raft = start_raft(&config, &peers, &opened).await?;
        let running = assemble(config, clock, metrics, raft, peers, opened, port);
        Ok(Self(Arc::new(running)))
    }
}

/// Reading a long write-ahead log back takes a while, so it is done off the runtime's threads.
async fn open_store(config: &Config, metrics: Arc<Metrics>) -> Result<Opened, StartError> {
    let path = config.data_dir.clone();
    let must_stay_free = config.min_free_space;
    let what = format!("opening the store in {}", path.display());
    let open = move || {
        let store = Arc::new(Store::open(&path, metrics)?);
        let tables = Arc::new(Tables::open(Arc::clone(&store))?);
        let opened = LogStore::open(Arc::clone(&store))?;
        let checkpoints = Arc::new(Checkpoints::of(Arc::clone(&tables)));
        Ok::<_, std::io::Error>(Opened {
            store,
            tables,
            checkpoints,
            log: opened.log,
            lost: opened.lost,
            rebuilding: opened.rebuilding,
            log_writer: opened.writer,
            witness: Arc::new(Witness::open(&path)?),
            space: Arc::new(Space::new(path, must_stay_free)),
        })
    };
    let opened = tokio::task::spawn_blocking(open)
        .await
        .map_err(failed(&what))?;
    opened.map_err(failed(&what))
}

async fn start_raft(config: &Config, peers: &Peers, opened: &Opened) -> Result<Raft, StartError> {
    let timing = raft::config(config.log_keep).map_err(failed("the timing of consensus"))?;
    let state = Arc::new(OnceLock::new());
    let network = Network::new(peers.clone(), Arc::clone(&state), Arc::clone(&opened.space));
    let machine = Machine::new(
        Arc::clone(&opened.tables),
        opened.log.clone(),
        Arc::clone(&opened.checkpoints),
        config.log_keep_bytes,
    );
    let raft = Raft::new(config.node_id, timing, network, opened.log.clone(), machine)
        .await
        .map_err(failed("starting consensus on the stored log"))?;
    // Before its first account of itself, consensus says that it has neither members nor a log. It gives
    // that account before it answers anything, so whoever looks from here on sees what is stored.
    raft.with_raft_state(|_| ())
        .await
        .map_err(failed("starting consensus"))?;
    // Nobody else sets it, and until now nothing was sent that would miss it.
    state.get_or_init(|| raft.metrics());
    Ok(raft)
}

/// Starts everything that runs beside consensus.
#[expect(
    clippy::too_many_lines,
    reason = "a list of what runs, without a branch: parts of it would share nearly every line's names"
)]
fn assemble(
    config: Config,
    clock: Clock,
    metrics: Arc<Metrics>,
    raft: Raft,
    peers: Peers,
    opened: Opened,
    port: PeerServer,
) -> Running {
    let stop = CancellationToken::new();
    let (heard, last_heard) = watch::channel(None);
    let (told_policy, policy_in_force) = watch::channel(0);
    let config = Arc::new(config);
    let signals = Arc::new(Signals::new());
    let mut tasks = Tasks::new(Arc::clone(&signals), stop.clone());
    let tables = opened.tables;
    let space = opened.space;
    let changer = Changer::new(
        config.node_id,
        raft.clone(),
        Arc::clone(&tables),
        peers.clone(),
        Arc::clone(&signals),
    );
    let voting = Voting::new();
    let findings = Arc::new(Findings::default());
    let signs = Signs {
        heard,
        told_policy,
        space: Arc::clone(&space),
        witness: Arc::clone(&opened.witness),
        findings: Arc::clone(&findings),
        courses: Arc::clone(&config.courses),
        clock,
    };
    let served = Arc::new(Served::new(
        &config,
        raft.clone(),
        &peers,
        voting.clone(),
        changer.clone(),
        signs,
        stop.clone(),
    ));
    tasks.spawn(
        "the port for peers",
        serve_peers(port, served, Arc::clone(&signals), stop.clone()),
    );
    let lost = mend::find_lost(peers.clone(), raft.clone(), opened.lost, stop.clone());
    // The log that asks may be gone before.
    tasks.spawn_finite("asking others for lost pieces", lost);
    let log_size = opened.log.size();
    let mending = opened.log.mending(Arc::clone(&tables));
    let tidying = opened.log.tidying();
    let admission = Admission {
        config: Arc::clone(&config),
        raft: raft.clone(),
        log: opened.log,
        peers: peers.clone(),
        voting,
        rebuilding: opened.rebuilding,
    };
    let admission = admit(admission, Arc::clone(&signals), stop.clone());
    tasks.spawn_finite("the way to this node's vote", admission);
    membership::start(
        &mut tasks,
        &changer,
        &config,
        last_heard.clone(),
        &signals,
        &stop,
    );

    let sources = Sources {
        raft: raft.metrics(),
        heard: last_heard,
        policy_in_force,
        tables: Arc::clone(&tables),
        metrics,
    };
    let watching = leadership::watch_leadership(sources, Arc::clone(&signals), stop.clone());
    tasks.spawn("watching who leads", watching);
    let proposer = start_passing(&mut tasks, &config, &raft, &peers, &signals, &stop);
    let discards = start_housekeeping(
        &mut tasks, &config, &proposer, &signals, &tables, clock, &stop,
    );
    let confirmations = start_confirming(&mut tasks, &proposer, &stop);
    let visits = start_telling_visits(&mut tasks, &proposer, clock, &stop);
    let lessons = start_teaching(&mut tasks, &tables, &proposer, clock, &stop);
    let mail_hosts = Arc::new(MailHosts::default());
    let learning = mail_hosts::learn(
        Arc::clone(&mail_hosts),
        config.node_id,
        raft.clone(),
        peers.clone(),
        stop.clone(),
    );
    tasks.spawn("learning how members are known", learning);
    let mover = Mover {
        node_id: config.node_id,
        findings: Arc::clone(&findings),
        tables: Arc::clone(&tables),
        raft: raft.clone(),
        peers: peers.clone(),
        changer: changer.clone(),
        leadership: signals.leadership.subscribe(),
        clock,
    };
    tasks.spawn("who reaches the primaries", mover.run(stop.clone()));
    let expiring = start_ageing(&mut tasks, &tables, &proposer, &signals, clock, &stop);
    let retention = Retention {
        tables: Arc::clone(&tables),
        proposer: proposer.clone(),
        leadership: signals.leadership.subscribe(),
        raft: raft.metrics(),
        space: Arc::clone(&space),
        clock,
    };
    tasks.spawn("giving up what was delivered", retention.run(stop.clone()));
    let upkeep = Upkeep {
        raft: raft.clone(),
        store: Arc::clone(&opened.store),
        log_size: log_size.clone(),
        tidying,
        checkpoints: opened.checkpoints,
        space: Arc::clone(&space),
        witness: opened.witness,
        signals: Arc::clone(&signals),
        log_bytes_max: config.log_keep_bytes,
    };
    start_upkeep(&mut tasks, upkeep, &stop);
    Running {
        config,
        clock,
        raft,
        store: opened.store,
        tables,
        ahead: ReadAhead::default(),
        log_size,
        mending: tokio::sync::Mutex::new(mending),
        peers,
        mail_hosts,
        proposer,
        changer,
        signals,
        space,
        discards,
        confirmations,
        visits,
        lessons,
        findings,
        expiring,
        stop,
        tasks: Mutex::new(tasks.into_running()),
        log_writer: Mutex::new(Some(opened.log_writer)),
    }
}

/// Starts what the leader does on the side; returns where stages to be discarded are put.
fn start_housekeeping(
    tasks: &mut Tasks,
    config: &Config,
    proposer: &Proposer,
    signals: &Signals,
    tables: &Arc<Tables>,
    clock: Clock,
    stop: &CancellationToken,
) -> mpsc::Sender<MessageId> {
    let (discards, discarded) = mpsc::channel(limits::DISCARDS_MAX);
    let housekeeper = Housekeeper {
        proposer: proposer.clone(),
        leadership: signals.leadership.subscribe(),
        tables: Arc::clone(tables),
        clock,
        policy: config.policy.clone(),
        discards: discarded,
    };
    tasks.spawn("housekeeping", housekeeper.run(stop.clone()));
    discards
}

/// Starts what looks after mail that grows old; returns where it is told which expires soon.
fn start_ageing(
    tasks: &mut Tasks,
    tables: &Arc<Tables>,
    proposer: &Proposer,
    signals: &Signals,
    clock: Clock,
    stop: &CancellationToken,
) -> Counted {
    let counted = Counted::default();
    let watcher = Watcher {
        tables: Arc::clone(tables),
        proposer: proposer.clone(),
        leadership: signals.leadership.subscribe(),
        clock,
        counted: Arc::clone(&counted),
    };
    tasks.spawn("watching mail grow old", watcher.run(stop.clone()));
    let delays = Delays {
        tables: Arc::clone(tables),
        proposer: proposer.clone(),
        leadership: signals.leadership.subscribe(),
        clock,
    };
    tasks.spawn("looking for mail that is late", delays.run(stop.clone()));
    counted
}

/// Starts what looks after the disk.
fn start_upkeep(tasks: &mut Tasks, upkeep: Upkeep, stop: &CancellationToken) {
    let space = Arc::clone(&upkeep.space);
    let watch = Space::watch(space, upkeep.raft.metrics(), stop.clone());
    tasks.spawn("watching the disk", watch);
    tasks.spawn("upkeep", upkeep.run(stop.clone()));
}

/// Starts what tells the other nodes which 250s were read here.
fn start_confirming(
    tasks: &mut Tasks,
    proposer: &Proposer,
    stop: &CancellationToken,
) -> Arc<Confirmations> {
    let confirmations = Arc::new(Confirmations::default());
    let telling = confirmations::tell(Arc::clone(&confirmations), proposer.clone(), stop.clone());
    tasks.spawn("telling which replies were read", telling);
    confirmations
}

/// Starts what tells all nodes what was found out about recipients here.
fn start_teaching(
    tasks: &mut Tasks,
    tables: &Arc<Tables>,
    proposer: &Proposer,
    clock: Clock,
    stop: &CancellationToken,
) -> Arc<Lessons> {
    let lessons = Arc::new(Lessons::default());
    let telling = lessons::tell(
        Arc::clone(&lessons),
        Arc::clone(tables),
        proposer.clone(),
        clock,
        stop.clone(),
    );
    tasks.spawn("telling what is known of recipients", telling);
    lessons
}

/// Starts what tells all nodes who was sent away by a sentry here.
fn start_telling_visits(
    tasks: &mut Tasks,
    proposer: &Proposer,
    clock: Clock,
    stop: &CancellationToken,
) -> Arc<Visits> {
    let visits = Arc::new(Visits::default());
    let telling = visits::tell(Arc::clone(&visits), proposer.clone(), clock, stop.clone());
    tasks.spawn("telling who came to a sentry", telling);
    visits
}

async fn admit(admission: Admission, signals: Arc<Signals>, stop: CancellationToken) {
    if let Err(error) = admission.run(stop).await {
        signals.fail(error.into());
    }
}

/// Starts what passes commands to the leader, and makes what proposes them.
fn start_passing(
    tasks: &mut Tasks,
    config: &Config,
    raft: &Raft,
    peers: &Peers,
    signals: &Signals,
    stop: &CancellationToken,
) -> Proposer {
    let (passes, passed) = mpsc::channel(limits::PASS_QUEUE_MAX);
    let passing = pass::pass_on(peers.clone(), raft.metrics(), passed, stop.clone());
    tasks.spawn("passing commands to the leader", passing);
    Proposer::new(
        config.node_id,
        raft.clone(),
        signals.leadership.subscribe(),
        passes,
        config.commit_timeout,
    )
}

async fn serve_peers(
    port: PeerServer,
    served: Arc<Served>,
    signals: Arc<Signals>,
    stop: CancellationToken,
) {
    if let Err(error) = peer::serve(port, served, stop).await {
        signals.fail(Failure::PeersPort(error.to_string()));
    }
}
