//! What the disk itself can do, measured beside everything else.

use std::{
    io::{Seek, SeekFrom, Write},
    time::{Duration, Instant},
};

use anyhow::Result;

/// Messages of 10 KiB in one write and sync.
const BATCH: usize = 64;
const ROUNDS: usize = 100;

/// No server gathers more octets than this before it syncs them.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// How long the bound of one load is measured.
const BOUND_SPAN: Duration = Duration::from_millis(500);

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

/// Messages a second that nobody exceeds who writes each once: a batch of what all sessions can have under way is
/// appended to a file and synced, over and over.
pub(crate) fn bound(size: usize, sessions: usize) -> Result<f64> {
    let batch = (size * sessions).min(BATCH_BYTES_MAX.max(size));
    let octets = vec![0x58; batch];
    let mut file = tempfile::tempfile()?;
    let began = Instant::now();
    let mut written = 0;
    while began.elapsed() < BOUND_SPAN {
        file.write_all(&octets)?;
        file.sync_data()?;
        written += batch;
    }
    Ok(written as f64 / size as f64 / began.elapsed().as_secs_f64())
}
