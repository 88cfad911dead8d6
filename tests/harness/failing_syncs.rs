//! A disk that fails or is slow on order: what system calls of one process do is changed.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use crate::{process, wait};

/// `strace` has attached to every thread of a node within this time, and let go of it.
const ATTACHED: Duration = Duration::from_secs(10);

/// What forces data to the disk.
const SYNCS: &str = "fdatasync,fsync";

/// What is to happen to every such call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// EIO, and nothing is forced to the disk.
    Fail,
    /// It lasts so many milliseconds longer.
    Delay(u64),
}

/// Every fdatasync and fsync of one process fails or is slow, until this is dropped.
#[derive(Debug)]
pub struct FailingSyncs {
    strace: Child,
}

impl FailingSyncs {
    /// Lets them fail, from the process's next call on. `None`, and a line that says so, where there
    /// is no `strace` or it may not trace.
    #[must_use]
    pub fn begin(pid: u32) -> Option<Self> {
        let begun = Self::harm(pid, Harm::Fail);
        begun.inspect_err(|why| println!("skipped: {why}")).ok()
    }

    /// Does harm to them, from the process's next call on.
    ///
    /// # Errors
    /// When there is no `strace` or it may not trace.
    pub fn harm(pid: u32, harm: Harm) -> Result<Self, String> {
        let what = match harm {
            Harm::Fail => "error=EIO".to_owned(),
            Harm::Delay(ms) => format!("delay_enter={}", ms * 1000),
        };
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null"])
            .args(["-e", &format!("trace={SYNCS}")])
            .args(["-e", &format!("inject={SYNCS}:{what}")])
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("strace can not be started, is it installed? {error}"))?;
        let mut failing = Self { strace };
        let traced = wait::within(ATTACHED, || {
            let ended = failing.strace.try_wait().ok().flatten().is_some();
            (ended || process::is_traced(pid)).then_some(!ended)
        });
        if traced == Some(true) {
            Ok(failing)
        } else {
            Err("strace may not trace other processes here; run the tests as root".to_owned())
        }
    }
}

impl Drop for FailingSyncs {
    fn drop(&mut self) {
        // Told to end, strace lets go of each thread where it can go on by itself.
        process::signal(self.strace.id(), Signal::TERM);
        if wait::within(ATTACHED, || self.strace.try_wait().ok().flatten()).is_none() {
            drop(self.strace.kill());
            drop(self.strace.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use super::{FailingSyncs, Harm};
    use crate::wait;

    /// Forces a file to the disk until that fails.
    const SYNCING: &str = r#"
use IO::Handle;
open(my $file, ">", $ARGV[0]) or die;
while ($file->sync) { select(undef, undef, undef, 0.01) }
exit 7;
"#;

    #[test]
    fn an_fsync_fails_from_the_moment_it_is_told_to_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("perl")
            .args(["-e", SYNCING])
            .arg(directory.path().join("file"))
            .spawn()
            .unwrap();
        match FailingSyncs::harm(child.id(), Harm::Delay(1)) {
            Ok(slow) => drop(slow),
            Err(why) => println!("skipped: {why}"),
        }
        assert!(child.try_wait().unwrap().is_none());
        if let Some(_failing) = FailingSyncs::begin(child.id()) {
            let ended = wait::within(Duration::from_secs(10), || child.try_wait().unwrap());
            assert_eq!(ended.and_then(|status| status.code()), Some(7));
        }
        drop(child.kill());
        drop(child.wait());
    }
}
