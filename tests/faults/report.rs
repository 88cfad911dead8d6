//! The figures of a run.

use std::fmt;

use crate::{check::Findings, fault::Kind, world::World};

/// Everything that came out so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) worlds: u64,
    pub(crate) violations: Vec<String>,
    rounds: u64,
    acknowledged: usize,
    arrived: usize,
    refused: usize,
    sent_again: usize,
    repeated: usize,
    repeated_by_one_fault: usize,
    stepped_aside: usize,
    gaps_ms: Vec<u64>,
}

impl Report {
    /// Adds a round, and says how it went.
    pub(crate) fn add(&mut self, seed: u64, round: u64, findings: Findings) {
        println!(
            "seed {seed}, round {round}: {} acknowledged, {} arrived, {} refused, {} sent again, {} \
             delivered again, {} violations; leaders replaced after {:?} ms",
            findings.acknowledged,
            findings.arrived,
            findings.refused,
            findings.sent_again,
            findings.repeated,
            findings.violations.len(),
            findings.gaps_ms,
        );
        for violation in &findings.violations {
            println!("  VIOLATION: {violation}");
        }
        let named = |violation| format!("seed {seed}, round {round}: {violation}");
        self.violations
            .extend(findings.violations.into_iter().map(named));
        self.rounds += 1;
        self.acknowledged += findings.acknowledged;
        self.arrived += findings.arrived;
        self.refused += findings.refused;
        self.sent_again += findings.sent_again;
        self.repeated += findings.repeated;
        let most = self
            .repeated_by_one_fault
            .max(findings.repeated_by_one_fault);
        self.repeated_by_one_fault = most;
        self.stepped_aside += findings.stepped_aside;
        self.gaps_ms.extend(findings.gaps_ms);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gaps = self.gaps_ms.clone();
        gaps.sort_unstable();
        let median = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
        let worst = gaps.last().copied().unwrap_or(0);
        writeln!(f, "{} seeds, {} rounds", self.worlds, self.rounds)?;
        writeln!(f, "{:>8} messages acknowledged", self.acknowledged)?;
        writeln!(f, "{:>8} of them arrived", self.arrived)?;
        writeln!(f, "{:>8} refused for good", self.refused)?;
        writeln!(
            f,
            "{:>8} copies by clients that sent again",
            self.sent_again
        )?;
        writeln!(
            f,
            "{:>8} deliveries made again, {} by one fault at most",
            self.repeated, self.repeated_by_one_fault
        )?;
        writeln!(f, "{:>8} messages stepped aside", self.stepped_aside)?;
        writeln!(
            f,
            "{:>8} leaders replaced; no 250 for {median} ms in the median, {worst} ms at worst",
            gaps.len()
        )?;
        writeln!(f, "{:>8} violations", self.violations.len())?;
        let mut violations = self.violations.iter();
        violations.try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}

/// Says what can not be done here.
pub(crate) fn skipped(world: &World, kinds: &[Kind]) {
    for kind in kinds.iter().filter(|&&kind| !world.can(kind)) {
        let lack = world
            .lacks
            .iter()
            .find(|(need, _)| kind.needs() == Some(*need));
        let why = lack.map_or("", |(_, why)| why);
        println!("skipped: {}: {why}", kind.name());
    }
}
