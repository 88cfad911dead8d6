//! Layover beside Postfix: the same load, the same machine, the same run.
//!
//! ```text
//!   bench [--quick] [--only postfix|one|three]…
//!   bench [--quick] --operators | --growth
//! ```
//!
//! Postfix's own smtp-source drives all of them and its smtp-sink takes what drains; every system
//! syncs to disk before its 250. Figures are printed as they come and as one table at the end.
//!
//! With `--operators` nothing is compared: it is measured what operators do to a long queue of one node. With
//! `--growth`, what a queue costs as it grows to a million.

mod accept;
mod disk;
mod drain;
mod growth;
mod latency;
mod layover;
mod operators;
mod postfix;
mod system;
mod table;

use std::{env, time::Duration};

use anyhow::{Result, bail};
use system::System;
use table::Table;

/// What to measure.
#[derive(Clone, Debug)]
struct Plan {
    quick: bool,
    operators: bool,
    growth: bool,
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
    println!("disk: {}", disk::probe()?);
    if plan.includes("postfix") {
        measure(&mut postfix::Instance::start()?, &plan, &mut table)?;
    }
    if plan.includes("one") {
        measure(
            &mut layover::Nodes::start(1, "layover, one node"),
            &plan,
            &mut table,
        )?;
    }
    if plan.includes("three") {
        measure(
            &mut layover::Nodes::start(3, "layover, three nodes"),
            &plan,
            &mut table,
        )?;
    }
    println!("disk: {}", disk::probe()?);
    println!("\n{table}");
    Ok(())
}

/// Runs every measurement against one system.
fn measure(system: &mut dyn System, plan: &Plan, table: &mut Table) -> Result<()> {
    let name = system.name().to_owned();
    for load in accept::loads(plan.quick) {
        let figures = accept::run(system, &load, plan.span())?;
        println!("{name}: {load}: {figures}");
        table.add(&format!("accept, {load}"), &name, figures);
    }
    for sessions in [1, 50] {
        let figures = latency::run(system, sessions, plan.span())?;
        println!("{name}: time to 250, {sessions} sessions: {figures}");
        table.add_latency(
            &format!("time to 250, 10 KiB, {sessions} sessions"),
            &name,
            figures,
        );
    }
    println!(
        "{name}: memory {:.0} MiB",
        system.memory_bytes() as f64 / 1_048_576.0
    );
    system.reset()?;
    let figures = drain::run(system, if plan.quick { 2_000 } else { 20_000 })?;
    println!("{name}: drain: {figures}");
    table.add("drain after a flush, 10 KiB", &name, figures);
    system.stop()
}

impl Plan {
    fn from_arguments() -> Result<Self> {
        let mut plan = Self {
            quick: false,
            operators: false,
            growth: false,
            only: Vec::new(),
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => plan.quick = true,
                "--operators" => plan.operators = true,
                "--growth" => plan.growth = true,
                "--only" => plan.only.extend(arguments.next()),
                _ => bail!(
                    "usage: bench [--quick] [--operators | --growth | --only postfix|one|three...]"
                ),
            }
        }
        Ok(plan)
    }

    fn includes(&self, system: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == system)
    }

    /// How long one measurement is to run, about.
    fn span(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 8 })
    }
}
