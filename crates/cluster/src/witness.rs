//! What members have been seen to acknowledge.
//!
//! Only a leader sees its followers acknowledge. It tells all of them with its heartbeats, its own log
//! included, so that the next leader, and everyone else who is asked, knows it too; and each keeps it in
//! a file, so that it is known after all of them were restarted. A node whose disk was put back to an
//! older copy is found out whoever leads by then.
//!
//! The file is written every few seconds and may lag by as much: it accuses nobody wrongly, and a copy of
//! a disk that is put back is older than that.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{disk, raft::LogId};

/// The file in the data directory: a line for each member.
pub(crate) const FILE: &str = "WITNESSED";

/// The last log entry that each member has been seen to acknowledge, as far as this node was told.
#[derive(Debug)]
pub(crate) struct Witness {
    file: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    members: BTreeMap<u64, LogId>,
    /// Whether the file says less.
    is_news: bool,
}

impl Witness {
    /// Reads what was known before the last restart. A file that makes no sense knows nothing.
    ///
    /// # Errors
    /// It can not be read.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let file = data_dir.join(FILE);
        let members = match fs::read(&file) {
            Ok(octets) => read(&String::from_utf8_lossy(&octets)).unwrap_or_else(|| {
                tracing::warn!(
                    file = %file.display(),
                    "this file is damaged, so less is known of what other members have \
                     acknowledged; it will be written again: check the disk"
                );
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let seen = Mutex::new(Seen {
            members,
            is_news: false,
        });
        Ok(Self { file, seen })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a leader has seen. An entry of a later term counts as more, whatever its index: what
    /// follows it in the log of an earlier one may have been cut off since.
    pub(crate) fn note(&self, told: impl IntoIterator<Item = (u64, LogId)>) {
        let mut seen = self.seen();
        for (member, log_id) in told {
            let last = seen.members.get(&member).copied();
            if last < Some(log_id) {
                seen.members.insert(member, log_id);
                seen.is_news = true;
            }
        }
    }

    /// What a member has been seen to acknowledge.
    pub(crate) fn of(&self, member: u64) -> Option<LogId> {
        self.seen().members.get(&member).copied()
    }

    /// Writes the file, if there is news, and forgets who is no member any more.
    ///
    /// # Errors
    /// It can not be written; it says then what it said before.
    pub(crate) fn save(&self, is_member: impl Fn(u64) -> bool) -> io::Result<()> {
        let mut seen = self.seen();
        if !std::mem::take(&mut seen.is_news) {
            return Ok(());
        }
        seen.members.retain(|member, _| is_member(*member));
        let text = written(&seen.members);
        drop(seen);
        disk::replace_synced(&self.file, &text).inspect_err(|_| self.seen().is_news = true)
    }
}

fn written(members: &BTreeMap<u64, LogId>) -> String {
    members.iter().fold(String::new(), |mut text, (id, last)| {
        let (term, index) = (last.leader_id.term, last.index);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "member {id} has acknowledged entry {index} of term {term}"
        );
        text
    })
}

fn read(text: &str) -> Option<BTreeMap<u64, LogId>> {
    text.lines().map(read_line).collect()
}

fn read_line(line: &str) -> Option<(u64, LogId)> {
    let rest = line.strip_prefix("member ")?;
    let (id, rest) = rest.split_once(" has acknowledged entry ")?;
    let (index, term) = rest.split_once(" of term ")?;
    let term: u64 = term.parse().ok()?;
    Some((
        id.parse().ok()?,
        LogId::new(term.into(), index.parse().ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(term: u64, index: u64) -> LogId {
        LogId::new(term.into(), index)
    }

    #[test]
    fn a_later_term_counts_as_more_and_nothing_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::open(dir.path()).unwrap();
        assert_eq!(witness.of(2), None);
        witness.note([(2, at(1, 9)), (3, at(1, 7))]);
        witness.note([(2, at(1, 8))]);
        assert_eq!(witness.of(2), Some(at(1, 9)));
        witness.note([(2, at(2, 5))]);
        witness.note([(2, at(1, 10))]);
        assert_eq!(witness.of(2), Some(at(2, 5)));
        assert_eq!(witness.of(3), Some(at(1, 7)));
    }

    #[test]
    fn what_was_saved_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::open(dir.path()).unwrap();
        witness.note([
            (2, at(1, 9)),
            (3, at(1, 7)),
            (u64::MAX, at(u64::MAX, u64::MAX)),
        ]);
        witness.save(|member| member != 3).unwrap();
        witness.note([(2, at(1, 10))]);
        let again = Witness::open(dir.path()).unwrap();
        assert_eq!(again.of(2), Some(at(1, 9)));
        assert_eq!(again.of(3), None, "it is no member any more");
        assert_eq!(again.of(u64::MAX), Some(at(u64::MAX, u64::MAX)));
    }

    #[test]
    fn nothing_is_written_without_news_and_what_failed_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        let witness = Witness::open(&folder).unwrap();
        witness.save(|_| true).unwrap();
        witness.note([(2, at(1, 9))]);
        witness.save(|_| true).unwrap_err();
        fs::create_dir(&folder).unwrap();
        witness.save(|_| true).unwrap();
        assert_eq!(Witness::open(&folder).unwrap().of(2), Some(at(1, 9)));
    }

    #[test]
    fn a_damaged_file_knows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let line = "member 2 has acknowledged entry 9 of term 1\n";
        for damage in ["", "member", "member 2 has acknowledged entry 9 of term \n"] {
            fs::write(dir.path().join(FILE), format!("{line}{damage}")).unwrap();
            let known = Witness::open(dir.path()).unwrap().of(2);
            assert_eq!(known.is_some(), damage.is_empty(), "{damage:?}");
        }
    }
}
