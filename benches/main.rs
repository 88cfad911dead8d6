//! Layover beside other mail servers: the same load, the same machine, the same run.
//!
//! ```text
//!   bench [--quick] [--nodes N]… [--only postfix|exim|sink|N]…
//!   bench [--quick] --operators | --growth
//! ```
//!
//! Postfix's own smtp-source drives all of them and its smtp-sink takes what drains; every system
//! syncs to disk before its 250, but for smtp-sink itself, which keeps nothing and shows what there is to be had.
//! Figures are printed as they come and as one table at the end.
//!
//! Layover is measured with one node and with three, and with as many as `--nodes` says besides.
//!
//! With `--operators` nothing is compared: it is measured what operators do to a long queue of one node. With
//! `--growth`, what a queue costs as it grows to a million.

mod accept;
mod disk;
mod drain;
mod exim;
mod figures;
mod growth;
mod latency;
mod layover;
mod load;
mod meter;
mod operators;
mod pipelining;
mod postfix;
mod sink;
mod starttls;
mod system;
mod table;

use std::{env, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use harness::or_skip;
use load::{LOADS, Load, QUICK_LOADS};
use system::{Drains, System};
use table::Table;

/// What to measure.
#[derive(Clone, Debug)]
struct Plan {
    quick: bool,
    operators: bool,
    growth: bool,
    nodes: Vec<u64>,
    only: Vec<String>,
}

fn main() -> Result<()> {
    let plan = Plan::from_arguments()?;
    if plan.operators {
        return operators::run(plan.quick);
    }
    if plan.growth {
        return growth::run(plan.quick);
    }
    let mut table = Table::default();
    let directory = tempfile::tempdir()?;
    println!("disk: {}", disk::probe()?);
    for name in plan.systems() {
        if name == "sink" {
            measure_sink(&plan, &mut table)?;
            continue;
        }
        let system = started(&name, directory.path()).map_err(|why| format!("{name}: {why:#}"));
        if let Some(mut system) = or_skip(system) {
            measure(system.as_mut(), &plan, &mut table)?;
        }
    }
    println!("disk: {}", disk::probe()?);
    println!("\n{table}");
    Ok(())
}

/// Starts a system; a number is that of Layover's nodes.
fn started(name: &str, directory: &Path) -> Result<Box<dyn System>> {
    Ok(match name {
        "postfix" => Box::new(postfix::Instance::start(&directory.join(name))?),
        "exim" => Box::new(exim::Instance::start(&directory.join(name))?),
        number => {
            let nodes = number
                .parse()
                .with_context(|| format!("{number} is no system that is known"))?;
            Box::new(layover::Nodes::start(nodes))
        }
    })
}

/// How fast mail is taken by what keeps nothing of it, and knows no TLS.
fn measure_sink(plan: &Plan, table: &mut Table) -> Result<()> {
    for load in plan.loads().iter().filter(|load| !load.starttls) {
        let figures = sink::takes(load, plan.span())?;
        table.add(&format!("accept, {load}"), sink::NAME, figures);
    }
    Ok(())
}

/// Runs every measurement against one system.
fn measure(system: &mut dyn System, plan: &Plan, table: &mut Table) -> Result<()> {
    let name = system.name().to_owned();
    for load in plan.loads() {
        let figures = accept::run(system, load, plan.span())?;
        table.add(&format!("accept, {load}"), &name, figures);
    }
    for sessions in [1, 50] {
        let row = format!("time to 250, 10 KiB, {sessions} sessions");
        let full = latency::run(system, sessions, plan.span(), None)?;
        table.add_latency(&row, &name, full);
        if sessions > 1 {
            let half = Some(full.per_second / 2.0);
            let figures = latency::run(system, sessions, plan.span(), half)?;
            table.add_latency(&format!("{row}, half the load"), &name, figures);
        }
    }
    let figures = starttls::handshakes(system, plan.span())?;
    table.add(
        "STARTTLS and QUIT, 50 sessions, whole handshakes",
        &name,
        figures,
    );
    println!(
        "{name}: memory {:.0} MiB",
        system.memory_bytes() as f64 / 1_048_576.0
    );
    measure_drain(system, plan, table)?;
    system.stop()
}

/// What a system does when its primary is back.
fn measure_drain(system: &mut dyn System, plan: &Plan, table: &mut Table) -> Result<()> {
    let name = system.name().to_owned();
    let drains = system.drains();
    if drains == Drains::No {
        return Ok(());
    }
    let count = if plan.quick { 1_000 } else { 10_000 };
    system.reset()?;
    let figures = drain::run(system, count, true)?;
    table.add("drain after a flush, 10 KiB", &name, figures);
    if drains == Drains::ByItself {
        let figures = drain::run(system, count, false)?;
        let row = format!("from the primary's return until {count} of 10 KiB are there");
        table.add(&row, &name, figures);
    }
    let figures = drain::pass_through(system, count)?;
    table.add(
        "pass-through while the primary is up, 10 KiB",
        &name,
        figures,
    );
    Ok(())
}

impl Plan {
    fn from_arguments() -> Result<Self> {
        let mut plan = Self {
            quick: false,
            operators: false,
            growth: false,
            nodes: vec![1, 3],
            only: Vec::new(),
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => plan.quick = true,
                "--operators" => plan.operators = true,
                "--growth" => plan.growth = true,
                "--nodes" => {
                    let number = arguments.next().unwrap_or_default();
                    plan.nodes
                        .push(number.parse().context("--nodes wants a number")?);
                }
                "--only" => plan.only.extend(arguments.next()),
                _ => bail!(
                    "usage: bench [--quick] [--operators | --growth | [--nodes N]... [--only postfix|exim|sink|N]...]"
                ),
            }
        }
        Ok(plan)
    }

    /// Postfix first: the others are compared with it.
    fn systems(&self) -> Vec<String> {
        if !self.only.is_empty() {
            return self.only.clone();
        }
        let peers = ["postfix", "exim", "sink"].map(str::to_owned).into_iter();
        peers.chain(self.nodes.iter().map(u64::to_string)).collect()
    }

    const fn loads(&self) -> &'static [Load] {
        if self.quick { &QUICK_LOADS } else { &LOADS }
    }

    /// How long one measurement is to run, about.
    const fn span(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 4 })
    }
}
