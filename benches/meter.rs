//! What a measurement costs the system under test.

use std::time::{Duration, Instant};

use crate::{figures::Figures, system::System};

/// What a system had used when a measurement began.
#[derive(Debug)]
pub(crate) struct Meter {
    began: Instant,
    cpu_time: Duration,
    written: u64,
}

impl Meter {
    /// Begins now.
    pub(crate) fn start(system: &dyn System) -> Self {
        Self {
            cpu_time: system.cpu_time(),
            written: system.written_bytes(),
            began: Instant::now(),
        }
    }

    /// Ends now: `count` messages of `size` octets are done.
    pub(crate) fn figures(&self, system: &dyn System, count: usize, size: usize) -> Figures {
        let elapsed = self.began.elapsed().as_secs_f64();
        let cpu = system
            .cpu_time()
            .saturating_sub(self.cpu_time)
            .as_secs_f64();
        let written = system.written_bytes().saturating_sub(self.written);
        let accepted = count * size * system.hosts().len();
        Figures {
            per_second: count as f64 / elapsed,
            cpu_ms: cpu * 1000.0 / count.max(1) as f64,
            written: (size > 0).then(|| written as f64 / accepted as f64),
            of_bound: None,
        }
    }
}
