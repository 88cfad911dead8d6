//! What operators do to a long queue, and how long that takes; and how long the queue takes to leave.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use harness::{Ctl, wait};
use serde_json::Value;

use crate::{
    accept,
    layover::Nodes,
    load::{Load, SENDER},
    sink::Sink,
    system::{DOMAIN, System as _},
};

/// Whose mail is deleted.
const UNWANTED: &str = "unwanted@sender.test";

/// Of so many messages one is from there.
const ONE_UNWANTED_IN: usize = 10;

/// What has not been shown by then never will be.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long something took.
#[derive(Debug)]
struct Row {
    what: String,
    took: String,
}

/// Spools messages of 1 KiB on one node whose primary is down, does to them what operators do, and lets the rest
/// leave; then spools as many again, and deletes them. What fails is a row, too.
pub(crate) fn run(quick: bool) -> Result<()> {
    let count = if quick { 2_000 } else { 100_000 };
    let unwanted = count / ONE_UNWANTED_IN;
    let mut nodes = Nodes::start(1);
    for (sender, count) in [(UNWANTED, unwanted), (SENDER, count - unwanted)] {
        let load = Load {
            sender,
            ..Load::of(1, 50)
        };
        let figures = accept::send(&nodes, &load, count)?;
        println!("{load} from {sender}: {figures}");
    }
    let mut rows = Vec::new();
    let mut add = |row: Row| {
        println!("{row}");
        rows.push(row);
    };
    let all = u64::try_from(count).unwrap_or(u64::MAX);
    let kept = u64::try_from(count - unwanted).unwrap_or(u64::MAX);
    let ctl = nodes.cluster().ctl();
    let done = |words: &[&str], is_shown: &dyn Fn(&Value) -> bool| done(&ctl, words, is_shown);
    add(done(&["queue", "list", "--limit", "10"], &|_| true));
    add(done(&["queue", "hold", "--all"], &|it| {
        of(it, "held") == all
    }));
    add(done(&["queue", "release", "--all"], &|it| {
        of(it, "held") == 0 && of(it, "waiting") == all
    }));
    add(done(&["domain", "pause", DOMAIN], &|it| {
        it["paused"].is_object()
    }));
    add(done(&["domain", "resume", DOMAIN], &|it| {
        !it["paused"].is_object()
    }));
    let delete = ["queue", "delete", "--yes", "--sender", UNWANTED];
    add(done(&delete, &|it| of(it, "waiting") == kept));
    add(done(&["queue", "bounce", "--yes", "--all"], &|it| {
        of(it, "rejected") == kept
    }));
    add(done(&["queue", "retry", "--all"], &|it| {
        of(it, "rejected") == 0 && of(it, "waiting") == kept
    }));
    add(leaves(&nodes)?);
    accept::send(&nodes, &Load::of(1, 50), count)?;
    add(done(&["queue", "delete", "--yes", "--all"], &|it| {
        of(it, "waiting") == 0
    }));
    println!("\n| {count} messages of 1 KiB, one node | took |\n| --- | --- |");
    for Row { what, took } in &rows {
        println!("| {what} | {took} |");
    }
    nodes.stop()
}

/// Runs a command, and waits until the domain's status shows what it has done.
fn done(ctl: &Ctl, words: &[&str], is_shown: &dyn Fn(&Value) -> bool) -> Row {
    let what = format!("`layover {}`", words.join(" "));
    let began = Instant::now();
    let outcome = ctl.run(words);
    let answered = began.elapsed().as_secs_f64();
    let took = if outcome.code == 0 {
        let shown = wait::within(PATIENCE, || {
            is_shown(&ctl.json(&["status"])["domains"][0]).then(|| began.elapsed().as_secs_f64())
        });
        match shown {
            Some(shown) => format!("answered after {answered:.2} s, shown after {shown:.2} s"),
            None => format!("answered after {answered:.2} s, not shown within {PATIENCE:?}"),
        }
    } else {
        let why = outcome.err.trim();
        format!("failed after {answered:.2} s: {why}")
    };
    Row { what, took }
}

/// A figure of a domain's status.
fn of(domain: &Value, name: &str) -> u64 {
    domain[name].as_u64().unwrap_or(0)
}

/// Brings the primary back, and waits until the queue is empty. Nobody flushes: the time until a probe finds the
/// primary is part of it.
fn leaves(nodes: &Nodes) -> Result<Row> {
    let directory = tempfile::tempdir()?;
    let node = nodes.cluster().nodes.first();
    let node = node.context("one node was started")?;
    let count = node.queued().context("the node tells no figures")?;
    let mut sink = Sink::start(nodes.primary(), &directory.path().join("sink"))?;
    let began = Instant::now();
    let is_begun = || node.queued().is_some_and(|left| left < count);
    let begun = wait::within(PATIENCE, || is_begun().then(|| began.elapsed()));
    let is_empty = || node.queued() == Some(0);
    let empty = wait::within(PATIENCE, || is_empty().then(|| began.elapsed()));
    sink.stop();
    let took = match (begun, empty) {
        (Some(begun), Some(empty)) => {
            let (begun, empty) = (begun.as_secs_f64(), empty.as_secs_f64());
            let rate = count as f64 / empty;
            format!("begun after {begun:.2} s, empty after {empty:.2} s, {rate:.0} msg/s")
        }
        _ => format!("{:?} left after {PATIENCE:?}", node.queued()),
    };
    Ok(Row {
        what: format!("{count} messages leave when the primary is back"),
        took,
    })
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, took } = self;
        write!(f, "{what}: {took}")
    }
}
