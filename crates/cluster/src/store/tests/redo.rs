//! Entries that were fsync'd in a segment only, after a power failure that took them out of RocksDB.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::*;
use crate::{
    raft::Vote,
    store::{
        self,
        entries::{self, Damaged},
        keys,
        open::{self, Column},
        raft_state,
    },
};

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::register(&mut Registry::default()))
}

/// A copy of a whole directory, as it may be found after the power failed.
fn copy_of(dir: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(dir).unwrap().flatten() {
        let to = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => copy_of(&file.path(), &to),
            // RocksDB removes files a moment after it needs them no more.
            false => match fs::copy(file.path(), to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
        }
    }
}

/// Octets of each of the write-ahead logs.
fn lengths(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let files = fs::read_dir(dir.join("db")).unwrap().flatten();
    let logs = files.filter(|file| file.path().extension() == Some("log".as_ref()));
    let lengths = logs.filter_map(|file| {
        let name = PathBuf::from("db").join(file.file_name());
        Some((name, file.metadata().ok()?.len()))
    });
    lengths.collect()
}

fn set_length(path: &Path, length: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(length).unwrap();
}

/// A copy of a node's directory whose write-ahead logs have these lengths.
fn cut_to(opened: &Opened, lengths: &BTreeMap<PathBuf, u64>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_of(opened.dir.path(), dir.path());
    for (name, length) in lengths {
        set_length(&dir.path().join(name), *length);
    }
    dir
}

/// A copy of a node's directory as it is found after the process was killed.
fn killed(opened: &Opened) -> TempDir {
    cut_to(opened, &lengths(opened.dir.path()))
}

/// The files of bodies, in order.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("db")).unwrap().flatten();
    let files = files.map(|file| file.path());
    let mut segments: Vec<_> = files
        .filter(|path| path.extension() == Some("piece".as_ref()))
        .collect();
    segments.sort();
    segments
}

/// Takes away what was written into the write-ahead logs since they had these lengths, or a part of it.
fn cut(dir: &Path, synced: &BTreeMap<PathBuf, u64>, random: &mut SmallRng) {
    for (name, length) in lengths(dir) {
        let synced = synced.get(&name).copied().unwrap_or(0);
        let left = random.random_range(synced..=length);
        let file = fs::File::options()
            .write(true)
            .open(dir.join(name))
            .unwrap();
        file.set_len(left).unwrap();
        // What comes behind it is in a later one.
        if left < length {
            break;
        }
    }
}

fn message(index: u64, term: u64) -> Entry {
    let command = match index % 3 {
        0 => accept(u128::from(index + 1000 * term), 0, 4, b"body"),
        1 => stage(u128::from(index + 1000 * term), 0, b"a piece of a body"),
        _ => visits(index, &[term.into()]),
    };
    let log_id = LogId::new(term.into(), index);
    Entry::new(log_id, Payload::normal(Proposal(command)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_although_the_write_ahead_log_was_not_synced() {
    let mut opened = Opened::new();
    opened.rebuilding.end().unwrap();
    let synced = lengths(opened.dir.path());
    let entries: Vec<_> = (1..50).map(|index| message(index, 1)).collect();
    for entries in entries.chunks(7) {
        opened.commit(entries.to_vec()).await;
    }
    let tables = opened.tables.dump();
    let mut random = SmallRng::seed_from_u64(1);
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        copy_of(opened.dir.path(), dir.path());
        cut(dir.path(), &synced, &mut random);
        let mut after = Opened::at(dir);
        assert_eq!(after.rebuilding.reason(), None);
        assert_eq!(after.read(1, 50).await, entries);
        // Consensus applies again what was not yet.
        let applied = after.tables.applied().unwrap().map_or(0, |it| it.index);
        let rest = entries[applied as usize..].to_vec();
        machine::apply_entries(&after.tables, rest).unwrap();
        assert_eq!(after.tables.dump(), tables);
        // And it is there once and for all.
        let mut again = after.reopened();
        assert_eq!(again.read(1, 50).await, entries);
    }
}

/// What a log must have, whatever was done to it.
#[derive(Clone, Debug, Default)]
struct Model {
    entries: BTreeMap<u64, Entry>,
    purged: u64,
    vote: Option<Vote>,
}

impl Model {
    fn last(&self) -> u64 {
        self.entries
            .keys()
            .next_back()
            .copied()
            .unwrap_or(self.purged)
    }
}

/// Does one thing to a log, and returns whether RocksDB's write-ahead log was fsync'd for it.
async fn do_something(
    opened: &mut Opened,
    model: &mut Model,
    term: &mut u64,
    random: &mut SmallRng,
) -> bool {
    let last = model.last();
    match random.random_range(0..20) {
        0 => {
            let vote = Vote::new(*term, 2);
            opened.log.save_vote(&vote).await.unwrap();
            model.vote = Some(vote);
        }
        1..4 if last > model.purged => {
            let upto = random.random_range(model.purged..last);
            let log_id = model.entries.get(&upto).map(|entry| entry.log_id);
            let log_id = log_id.or_else(|| opened.log.purged());
            opened.log.truncate_after(log_id).await.unwrap();
            model.entries.split_off(&(upto + 1));
            *term += 1;
        }
        4 if last > model.purged => {
            let upto = random.random_range(model.purged + 1..=last);
            let log_id = model.entries[&upto].log_id;
            opened.log.purge(log_id).await.unwrap();
            model.entries = model.entries.split_off(&(upto + 1));
            model.purged = upto;
        }
        5 => {
            let copy = opened.dir.path().join("copy");
            opened.tables.now().checkpoint(&copy).unwrap();
            fs::remove_dir_all(copy).unwrap();
        }
        _ => {
            let more = random.random_range(1..6);
            let entries: Vec<_> = (last + 1..=last + more)
                .map(|index| message(index, *term))
                .collect();
            opened.append(entries.clone()).await;
            model
                .entries
                .extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
            return false;
        }
    }
    true
}

async fn check(opened: &mut Opened, model: &Model, seed: u64) {
    assert!(
        !opened.rebuilding.is_loss(),
        "seed {seed}: {:?}",
        opened.rebuilding.reason()
    );
    let state = opened.log.get_log_state().await.unwrap();
    assert_eq!(
        state.last_log_id.map_or(0, |it| it.index),
        model.last(),
        "seed {seed}"
    );
    let read = opened.read(0, u64::MAX).await;
    assert_eq!(
        read,
        Vec::from_iter(model.entries.values().cloned()),
        "seed {seed}"
    );
    assert_eq!(
        opened.log.read_vote().await.unwrap(),
        model.vote,
        "seed {seed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_done_to_the_log_is_so_after_a_power_failure() {
    for seed in 0..40 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut opened = Opened::new();
        opened.rebuilding.end().unwrap();
        let mut synced = lengths(opened.dir.path());
        let (mut model, mut term) = (Model::default(), 1);
        for _ in 0..60 {
            let is_synced = do_something(&mut opened, &mut model, &mut term, &mut random).await;
            if is_synced {
                synced = lengths(opened.dir.path());
            }
            if random.random_bool(0.1) {
                let dir = opened.closed();
                cut(dir.path(), &synced, &mut random);
                opened = Opened::at(dir);
                check(&mut opened, &model, seed).await;
                synced = lengths(opened.dir.path());
            }
        }
        check(&mut opened, &model, seed).await;
        check(&mut opened.reopened(), &model, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_only_read_shows_what_the_power_failure_took_and_is_left_as_it_is() {
    let mut opened = Opened::new();
    let synced = lengths(opened.dir.path());
    let entries: Vec<_> = (1..9).map(|index| message(index, 1)).collect();
    opened.append(entries[..4].to_vec()).await;
    let half = lengths(opened.dir.path());
    opened.append(entries[4..].to_vec()).await;
    for lengths in [synced, half, lengths(opened.dir.path())] {
        let dir = cut_to(&opened, &lengths);
        let segments_before = segments(dir.path());
        let redo = fs::read(dir.path().join("db/REDO")).unwrap();
        let store = Store::open_to_read(dir.path(), metrics()).unwrap();
        let now = store.now();
        assert_eq!(entries::last(&now).unwrap(), Some(log_id(8)));
        let read = entries::read_entries(&now, 1, 9, usize::MAX, Damaged::Ends).unwrap();
        assert_eq!(read, entries);
        assert_eq!(
            now.piece(4).unwrap().as_deref(),
            Some(&b"a piece of a body"[..])
        );
        drop((now, store));
        assert_eq!(segments(dir.path()), segments_before);
        assert_eq!(fs::read(dir.path().join("db/REDO")).unwrap(), redo);
        assert_eq!(self::lengths(dir.path()), lengths);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_on_the_disk_is_written_anew() {
    let mut opened = Opened::new();
    opened.rebuilding.end().unwrap();
    opened.append(vec![message(1, 1), message(2, 1)]).await;
    let synced = lengths(opened.dir.path());
    opened.append(vec![message(3, 1)]).await;
    let dir = cut_to(&opened, &synced);
    let mut after = Opened::at(dir);
    // The system has lost the page, and told nobody.
    let [first, second] = segments(after.dir.path()).try_into().unwrap();
    let octets = fs::read(&first).unwrap();
    fs::write(&first, &octets[..octets.len() - 4]).unwrap();
    assert!(second.exists());
    assert_eq!(
        after.tables.piece(3).unwrap().as_deref(),
        Some(&b"body"[..])
    );
    assert_eq!(after.read(3, 4).await, [message(3, 1)]);
    assert!(!after.rebuilding.is_loss());
}

/// Three segments, of which RocksDB has no entry.
async fn three_segments() -> (Opened, TempDir) {
    let mut opened = Opened::new();
    opened.rebuilding.end().unwrap();
    let synced = lengths(opened.dir.path());
    for first in [1, 4, 7] {
        opened
            .append((first..first + 3).map(|index| message(index, 1)).collect())
            .await;
        opened.tables.now().close_segment().unwrap();
    }
    let dir = cut_to(&opened, &synced);
    (opened, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_piece_costs_no_entry_and_is_as_good_as_any_to_be_applied() {
    let (opened, dir) = three_segments().await;
    machine::apply_entries(
        &opened.tables,
        (1..10).map(|index| message(index, 1)).collect(),
    )
    .unwrap();
    let [_, second, _] = segments(dir.path()).try_into().unwrap();
    let mut octets = fs::read(&second).unwrap();
    *octets.last_mut().unwrap() ^= 1;
    fs::write(&second, octets).unwrap();
    let mut after = Opened::at(dir);
    assert!(!after.rebuilding.is_loss());
    assert_eq!(after.log.last(), Some(log_id(9)));
    // What consensus looks at, and has applied. No follower gets it.
    let entries = after.read(1, 10).await;
    assert_eq!(entries.len(), 9);
    machine::apply_entries(&after.tables, entries).unwrap();
    assert_eq!(after.tables.dump(), opened.tables.dump());
    let sent = after.log.limited_get_log_entries(1, 10).await.unwrap();
    assert_eq!(sent.len(), 5);
    after.tables.piece(6).unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_torn_in_front_of_entries_that_are_there_is_no_loss() {
    let mut opened = Opened::new();
    opened.rebuilding.end().unwrap();
    let entries: Vec<_> = (1..10).map(|index| message(index, 1)).collect();
    for entries in entries.chunks(3) {
        opened.append(entries.to_vec()).await;
        opened.tables.now().close_segment().unwrap();
    }
    let dir = killed(&opened);
    let [_, second, _] = segments(dir.path()).try_into().unwrap();
    let mut octets = fs::read(&second).unwrap();
    octets[3] ^= 1;
    fs::write(&second, octets).unwrap();
    let mut after = Opened::at(dir);
    assert!(!after.rebuilding.is_loss(), "{:?}", after.rebuilding);
    assert_eq!(after.read(1, 10).await, entries);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_version_before_has_purged_is_no_loss() {
    let mut opened = Opened::new();
    opened.rebuilding.end().unwrap();
    let entries: Vec<_> = (1..10).map(|index| message(index, 1)).collect();
    opened.append(entries.clone()).await;
    // It does not note from where on to redo.
    let database = opened.tables.now();
    let mut batch = database.batch();
    batch.delete_range(Column::Log, keys::entry(0), keys::entry(6));
    raft_state::put_log_id(&mut batch, raft_state::PURGED, log_id(5));
    batch.write().unwrap();
    drop(database);
    let mut after = Opened::at(killed(&opened));
    assert!(!after.rebuilding.is_loss(), "{:?}", after.rebuilding);
    assert_eq!(after.read(6, 10).await, entries[5..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_counts_that_the_file_is_there_and_not_what_it_says() {
    let (_opened, dir) = three_segments().await;
    fs::write(dir.path().join("db/REDO"), "").unwrap();
    assert_eq!(Opened::at(dir).log.last(), Some(log_id(9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_front_of_other_entries_is_noticed_without_the_mark() {
    let (_opened, dir) = three_segments().await;
    fs::remove_file(dir.path().join(store::MARK_FILE)).unwrap();
    let [_, second, third] = segments(dir.path()).try_into().unwrap();
    let whole = fs::read(&second).unwrap();
    set_length(&second, whole.len() as u64 - 1);
    let copy = tempfile::tempdir().unwrap();
    copy_of(dir.path(), copy.path());
    let after = Opened::at(copy);
    assert_eq!(after.log.last(), Some(log_id(3)));
    let reason = after.rebuilding.reason().unwrap_or_default();
    assert!(
        reason.contains("00000002.piece is damaged at octet 0"),
        "{reason}"
    );
    // What is left can still be looked at.
    let mut beside = fs::read_dir(after.dir.path()).unwrap().flatten();
    let is_saved = |it: &fs::DirEntry| it.file_name().to_string_lossy().starts_with("db.damaged-");
    let saved = beside.find(is_saved).unwrap().path();
    for segment in [&second, &third] {
        let saved = fs::read(saved.join(segment.file_name().unwrap())).unwrap();
        assert_eq!(saved, fs::read(segment).unwrap());
    }

    // It is not forgotten before it is noted.
    let copy = tempfile::tempdir().unwrap();
    copy_of(dir.path(), copy.path());
    let store = Store::open_to_read(copy.path(), metrics()).unwrap();
    let told = store::lacking(&store).unwrap().unwrap();
    assert!(told.contains("00000002.piece"), "{told}");
    drop(store);
    drop(Store::open(copy.path(), metrics()).unwrap());
    let again = Opened::at(copy);
    assert!(again.rebuilding.is_loss());
    let database = again.tables.now();
    assert_eq!(
        database.get(Column::Raft, keys::raft("damage")).unwrap(),
        None
    );

    // Where nothing comes behind it, it was never written whole.
    fs::remove_file(third).unwrap();
    let after = Opened::at(dir);
    assert_eq!(after.log.last(), Some(log_id(3)));
    assert!(!after.rebuilding.is_loss());
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_never_much_to_be_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = open::open_or_make(&path, metrics()).unwrap();
    let noted = || database.get(Column::Raft, keys::raft("redo")).unwrap();
    let before = noted();
    let mut last = before.clone();
    let mut moved = 0;
    for index in 1..200 {
        let mut batch = database.batch();
        batch.put_entry(index, b"entry".to_vec(), vec![7; 1 << 20].into());
        batch.write_synced().unwrap();
        moved += usize::from(noted() != last);
        last = noted();
    }
    assert_eq!(moved, 3, "each 64 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_does_not_get_what_came_behind_it() {
    let mut opened = Opened::new();
    opened
        .append((1..4).map(|index| message(index, 1)).collect())
        .await;
    let database = opened.tables.now();
    let copy = opened.dir.path().join("copy");
    database.checkpoint(&copy).unwrap();
    opened
        .append((4..9).map(|index| message(index, 1)).collect())
        .await;
    // Written between the copy of the tables and that of the segments.
    for file in fs::read_dir(database.path()).unwrap().flatten() {
        let to = copy.join(file.file_name());
        if to.extension() == Some("piece".as_ref()) && !to.exists() {
            fs::copy(file.path(), to).unwrap();
        }
    }
    let copied = open::open(&copy, metrics()).unwrap();
    let last = entries::last(&copied).unwrap();
    assert_eq!(last, Some(log_id(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_stays_while_the_write_ahead_log_may_lack_what_it_has() {
    let mut opened = Opened::new();
    let synced = lengths(opened.dir.path());
    // Nothing in it is a piece of a body.
    let entries: Vec<_> = (1..9)
        .map(|index| Entry::new_blank(log_id(index)))
        .collect();
    opened.append(entries.clone()).await;
    let database = opened.tables.now();
    let copy = opened.dir.path().join("copy");
    database.checkpoint(&copy).unwrap();
    fs::remove_dir_all(copy).unwrap();
    assert!(database.path().join("00000001.piece").exists());
    let dir = tempfile::tempdir().unwrap();
    copy_of(opened.dir.path(), dir.path());
    cut(dir.path(), &synced, &mut SmallRng::seed_from_u64(3));
    assert_eq!(Opened::at(dir).read(1, 9).await, entries);
    // What is fsync'd there lets it go.
    opened.log.save_vote(&Vote::new(1, 2)).await.unwrap();
    assert!(!database.path().join("00000001.piece").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_ahead_log_that_lost_what_was_synced_is_not_made_good_with_what_followed() {
    let mut opened = Opened::new();
    opened.rebuilding.end().unwrap();
    opened
        .append((1..9).map(|index| message(index, 1)).collect())
        .await;
    let before = lengths(opened.dir.path());
    opened.log.truncate_after(Some(log_id(4))).await.unwrap();
    opened
        .append((5..7).map(|index| message(index, 2)).collect())
        .await;
    let after = Opened::at(cut_to(&opened, &before));
    let reason = after.rebuilding.reason().unwrap_or_default();
    assert!(reason.contains("entry 6 had been acknowledged"), "{reason}");
}
