//! Whether there is room on the nodes' disks, and how long this node's takes to keep something.

use std::{
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cluster::{ClusterStatus, MemberStatus, Room};
use humansize::{BINARY, format_size};
use relay::doctor::{Check, Finding};

/// How often the disk is tried: one that is slow now and then does not count as slow.
const TRIES: usize = 20;

/// What is written each time: about what a small message is.
const BLOCK: [u8; 4096] = [0; 4096];

/// A message waits for two of these at least before its 250, and a disk that turns does one in 10 ms.
const SLOW: Duration = Duration::from_millis(50);

/// What is known of the members' disks.
pub(super) fn room(status: &ClusterStatus) -> Vec<Finding> {
    let members = status.members.iter();
    let of_member = |member: &MemberStatus| {
        let check = Check::of("disk", super::node(member.id));
        let is_own = member.id == status.node_id;
        match member.disk.or_else(|| is_own.then_some(status.disk)) {
            Some(room) => of_room(&check, room),
            None => check.skipped("the leader does not tell how much of its disk is free"),
        }
    };
    members.map(of_member).collect()
}

fn of_room(check: &Check, room: Room) -> Finding {
    let free = format_size(room.free_bytes, BINARY);
    if room.is_short {
        check.problem(format!(
            "{free} are free on its disk, less than [node] min_free_space: make room, or no mail is taken"
        ))
    } else if room.lacking_bytes > 0 {
        check.warning(format!(
            "{free} are free on its disk: {} more are needed to keep what is delivered for `layover replay`",
            format_size(room.lacking_bytes, BINARY)
        ))
    } else {
        check.fine(format!("{free} are free on its disk"))
    }
}

/// Tries how long it takes until something is on the disk that the spool is on.
pub(super) async fn sync(data_dir: PathBuf, check: Check) -> Vec<Finding> {
    // A disk may take as long as it likes; whoever waits for this gives up some time.
    let tried = tokio::task::spawn_blocking(move || tried(&data_dir)).await;
    let finding = match tried.map_err(io::Error::other) {
        Ok(Ok(mut times)) => of_times(&check, &mut times),
        Ok(Err(error)) | Err(error) => check.problem(format!(
            "writing to the disk of data_dir failed: {error}; look after it"
        )),
    };
    vec![finding]
}

/// The file has no name, so that nothing is left of it, whatever happens.
fn tried(directory: &Path) -> io::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile_in(directory)?;
    let mut times = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let began = Instant::now();
        file.rewind()?;
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

fn of_times(check: &Check, times: &mut [Duration]) -> Finding {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let words = format!(
        "the disk of data_dir takes {:.1} ms to keep a block (fsync)",
        median.as_secs_f64() * 1000.0
    );
    if median > SLOW {
        check.warning(format!(
            "{words}, and each message waits for that: use a disk with a cache that outlives a power failure"
        ))
    } else {
        check.fine(words)
    }
}

#[cfg(test)]
mod tests {
    use relay::doctor::Verdict;

    use super::*;

    #[test]
    fn a_disk_is_judged_by_what_is_free() {
        for (is_short, lacking_bytes, expected) in [
            (false, 0, Verdict::Fine),
            (false, 1, Verdict::Warning),
            (true, 1, Verdict::Problem),
        ] {
            let room = Room {
                free_bytes: 1 << 30,
                is_short,
                lacking_bytes,
            };
            let found = of_room(&Check::of("disk", "node 1"), room);
            assert_eq!(found.verdict, expected);
            assert!(found.text.starts_with("1 GiB are free"), "{found:?}");
        }
    }

    #[test]
    fn one_slow_try_does_not_make_a_slow_disk() {
        let check = Check::of("fsync", "node 1");
        let mut times = [1, 1, 900].map(Duration::from_millis);
        assert_eq!(of_times(&check, &mut times).verdict, Verdict::Fine);
        let mut times = [90, 1, 900].map(Duration::from_millis);
        assert_eq!(of_times(&check, &mut times).verdict, Verdict::Warning);
    }

    #[test]
    fn a_real_disk_is_tried_and_nothing_is_left_there() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(tried(directory.path()).unwrap().len(), TRIES);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(tried(&directory.path().join("gone")).is_err());
    }
}
