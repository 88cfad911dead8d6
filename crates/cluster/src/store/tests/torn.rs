//! Files of the database whose last writes were torn, or look as if they had been.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::*;
use crate::store::open::Row;

/// RocksDB's logs, of which MANIFEST is one, consist of blocks of so many octets.
const BLOCK: usize = 32 << 10;
/// A record's header: checksum, length, type.
const HEADER: usize = 4 + 2 + 1;
/// Messages in front of the copy that ends a write-ahead log, and as many behind it.
const MESSAGES: u64 = 20;

fn files(dir: &Path, is_one: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("db")).unwrap().flatten();
    let named = files.filter(|file| is_one(&file.file_name().to_string_lossy()));
    named.map(|file| file.path()).collect()
}

fn write_ahead_logs(dir: &Path) -> Vec<PathBuf> {
    files(dir, |name| name.ends_with(".log"))
}

fn manifest(dir: &Path) -> PathBuf {
    let current = fs::read_to_string(dir.join("db/CURRENT")).unwrap();
    dir.join("db").join(current.trim_end())
}

/// Where records begin.
fn records(octets: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + HEADER <= octets.len() {
        let length = usize::from(u16::from_le_bytes([octets[at + 4], octets[at + 5]]));
        found.push(at);
        at += HEADER + length;
        let left = BLOCK - at % BLOCK;
        if left < HEADER {
            at += left;
        }
    }
    found
}

fn messages(range: std::ops::Range<u64>) -> Vec<Entry> {
    let entry = |index| entry(index, accept(u128::from(index), 0, 4, b"body"));
    range.map(entry).collect()
}

struct Closed {
    dir: TempDir,
    tables: Vec<Row>,
}

/// A store with messages on both sides of a write-ahead log's end.
async fn opened() -> Opened {
    let mut opened = Opened::new();
    opened.rebuilding.end().unwrap();
    opened.commit(messages(1..MESSAGES)).await;
    let before = write_ahead_logs(opened.dir.path());
    // Empties the memory into files, so that what the write-ahead log has is not needed any more.
    drop(snapshots::snapshot_of(&opened).await);
    let copy = opened.dir.path().join("copy");
    opened.tables.store().now().checkpoint(&copy).unwrap();
    fs::remove_dir_all(copy).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while before.iter().any(|log| log.exists()) {
        assert!(Instant::now() < deadline, "{before:?} are kept");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    opened.commit(messages(MESSAGES..2 * MESSAGES)).await;
    opened
}

/// The same, closed.
async fn closed() -> Closed {
    let opened = opened().await;
    let tables = opened.tables.dump();
    let dir = opened.closed();
    Closed { dir, tables }
}

/// Starts on a directory that was changed. An error, or a note of what is missing, is all right; to go on with
/// less than all is not.
async fn start(closed: &Closed, dir: &Path) -> io::Result<()> {
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    let store = Arc::new(Store::open(dir, metrics)?);
    let tables = Tables::open(Arc::clone(&store))?;
    let mut opened = LogStore::open(store)?;
    if let Some(reason) = opened.rebuilding.reason() {
        return Err(io::Error::other(reason));
    }
    let expected = messages(1..2 * MESSAGES);
    let entries = opened.log.try_get_log_entries(1..2 * MESSAGES).await?;
    assert_eq!(entries, expected, "not noticed");
    assert_eq!(tables.dump(), closed.tables, "not noticed");
    Ok(())
}

fn copy_of(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("db")).unwrap();
    for folder in ["", "db"] {
        for file in fs::read_dir(dir.join(folder)).unwrap().flatten() {
            if file.file_type().unwrap().is_file() {
                let to = copy.path().join(folder).join(file.file_name());
                fs::copy(file.path(), to).unwrap();
            }
        }
    }
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_torn_does_not_hinder_a_start() {
    let closed = closed().await;
    let log = write_ahead_logs(closed.dir.path());
    let [log] = log.as_slice() else {
        panic!("{log:?}")
    };
    let octets = fs::read(log).unwrap();
    let begun = *records(&octets).last().unwrap();
    let again = &octets[begun..];
    let torn = [
        &again[..3],
        &again[..HEADER],
        &again[..again.len() / 2],
        // The length has arrived, and the sectors behind it have not.
        &[&again[..HEADER], &[0; 4096][..]].concat(),
    ];
    for torn in torn {
        let copy = copy_of(closed.dir.path());
        let name = log.file_name().unwrap();
        let file = copy.path().join("db").join(name);
        let mut file = OpenOptions::new().append(true).open(file).unwrap();
        file.write_all(torn).unwrap();
        for _ in 0..2 {
            start(&closed, copy.path()).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_the_manifest_that_looks_torn_is_noticed_or_costs_nothing() {
    let closed = closed().await;
    let octets = fs::read(manifest(closed.dir.path())).unwrap();
    let records = records(&octets);
    assert!(records.len() > 5, "{records:?}");
    for at in records {
        let copy = copy_of(closed.dir.path());
        let file = manifest(copy.path());
        let file = OpenOptions::new().write(true).open(file).unwrap();
        // Longer than the file: RocksDB takes it for a write that was never finished.
        file.write_all_at(&[0xff, 0x7f], at as u64 + 4).unwrap();
        if let Err(noticed) = start(&closed, copy.path()).await {
            println!("record at {at}: {noticed}");
        }
    }
}

/// What a start says that finds something missing.
fn noticed(dir: &Path) -> Option<String> {
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    let opened = Store::open(dir, metrics).and_then(|store| LogStore::open(Arc::new(store)));
    match opened {
        Ok(opened) => opened.rebuilding.reason().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_manifest_lacks_is_noticed_although_the_log_was_cut_behind_it() {
    let mut opened = opened().await;
    let behind = log_id(MESSAGES + MESSAGES / 2);
    opened.log.purge(behind).await.unwrap();
    let closed = opened.closed();
    assert_eq!(noticed(copy_of(closed.path()).path()), None);
    let octets = fs::read(manifest(closed.path())).unwrap();
    let mut without_note = Vec::new();
    for at in records(&octets) {
        let (long, cut) = (copy_of(closed.path()), copy_of(closed.path()));
        let file = |copy: &TempDir| {
            let file = manifest(copy.path());
            OpenOptions::new().write(true).open(file).unwrap()
        };
        file(&long)
            .write_all_at(&[0xff, 0x7f], at as u64 + 4)
            .unwrap();
        file(&cut).set_len(at as u64).unwrap();
        for damaged in [long, cut] {
            let said = noticed(damaged.path()).unwrap_or_default();
            assert!(said.contains("is damaged"), "record at {at}: {said:?}");
            fs::remove_file(damaged.path().join("db/NOTED")).unwrap();
            without_note.push(noticed(damaged.path()));
        }
    }
    // Or RocksDB notices all by itself now, and the note can go.
    assert!(without_note.contains(&None), "{without_note:?}");
}
