//! Snapshots from one store to another.

use std::{fs, io, path::Path, time::Duration};

use openraft::storage::RaftStateMachine as _;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::{
    raft::Vote,
    store::{Checkpoint, HeldFiles, Incoming, Part, SnapshotData, files, present::Store},
};

/// A store with two messages, one of which has left, and a body that is still arriving.
async fn sender() -> Opened {
    let mut from = Opened::new();
    from.commit(vec![
        entry(1, stage(9, 0, b"first ")),
        entry(2, accept(9, 1, 10, b"last")),
        entry(3, accept(8, 0, 5, b"other")),
        entry(4, delivered(8)),
        entry(5, stage(6, 0, b"under way")),
    ])
    .await;
    from
}

/// What the state machine says is to be sent.
pub(super) async fn snapshot_of(from: &Opened) -> SnapshotData {
    let current = from.machine().get_current_snapshot().await.unwrap();
    current.unwrap().snapshot
}

fn checkpoint_of(from: &Opened) -> Arc<Checkpoint> {
    let checkpoints = Arc::new(Checkpoints::of(Arc::clone(&from.tables)));
    checkpoints.new_copy().unwrap().checkpoint().unwrap()
}

pub(super) async fn install(to: &Opened, snapshot: SnapshotData) {
    let meta = to.machine().get_current_snapshot().await.unwrap();
    let meta = meta.map(|snapshot| snapshot.meta).unwrap_or_default();
    to.machine()
        .install_snapshot(&meta, snapshot)
        .await
        .unwrap();
}

fn ids(opened: &Opened) -> Vec<u128> {
    let messages = opened.messages();
    messages.iter().map(|message| message.id.0).collect()
}

/// All parts that a receiver gets who holds this.
fn parts(checkpoint: &Arc<Checkpoint>, held: HeldFiles) -> Vec<Part> {
    let checkpoint = Arc::clone(checkpoint);
    let read = move || {
        let mut parts = checkpoint.parts(held).unwrap();
        std::iter::from_fn(|| parts.blocking_recv().map(Result::unwrap)).collect()
    };
    std::thread::spawn(read).join().unwrap()
}

fn octets(parts: &[Part]) -> u64 {
    let octets = parts.iter().map(|part| match part {
        Part::Octets(octets) => octets.len() as u64,
        _ => 0,
    });
    octets.sum()
}

async fn begin(to: &Opened, checkpoint: &Checkpoint) -> (Incoming, HeldFiles) {
    begin_with(to, checkpoint.files()).await.unwrap()
}

async fn begin_with(to: &Opened, files: &[files::Listed]) -> io::Result<(Incoming, HeldFiles)> {
    let store: Arc<Store> = Arc::clone(to.tables.store());
    let place = store.receiving().take_over(Vote::new(0, 0)).await.unwrap();
    Incoming::begin(store, place, files.to_vec())
}

/// A file to be listed that no database has.
fn listed(name: &str, size: u64) -> files::Listed {
    let name = name.to_owned();
    files::Listed { name, size }
}

fn file(name: &str, from: u64) -> Part {
    let name = name.to_owned();
    Part::File { name, from }
}

/// The databases and parts of databases in the data directory.
fn databases(opened: &Opened) -> Vec<String> {
    let entries = fs::read_dir(opened.dir.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_tables_and_bodies_and_leaves_what_nothing_refers_to() {
    let (mut from, mut to) = (sender().await, Opened::new());
    to.commit(vec![entry(1, accept(5, 0, 5, b"stale"))]).await;
    // In the sender's log and not applied: not part of the snapshot.
    from.append(vec![entry(6, accept(4, 0, 3, b"new"))]).await;
    let snapshot = snapshot_of(&from).await;
    assert_eq!(ids(&to), [5], "nothing changes before it is installed");
    install(&to, snapshot).await;

    assert_eq!(to.tables.applied().unwrap(), Some(log_id(5)));
    assert_eq!(to.tables.dump(), from.tables.dump());
    assert_eq!(ids(&to), [9]);
    let pieces: Vec<_> = (1..=6)
        .map(|index| to.tables.piece(index).unwrap())
        .collect();
    let expected: [Option<&[u8]>; 6] = [
        Some(b"first "),
        Some(b"last"),
        None,
        None,
        Some(b"under way"),
        None,
    ];
    assert_eq!(pieces, expected.map(|piece| piece.map(<[u8]>::to_vec)));
    let state = to.log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(5)));
    assert_eq!(state.last_log_id, Some(log_id(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_installed_is_there_after_a_restart_and_the_former_database_is_gone() {
    let (from, mut to) = (sender().await, Opened::new());
    to.commit(vec![entry(1, accept(5, 0, 5, b"stale"))]).await;
    install(&to, snapshot_of(&from).await).await;
    assert_eq!(databases(&to).len(), 1, "{:?}", databases(&to));
    let mut to = to.reopened();
    assert_eq!(to.tables.dump(), from.tables.dump());
    assert_eq!(databases(&to).len(), 1, "{:?}", databases(&to));
    let state = to.log.get_log_state().await.unwrap();
    assert_eq!(state.last_log_id, Some(log_id(5)));
    // It goes on from there.
    to.commit(vec![entry(6, accept(4, 0, 3, b"new"))]).await;
    assert_eq!(ids(&to), [9, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vote_is_the_receivers_own() {
    let (mut from, mut to) = (sender().await, Opened::new());
    from.log
        .save_vote(&Vote::new_committed(7, 1))
        .await
        .unwrap();
    let vote = Vote::new(3, 2);
    to.log.save_vote(&vote).await.unwrap();
    install(&to, snapshot_of(&from).await).await;
    assert_eq!(to.log.read_vote().await.unwrap(), Some(vote));
    let mut to = to.reopened();
    assert_eq!(to.log.read_vote().await.unwrap(), Some(vote));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_longer_than_the_snapshot_keeps_its_end() {
    let (from, mut to) = (sender().await, Opened::new());
    let log: Vec<Entry> = vec![
        entry(1, stage(9, 0, b"first ")),
        entry(2, accept(9, 1, 10, b"last")),
        entry(3, accept(8, 0, 5, b"other")),
        entry(4, delivered(8)),
        entry(5, stage(6, 0, b"under way")),
        entry(6, accept(4, 0, 3, b"new")),
        Entry::new_blank(log_id(7)),
    ];
    to.append(log.clone()).await;
    install(&to, snapshot_of(&from).await).await;
    assert_eq!(to.read(0, 9).await, log[5..]);
    let mut to = to.reopened();
    assert_eq!(to.read(0, 9).await, log[5..]);
    let state = to.log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(5)));
    assert_eq!(state.last_log_id, Some(log_id(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_in_the_former_database() {
    let (from, mut to) = (sender().await, Opened::new());
    to.commit(vec![entry(1, accept(5, 0, 5, b"stale"))]).await;
    let former = to.tables.now();
    install(&to, snapshot_of(&from).await).await;
    let key = former.keys().message(1);
    let read = former.get(super::super::open::Column::Spool, key).unwrap();
    assert!(read.is_some());
    assert_eq!(databases(&to).len(), 2);
    drop(former);
    assert_eq!(databases(&to).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_breaks_off_anywhere_goes_on_where_it_was() {
    let (from, to) = (sender().await, Opened::new());
    let checkpoint = checkpoint_of(&from);
    let (_, held) = begin(&to, &checkpoint).await;
    let count = parts(&checkpoint, held).len();
    assert!(count > 10, "{count}");
    for stop in 0..count {
        let to = Opened::new();
        let (mut incoming, held) = begin(&to, &checkpoint).await;
        let first = parts(&checkpoint, held);
        for part in first.iter().take(stop) {
            incoming.take(part.clone()).unwrap();
        }
        let brought = incoming.received();
        drop(incoming);
        // The receiver was restarted, too.
        let to = to.reopened();
        let (mut incoming, held) = begin(&to, &checkpoint).await;
        let rest = parts(&checkpoint, held);
        assert_eq!(octets(&rest), octets(&first) - brought, "stopped at {stop}");
        for part in rest {
            incoming.take(part).unwrap();
        }
        assert!(incoming.kept() >= brought);
        let received = incoming.finish().unwrap();
        install(&to, SnapshotData::Received(Box::new(received))).await;
        assert_eq!(to.tables.dump(), from.tables.dump(), "stopped at {stop}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_snapshot_brings_only_what_is_new() {
    let (mut from, to) = (sender().await, Opened::new());
    let body: &'static [u8] = vec![b'x'; 300_000].leak();
    from.commit(vec![entry(6, accept(3, 0, 300_000, body))])
        .await;
    let first = checkpoint_of(&from);
    install(&to, snapshot_of(&from).await).await;
    from.commit(vec![entry(7, accept(4, 0, 3, b"new"))]).await;
    let second = checkpoint_of(&from);
    let (mut incoming, held) = begin(&to, &second).await;
    let parts = parts(&second, held);
    let size = |checkpoint: &Checkpoint| checkpoint.files().iter().map(|f| f.size).sum::<u64>();
    assert!(octets(&parts) < size(&first) / 2, "{}", octets(&parts));
    parts
        .into_iter()
        .for_each(|part| incoming.take(part).unwrap());
    let received = incoming.finish().unwrap();
    install(&to, SnapshotData::Received(Box::new(received))).await;
    assert_eq!(to.tables.dump(), from.tables.dump());
    assert_eq!(to.tables.piece(6).unwrap().as_deref(), Some(body));
    // The files that it gave to the snapshot were its own: they are still whole.
    let to = to.reopened();
    assert_eq!(to.tables.piece(6).unwrap().as_deref(), Some(body));
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_changed_on_the_way_are_refused_and_asked_for_again() {
    let (from, to) = (sender().await, Opened::new());
    let checkpoint = checkpoint_of(&from);
    let (mut incoming, held) = begin(&to, &checkpoint).await;
    let mut refused = None;
    let mut changed = false;
    for part in parts(&checkpoint, held) {
        let part = match part {
            Part::Octets(octets) if !changed && octets.len() > 100 => {
                changed = true;
                let mut octets = octets.to_vec();
                octets[50] ^= 1;
                Part::Octets(octets.into())
            }
            part => part,
        };
        if let Err(error) = incoming.take(part) {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    assert!(
        refused.to_string().contains("not what was sent"),
        "{refused}"
    );
    drop(incoming);
    let (mut incoming, held) = begin(&to, &checkpoint).await;
    for part in parts(&checkpoint, held) {
        incoming.take(part).unwrap();
    }
    incoming.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_lacks_a_file_is_not_opened() {
    let (from, to) = (sender().await, Opened::new());
    let checkpoint = checkpoint_of(&from);
    let (mut incoming, held) = begin(&to, &checkpoint).await;
    let all = parts(&checkpoint, held);
    let last = all
        .iter()
        .rposition(|part| matches!(part, Part::File { .. }));
    for part in &all[..last.unwrap()] {
        incoming.take(part.clone()).unwrap();
    }
    let refused = incoming.finish().unwrap_err();
    assert!(refused.to_string().contains("did not come"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_leads_out_of_the_directory_is_refused() {
    let to = Opened::new();
    for name in [
        "",
        "..",
        "../CURRENT",
        "a/b",
        ".hidden",
        "/etc/passwd",
        "a b",
    ] {
        let refused = begin_with(&to, &[listed(name, 1)]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_without_room_is_refused_and_nothing_of_it_stays() {
    let (from, to) = (sender().await, Opened::new());
    let checkpoint = checkpoint_of(&from);
    drop(begin(&to, &checkpoint).await);
    assert_eq!(databases(&to), ["db", "incoming"]);
    for sizes in [[u64::MAX / 2, 1], [u64::MAX, u64::MAX]] {
        let files = [
            listed("000001.sst", sizes[0]),
            listed("000002.sst", sizes[1]),
        ];
        let refused = begin_with(&to, &files).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert_eq!(databases(&to), ["db"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_octets_than_were_listed_are_refused_and_not_written() {
    let to = Opened::new();
    let (mut incoming, _) = begin_with(&to, &[listed("000099.sst", 3)]).await.unwrap();
    incoming.take(file("000099.sst", 0)).unwrap();
    incoming
        .take(Part::Octets(Bytes::from_static(b"ab")))
        .unwrap();
    let more = Part::Octets(Bytes::from_static(b"cd"));
    let refused = incoming.take(more).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    assert!(refused.to_string().contains("longer"), "{refused}");
    let path = to.dir.path().join("incoming/000099.sst");
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_present_database_is_never_written_to() {
    let mut to = Opened::new();
    to.commit(vec![entry(1, accept(5, 0, 5, b"stale"))]).await;
    let checkpoint = checkpoint_of(&to);
    let (mut incoming, held) = begin(&to, &checkpoint).await;
    let shared = checkpoint.files().iter().find(|file| {
        file.name.ends_with(".sst") && held.get(&file.name).is_some_and(|h| h.size == file.size)
    });
    let files::Listed { name, size } = shared.unwrap();
    let present = to.tables.store().directory().present().join(name);
    let before = fs::read(&present).unwrap();
    incoming.take(file(name, *size)).unwrap();
    let more = Part::Octets(Bytes::from_static(b"more"));
    incoming.take(more).unwrap_err();
    assert_eq!(fs::read(&present).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_database_do_not_stay() {
    let to = Opened::new();
    let (mut incoming, _) = begin_with(&to, &[listed("000099.sst", 4)]).await.unwrap();
    incoming.take(file("000099.sst", 0)).unwrap();
    incoming
        .take(Part::Octets(Bytes::from_static(b"junk")))
        .unwrap();
    let sum = Sha256::digest(b"junk").into();
    incoming.take(Part::FileEnd(sum)).unwrap();
    incoming.finish().unwrap_err();
    assert_eq!(databases(&to), ["db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_switch_leaves_the_former_database() {
    let (from, mut to) = (sender().await, Opened::new());
    to.commit(vec![entry(1, accept(5, 0, 5, b"stale"))]).await;
    let checkpoint = checkpoint_of(&from);
    let (mut incoming, held) = begin(&to, &checkpoint).await;
    for part in parts(&checkpoint, held) {
        incoming.take(part).unwrap();
    }
    let received = incoming.finish().unwrap();
    // The process is gone: nothing that it would still do is done.
    let copy: TempDir = tempfile::tempdir().unwrap();
    for name in databases(&to) {
        copy_all(&to.dir.path().join(&name), &copy.path().join(&name));
    }
    drop(received);
    let to = Opened::at(copy);
    assert_eq!(ids(&to), [5]);
    assert_eq!(databases(&to), ["db"]);
}

/// Copies a database that is open. It takes files away in the background, so the copy is as it was at
/// one moment only if the same files were there before and after.
fn copy_all(from: &Path, to: &Path) {
    let names = || -> BTreeSet<_> {
        let entries = fs::read_dir(from).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    for _ in 0..100 {
        let before = names();
        drop(fs::remove_dir_all(to));
        fs::create_dir(to).unwrap();
        let copied = before
            .iter()
            .all(|name| fs::copy(from.join(name), to.join(name)).is_ok());
        if copied && names() == before {
            return;
        }
    }
    panic!("the files of {} never stood still", from.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_not_installed_goes() {
    let (from, to) = (sender().await, Opened::new());
    let checkpoint = checkpoint_of(&from);
    let (mut incoming, held) = begin(&to, &checkpoint).await;
    for part in parts(&checkpoint, held) {
        incoming.take(part).unwrap();
    }
    drop(incoming.finish().unwrap());
    // On another thread, because it takes a while.
    for _ in 0..1000 {
        if databases(&to) == ["db"] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(databases(&to), ["db"]);
    drop(checkpoint);
    assert_eq!(databases(&from), ["db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_copy_serves_every_try_until_the_log_has_left_it_behind() {
    let mut from = sender().await;
    let checkpoints = Arc::new(Checkpoints::of(Arc::clone(&from.tables)));
    let first = checkpoints.kept_or_new(None).unwrap().checkpoint().unwrap();
    let again = checkpoints.kept_or_new(Some(log_id(5))).unwrap();
    assert!(Arc::ptr_eq(&first, &again.checkpoint().unwrap()));
    assert!(checkpoints.is_sending(Duration::ZERO));
    from.commit(vec![entry(6, accept(4, 0, 3, b"new"))]).await;
    let next = checkpoints.kept_or_new(Some(log_id(6))).unwrap();
    assert_eq!(next.meta().last_log_id, Some(log_id(6)));
    let next = next.checkpoint().unwrap();
    assert!(!Arc::ptr_eq(&first, &next));
    drop((first, next));
    assert!(!checkpoints.is_sending(Duration::ZERO));
    checkpoints.forget(Duration::ZERO);
    assert_eq!(databases(&from), ["db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_disk_has_damaged_is_not_sent_to_another() {
    let from = sender().await;
    // What is in memory is written to files.
    drop(checkpoint_of(&from));
    let files = fs::read_dir(from.dir.path().join("db")).unwrap();
    let tables = files.map(|file| file.unwrap().path());
    let tables: Vec<_> = tables
        .filter(|file| file.extension().is_some_and(|ending| ending == "sst"))
        .collect();
    let mut refused = 0;
    for table in &tables {
        let checkpoints = Arc::new(Checkpoints::of(Arc::clone(&from.tables)));
        let copy = checkpoints.new_copy().unwrap();
        let whole = fs::read(table).unwrap();
        let mut damaged = whole.clone();
        // In the first block of keys and values.
        damaged[2] ^= 0x40;
        fs::write(table, damaged).unwrap();
        if let Err(error) = copy.checkpoint() {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            assert_eq!(checkpoints.damage(), Some(error.to_string().as_str()));
            refused += 1;
        }
        fs::write(table, whole).unwrap();
    }
    // Bodies are in none of them, and have digests of their own.
    assert!(refused >= 3 && refused == tables.len(), "{refused}");
    assert_eq!(databases(&from), ["db"], "nothing of it stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_only_offered_neither_stays_nor_holds_the_log() {
    let now = Duration::ZERO;
    let from = sender().await;
    let checkpoints = Arc::new(Checkpoints::of(Arc::clone(&from.tables)));
    drop(checkpoints.kept_or_new(None).unwrap().checkpoint().unwrap());
    let offered = checkpoints.kept_or_new(Some(log_id(5))).unwrap();
    assert!(!checkpoints.is_sending(now));
    checkpoints.forget(now);
    assert_eq!(databases(&from), ["db"]);
    // Whoever takes it after all gets a new one.
    assert!(offered.checkpoint().unwrap().last_log_id() >= Some(log_id(5)));
}
