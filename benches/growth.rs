//! What a queue costs as it grows, and how soon a new leader delivers from a long one.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use harness::{Cluster, Daemon, process, wait};

use crate::{
    accept,
    figures::Figures,
    layover::Nodes,
    load::Load,
    sink::{self, Sink},
    system::System as _,
};

/// What has not happened by then never will.
const PATIENCE: Duration = Duration::from_secs(600);

/// Small messages: what grows with their number is what is asked for.
const LOAD: Load = Load::of(1, 50);

/// One node with a queue of some length.
#[derive(Debug)]
struct Grown {
    queued: usize,
    figures: Figures,
    /// Resident octets before the node was started again, and after.
    memory: (u64, u64),
    /// Octets of its data directory.
    on_disk: u64,
    /// Octets that were written to the disk for each that was accepted.
    written: f64,
    started: Duration,
    listed: Duration,
    backed_up: Duration,
}

/// Fills the queue of one node step by step, then that of three nodes, whose leader is killed.
pub(crate) fn run(quick: bool) -> Result<()> {
    let steps = if quick {
        [1_000, 2_000, 4_000]
    } else {
        [10_000, 100_000, 1_000_000]
    };
    let mut nodes = Nodes::start(1);
    let mut rows = Vec::new();
    let mut sent = 0;
    for queued in steps {
        rows.push(grow(&mut nodes, queued - sent, queued)?);
        sent = queued;
    }
    nodes.stop()?;
    println!(
        "\n| messages of 1 KiB | accepted | resident, and after a start | disk for an octet | written for an octet | start | `queue list --limit 10` | `backup` |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in &rows {
        println!("{}", row.line());
    }
    for queued in steps {
        let delivered = lead_anew(queued)?;
        println!(
            "{queued} queued on three nodes: first delivery {:.2} s after the leader was killed",
            delivered.as_secs_f64()
        );
    }
    Ok(())
}

fn grow(nodes: &mut Nodes, more: usize, queued: usize) -> Result<Grown> {
    let written = |node: &Daemon| process::written_bytes(node.pid()).unwrap_or_default();
    let before = written(only(nodes.cluster())?);
    let figures = accept::send(nodes, &LOAD, more)?;
    let node = only(nodes.cluster())?;
    let written = (written(node) - before) as f64 / (more * LOAD.size) as f64;
    let memory = process::resident_bytes(node.pid()).unwrap_or_default();
    let on_disk = on_disk(&node.data_dir())?;
    let started = start_again(nodes)?;
    let node = only(nodes.cluster())?;
    let listed = timed(nodes.cluster(), &["queue", "list", "--limit", "10"])?;
    let copy = tempfile::tempdir()?;
    let file = copy.path().join("backup").display().to_string();
    let backed_up = timed(nodes.cluster(), &["backup", &file])?;
    let memory = (
        memory,
        process::resident_bytes(node.pid()).unwrap_or_default(),
    );
    let grown = Grown {
        queued,
        figures,
        memory,
        on_disk,
        written,
        started,
        listed,
        backed_up,
    };
    println!("{}", grown.line());
    Ok(grown)
}

fn only(cluster: &Cluster) -> Result<&Daemon> {
    cluster.nodes.first().context("one node was started")
}

/// Ends a node properly and starts it; tells how long it took until it was ready.
fn start_again(nodes: &mut Nodes) -> Result<Duration> {
    let node = nodes.cluster_mut().nodes.first_mut();
    let node = node.context("one node was started")?;
    node.terminate();
    let began = Instant::now();
    node.spawn();
    wait::within(PATIENCE, || node.is_ready().then(|| began.elapsed())).context("it never is ready")
}

fn timed(cluster: &Cluster, words: &[&str]) -> Result<Duration> {
    let began = Instant::now();
    let outcome = cluster.ctl().run(words);
    ensure!(outcome.code == 0, "layover {words:?}: {}", outcome.err);
    Ok(began.elapsed())
}

/// Octets that a directory takes.
fn on_disk(directory: &Path) -> Result<u64> {
    let du = Command::new("du")
        .args(["--summarize", "--block-size=1"])
        .arg(directory)
        .output()?;
    let text = String::from_utf8_lossy(&du.stdout);
    let octets = text
        .split_whitespace()
        .next()
        .and_then(|it| it.parse().ok());
    octets.context("du tells no size")
}

/// Kills the leader of three nodes with a queue, brings the primary back at that moment, and tells how long it took
/// until the first message was there.
fn lead_anew(queued: usize) -> Result<Duration> {
    let mut nodes = Nodes::start(3);
    let figures = accept::send(&nodes, &LOAD, queued)?;
    println!("{queued} queued on three nodes: {figures}");
    let directory = tempfile::tempdir()?;
    let counter = directory.path().join("sink");
    let leader = nodes.cluster().leader();
    let leader = nodes.cluster_mut().nodes.get_mut(leader);
    leader.context("a node leads")?.kill();
    let began = Instant::now();
    let mut sink = Sink::start(nodes.primary(), &counter)?;
    let delivered = wait::within(PATIENCE, || {
        (sink::messages(&counter) > 0).then(|| began.elapsed())
    });
    sink.stop();
    nodes.stop()?;
    delivered.context("nothing was delivered")
}

impl Grown {
    fn line(&self) -> String {
        let mib = |octets: u64| octets / (1 << 20);
        let each = self.on_disk as f64 / (self.queued * LOAD.size) as f64;
        format!(
            "| {} | {:.0} msg/s, {:.2} ms CPU | {} MiB, {} MiB | {each:.2} | {:.2} | {:.2} s | {:.2} s | {:.2} s |",
            self.queued,
            self.figures.per_second,
            self.figures.cpu_ms,
            mib(self.memory.0),
            mib(self.memory.1),
            self.written,
            self.started.as_secs_f64(),
            self.listed.as_secs_f64(),
            self.backed_up.as_secs_f64(),
        )
    }
}
