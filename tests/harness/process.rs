//! How a process is started and signalled, and what it costs, from `/proc`.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that is not built specially.
const TICKS_PER_SECOND: u64 = 100;

/// The start of a program, by way of another one when there is a `launcher`.
pub(crate) fn launch(launcher: &[String], program: &Path) -> Command {
    let Some((first, further)) = launcher.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(further).arg(program);
    command
}

/// Sends a signal to one process; one that is gone already is left in peace.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _gone = kill_process(pid, signal);
    }
}

/// Whether a process has said what it does at a signal: until then the signal just ends it.
#[must_use]
pub fn catches(pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
}

/// Resident memory, in bytes.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    field_kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The highest resident memory so far, in bytes.
#[must_use]
pub fn resident_bytes_max(pid: u32) -> Option<u64> {
    field_kib(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// Memory with shared pages divided among those who share them, in bytes.
#[must_use]
pub fn proportional_bytes(pid: u32) -> Option<u64> {
    field_kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Octets that a process has had written to disks so far.
#[must_use]
pub fn written_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("write_bytes: "))?;
    line.trim().parse().ok()
}

/// The same of a process and all below it; the kernel counts those in that it has waited for.
#[must_use]
pub fn written_bytes_of_family(pid: Option<u32>) -> u64 {
    let family = pid.map(family).unwrap_or_default();
    family.into_iter().filter_map(written_bytes).sum()
}

/// Memory of a process and all below it, shared pages counted once, in bytes.
#[must_use]
pub fn proportional_bytes_of_family(pid: Option<u32>) -> u64 {
    let family = pid.map(family).unwrap_or_default();
    family.into_iter().filter_map(proportional_bytes).sum()
}

/// How many files and sockets a process holds open.
#[must_use]
pub fn open_files(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Whether every thread of a process is traced: its system calls can be tampered with.
#[must_use]
pub fn is_traced(pid: u32) -> bool {
    let tracers = of_threads(pid, "TracerPid:");
    !tracers.is_empty() && tracers.iter().all(|tracer| tracer != "0")
}

/// Whether no thread of a process runs any more, as it was stopped or has ended. A signal that stops a
/// process is taken by one thread, and the others go on until that one has had its turn.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    let states = of_threads(pid, "State:");
    states
        .iter()
        .all(|state| state.starts_with(['T', 't', 'Z']))
}

/// A field of each thread's status; empty where a thread has just ended.
fn of_threads(pid: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let value = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        value.unwrap_or_default().trim().to_owned()
    };
    threads.map(value).collect()
}

/// User and system time of a process and of all below it, those included that it has waited for.
#[must_use]
pub fn cpu_time(pid: u32) -> Duration {
    let ticks: u64 = family(pid).into_iter().filter_map(ticks).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// A process and all that descend from it.
#[must_use]
pub fn family(pid: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = BTreeSet::from([pid]);
    loop {
        let before = found.len();
        for (child, parent) in &parents {
            if found.contains(parent) {
                found.insert(*child);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The fields of `stat` behind the name, which is in parentheses and may hold anything.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(
        fields
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0))
            .collect(),
    )
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?
        .get(1)
        .and_then(|&parent| u32::try_from(parent).ok())
}

/// utime, stime, cutime, cstime: fields 14 to 17 of proc(5), the first two of which are cut off.
fn ticks(pid: u32) -> Option<u64> {
    Some(stat(pid)?.get(11..15)?.iter().sum())
}

fn field_kib(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
