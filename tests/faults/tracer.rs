//! `strace`, attached to a node, makes its system calls fail or last.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::{process, wait};
use rustix::process::Signal;

/// What forces data to the disk.
const SYNCS: &str = "fsync,fdatasync";

/// Attaching to every thread of a node takes less.
const ATTACHED: Duration = Duration::from_secs(10);

/// What is to happen to every fsync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// EIO, and nothing is forced to the disk.
    Fail,
    /// It lasts so many milliseconds longer.
    Delay(u64),
}

/// A running strace. Detached when dropped.
#[derive(Debug)]
pub(crate) struct Tracer {
    child: Child,
}

impl Tracer {
    /// Attaches to a process and all its threads.
    ///
    /// # Errors
    /// When strace is not there or may not do that.
    pub(crate) fn attach(pid: u32, harm: Harm) -> Result<Self, String> {
        let inject = match harm {
            Harm::Fail => format!("inject={SYNCS}:error=EIO"),
            Harm::Delay(ms) => format!("inject={SYNCS}:delay_enter={}", ms * 1000),
        };
        let child = Command::new("strace")
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={SYNCS}"),
            ])
            .args(["-e", &inject, "-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("strace: {error}"))?;
        let mut tracer = Self { child };
        let attached = wait::within(ATTACHED, || {
            let ended = tracer.child.try_wait().ok().flatten().is_some();
            (ended || is_traced(pid)).then_some(ended)
        });
        match attached {
            Some(false) => Ok(tracer),
            _ => Err(format!("strace could not attach to process {pid}")),
        }
    }
}

/// Whether every thread of a process has a tracer.
fn is_traced(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.filter_map(Result::ok).all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status"));
        status.map_or(true, |text| !text.contains("TracerPid:\t0"))
    })
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // On SIGTERM strace lets go of its threads; killed outright it would take them with it.
        process::signal(self.child.id(), Signal::TERM);
        if wait::within(ATTACHED, || self.child.try_wait().ok().flatten()).is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use harness::wait;

    use super::{Harm, Tracer};

    /// Forces a file to the disk until that fails.
    const SYNCS: &str = r#"
use IO::Handle;
open(my $file, ">", $ARGV[0]) or die;
while ($file->sync) { select(undef, undef, undef, 0.01) }
exit 7;
"#;

    #[test]
    fn an_fsync_fails_from_the_moment_it_is_told_to() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("perl")
            .args(["-e", SYNCS])
            .arg(directory.path().join("file"))
            .spawn()
            .unwrap();
        match Tracer::attach(child.id(), Harm::Delay(1)) {
            Ok(tracer) => drop(tracer),
            Err(why) => println!("skipped: {why}"),
        }
        assert!(child.try_wait().unwrap().is_none());
        match Tracer::attach(child.id(), Harm::Fail) {
            Ok(_tracer) => {
                let ended = wait::within(Duration::from_secs(10), || child.try_wait().unwrap());
                assert_eq!(ended.and_then(|status| status.code()), Some(7));
            }
            Err(why) => println!("skipped: {why}"),
        }
        drop(child.kill());
        drop(child.wait());
    }
}
