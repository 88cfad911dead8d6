//! The figures side by side, and as ratios to Postfix's.

use std::{collections::BTreeMap, fmt};

use crate::figures::{Figures, Latency};

/// Rows in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<String>,
    cells: BTreeMap<(usize, String), Cell>,
    systems: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Cell {
    Rate(Figures),
    Time(Latency),
}

impl Table {
    /// Adds a rate, and shows it.
    pub(crate) fn add(&mut self, row: &str, system: &str, figures: Figures) {
        self.put(row, system, Cell::Rate(figures));
    }

    /// Adds a time, and shows it.
    pub(crate) fn add_latency(&mut self, row: &str, system: &str, latency: Latency) {
        self.put(row, system, Cell::Time(latency));
    }

    fn put(&mut self, row: &str, system: &str, cell: Cell) {
        println!("{system}: {row}: {}", cell.text());
        let place = self
            .rows
            .iter()
            .position(|known| known == row)
            .unwrap_or_else(|| {
                self.rows.push(row.to_owned());
                self.rows.len() - 1
            });
        if !self.systems.iter().any(|known| known == system) {
            self.systems.push(system.to_owned());
        }
        self.cells.insert((place, system.to_owned()), cell);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| measured | {} |", self.systems.join(" | "))?;
        writeln!(f, "| --- |{}", " --- |".repeat(self.systems.len()))?;
        for (place, row) in self.rows.iter().enumerate() {
            write!(f, "| {row} |")?;
            let first = self.systems.first();
            let base = first.and_then(|system| self.cells.get(&(place, system.clone())));
            for (column, system) in self.systems.iter().enumerate() {
                match (self.cells.get(&(place, system.clone())), base) {
                    (Some(cell), Some(base)) if column > 0 => {
                        write!(f, " {} ({}) |", cell.text(), cell.ratio(base))?;
                    }
                    (Some(cell), _) => write!(f, " {} |", cell.text())?,
                    (None, _) => write!(f, " |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Rate(figures) => figures.to_string(),
            Self::Time(latency) => latency.to_string(),
        }
    }

    /// How it compares with the first column.
    fn ratio(&self, base: &Self) -> String {
        match (self, base) {
            (Self::Rate(ours), Self::Rate(base)) => format!(
                "rate x {:.2}, CPU x {:.2}",
                ours.per_second / base.per_second,
                ours.cpu_ms / base.cpu_ms
            ),
            (Self::Time(ours), Self::Time(base)) => {
                let ratio = ours.p50.as_secs_f64() / base.p50.as_secs_f64();
                format!("p50 x {ratio:.2}")
            }
            _ => String::new(),
        }
    }
}
