//! A cluster, its network, its disks and its primary.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use harness::{Cluster, Daemon, LoopDisk, Primary, Settings, Shim, settings::Ports, shim};

use crate::{
    fault::{Kind, Need},
    ledger::Ledger,
    network::Network,
    shell,
};

/// Enough for the database's own files and the mail of a round; sparse, so it costs what is written.
const DISK_MIB: u64 = 1024;

/// How long a message may wait for a quorum; see `PATIENCE` in `clients`.
const COMMIT_TIMEOUT: &str = "commit_timeout = \"4s\"";

/// Some hundred entries are the mail of a second or two.
const SHORT_LOG: &str = "log_keep = 300";

/// What a world is to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) nodes: usize,
    /// Whether logs are so short that a node which was away for a moment is sent a snapshot.
    pub(crate) short_logs: bool,
    /// Whether no node ever forces anything to its disk, and says that it did.
    pub(crate) fsync_lies: bool,
}

/// Everything that a run harms and judges. In order of what goes first.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) primary: Primary,
    pub(crate) cluster: Cluster,
    /// What every node file says, but for its place.
    pub(crate) settings: Settings,
    pub(crate) network: Option<Network>,
    /// One for each node, or none at all.
    pub(crate) disks: Vec<LoopDisk>,
    pub(crate) ledger: Arc<Ledger>,
    /// Where schedule, ledger and verdict are written.
    pub(crate) papers: PathBuf,
    /// Log lines that were complained about.
    pub(crate) alarms_told: BTreeSet<String>,
    /// What this machine can not do, and why.
    pub(crate) lacks: Vec<(Need, String)>,
}

impl World {
    /// Makes it and starts its nodes. What a machine can not do is noted in `lacks`.
    ///
    /// # Panics
    /// When the nodes do not start.
    pub(crate) fn found(wish: Wish, papers: &Path) -> Self {
        fs::create_dir_all(papers).unwrap_or_else(|error| panic!("{}: {error}", papers.display()));
        LoopDisk::sweep();
        let mut lacks = Vec::new();
        let network = keep(Network::lay(wish.nodes), Need::Network, &mut lacks);
        let mut primary = match &network {
            Some(_) => Primary::at(Network::primary()),
            None => Primary::down_at_first(),
        };
        primary.up();
        let mut settings = settings(&primary);
        if wish.short_logs {
            settings = settings.with("cluster", SHORT_LOG);
        }
        let mut cluster = Cluster::prepare_at(ports(wish.nodes, network.is_some()), &settings);
        if network.is_some() {
            for (place, node) in cluster.nodes.iter_mut().enumerate() {
                node.live_within(&Network::launcher(place));
            }
        }
        let shim = keep(Shim::compile(cluster.directory()), Need::Shim, &mut lacks);
        if let Some(shim) = &shim {
            cluster.nodes.iter_mut().for_each(|node| shim.load(node));
        }
        let disks = cluster.nodes.iter().map(disk).collect();
        let disks = keep(disks, Need::Disks, &mut lacks).unwrap_or_default();
        look_for_the_rest(network.as_ref(), &mut lacks);
        let mut world = Self {
            primary,
            cluster,
            settings,
            network,
            disks,
            ledger: Arc::new(Ledger::open(&papers.join("ledger"))),
            papers: papers.to_owned(),
            alarms_told: BTreeSet::new(),
            lacks,
        };
        if wish.fsync_lies {
            world
                .cluster
                .nodes
                .iter_mut()
                .for_each(shim::lie_about_fsync);
        }
        world.cluster.nodes.iter_mut().for_each(Daemon::spawn);
        world.cluster.nodes.iter_mut().for_each(Daemon::wait_ready);
        // Where fsync lies, the founding at least is to be on the disks.
        world.disks.iter().for_each(LoopDisk::sync);
        world
    }

    /// Whether this machine can do what a fault needs.
    pub(crate) fn can(&self, kind: Kind) -> bool {
        let lacking = |need| self.lacks.iter().any(|(lack, _)| *lack == need);
        !kind.needs().is_some_and(lacking)
    }

    /// Copies the nodes' logs to where the papers are.
    pub(crate) fn file_logs(&self) {
        for (number, node) in (1..).zip(&self.cluster.nodes) {
            let to = self.papers.join(format!("mx{number}.log"));
            drop(fs::copy(node.log_path(), to));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Before the disks go from under them.
        self.cluster.nodes.iter_mut().for_each(Daemon::kill);
        self.file_logs();
        self.disks.clear();
    }
}

fn ports(nodes: usize, in_network: bool) -> Vec<(u64, Ports)> {
    let of = |node| {
        if in_network {
            Ports::of_host(Network::address(node))
        } else {
            Ports::free()
        }
    };
    (1..).zip((0..nodes).map(of)).collect()
}

fn settings(primary: &Primary) -> Settings {
    let trusted = "metrics_trusted = [\"127.0.0.0/8\", \"192.0.2.0/24\"]";
    Settings::for_primary(primary.address())
        .with("smtp", COMMIT_TIMEOUT)
        .with("http", trusted)
        .with("node", "min_free_space = \"1KiB\"")
}

fn disk(node: &Daemon) -> Result<LoopDisk, String> {
    LoopDisk::mount(&node.data_dir(), DISK_MIB)
}

fn keep<T>(got: Result<T, String>, need: Need, lacks: &mut Vec<(Need, String)>) -> Option<T> {
    got.map_err(|why| lacks.push((need, why))).ok()
}

/// Tries what is not needed to begin with.
fn look_for_the_rest(network: Option<&Network>, lacks: &mut Vec<(Need, String)>) {
    let tracing = shell::run(&[
        "strace",
        "-o",
        "/dev/null",
        "-e",
        "inject=fsync:error=EIO",
        "true",
    ]);
    keep(tracing.map(drop), Need::Tracing, lacks);
    let none = || Err("needs a network of its own".to_owned());
    let slow = network.map_or_else(none, |network| {
        network.slow_down(0, true)?;
        network.slow_down(0, false)
    });
    keep(slow, Need::SlowLink, lacks);
    let delay = network.map_or_else(none, |network| {
        network.delay(0, true)?;
        network.delay(0, false)
    });
    keep(delay, Need::Delay, lacks);
}

/// A node that was started takes mail within this time, or is stuck.
pub(crate) const READY: Duration = Duration::from_secs(45);
