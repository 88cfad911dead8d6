//! Does everything to a cluster that can happen to machines, while mail flows, and checks that no
//! acknowledged message is lost.
//!
//! ```text
//!   faults [--seed N] [--minutes M] [--nodes N] [--rounds N] [--only KIND]...
//!
//!   seed ─▶ Schedule ─▶ Nemesis ──────▶ World: nodes, network, disks, primary ─▶ Evidence
//!                          │              ▲ clients                                 │
//!                          └─▶ Ledger ◀───┘ ─────────────────────────────▶ judge ◀──┘
//! ```
//!
//! A seed decides all faults of a world of some rounds; the next seed follows until the minutes are
//! over. What this machine can not do is said to be skipped, and why. Exit 0 only without violation.
//! docs/reliability.md has the rest.

mod check;
mod clients;
mod dice;
mod fault;
mod ledger;
mod nemesis;
mod network;
mod orders;
mod report;
mod round;
mod schedule;
mod shell;
#[cfg(test)]
mod tests;
mod world;

use std::{env, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Result, ensure};
use harness::binaries;

use crate::{
    orders::Orders,
    report::Report,
    round::Play,
    world::{Wish, World},
};

fn main() -> Result<ExitCode> {
    let words: Vec<String> = env::args().skip(1).collect();
    let orders = Orders::parse(&words)?;
    ensure!(
        binaries::are_built(),
        "{} is not built",
        binaries::layoverd().display()
    );
    let began = Instant::now();
    let mut report = Report::default();
    let mut seed = orders.seed;
    while report.worlds == 0 || began.elapsed() < orders.time {
        run(&orders, seed, &mut report);
        seed += 1;
    }
    println!("\n{report}");
    Ok(if report.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One seed: a world of its own, and some rounds in it.
fn run(orders: &Orders, seed: u64, report: &mut Report) {
    let papers = papers(seed);
    let wish = Wish {
        nodes: orders.nodes,
        // In turn, so that both ways to catch up are tried.
        short_logs: !seed.is_multiple_of(2),
        fsync_lies: false,
    };
    let mut world = World::found(wish, &papers);
    if report.worlds == 0 {
        report::skipped(&world, &orders.kinds);
    }
    println!("seed {seed}: papers in {}", papers.display());
    let play = Play {
        seed,
        round_ms: orders.round_ms,
        kinds: orders.kinds.clone(),
    };
    for round in 0..orders.rounds {
        let findings = round::play(&mut world, &play, round);
        report.add(seed, round, findings);
    }
    // Their logs are judged already, and a panic would end the run before its report.
    world
        .cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.allow_error(""));
    report.worlds += 1;
}

/// Where a run writes what it is going to do and what came of it.
fn papers(seed: u64) -> PathBuf {
    env::temp_dir()
        .join("layover-faults")
        .join(format!("seed-{seed}"))
}
