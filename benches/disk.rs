//! What the disk itself can do, measured beside everything else.

use std::{
    io::{Seek, SeekFrom, Write},
    time::{Duration, Instant},
};

use anyhow::Result;

/// Messages of 10 KiB in one write and sync.
const BATCH: usize = 64;
const ROUNDS: usize = 100;

/// Writes batches into a file and syncs each; says how long one takes.
pub(crate) fn probe() -> Result<String> {
    let mut file = tempfile::tempfile()?;
    let mut line = Vec::new();
    for size in [10 * 1024, BATCH * 10 * 1024] {
        let octets = vec![0x58; size];
        let mut times: Vec<Duration> = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.set_len(0)?;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            file.write_all(&octets)?;
            file.sync_data()?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let median = times
            .get(ROUNDS / 2)
            .copied()
            .unwrap_or_default()
            .as_secs_f64();
        let messages = size / (10 * 1024);
        line.push(format!(
            "{messages} x 10 KiB and fdatasync in {:.2} ms ({:.0} messages/s)",
            median * 1000.0,
            messages as f64 / median
        ));
    }
    Ok(line.join(", "))
}
