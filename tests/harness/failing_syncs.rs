//! A disk that fails on order: system calls of one process are made to end with an error.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{process, wait};

/// `strace` has attached to every thread of a node within this time.
const ATTACHED: Duration = Duration::from_secs(10);

/// Every fdatasync and fsync of one process fails with EIO, until this is dropped.
#[derive(Debug)]
pub struct FailingSyncs {
    strace: Child,
}

impl FailingSyncs {
    /// Begins with the process's next call. `None`, and a line that says so, where there is no
    /// `strace` or it may not trace.
    #[must_use]
    pub fn begin(pid: u32) -> Option<Self> {
        let spawned = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null"])
            .args(["-e", "trace=fdatasync,fsync"])
            .args(["-e", "inject=fdatasync,fsync:error=EIO"])
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(strace) = spawned else {
            println!("skipped: there is no strace here; install it");
            return None;
        };
        let mut failing = Self { strace };
        let traced = wait::within(ATTACHED, || {
            let ended = failing.strace.try_wait().ok().flatten().is_some();
            (ended || process::is_traced(pid)).then_some(!ended)
        });
        if traced != Some(true) {
            println!("skipped: strace may not trace other processes here; run the tests as root");
            return None;
        }
        Some(failing)
    }
}

impl Drop for FailingSyncs {
    fn drop(&mut self) {
        drop(self.strace.kill());
        drop(self.strace.wait());
    }
}
