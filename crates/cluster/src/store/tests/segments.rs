//! Pieces in segments: there as long as a row names them, and no longer.

use std::{fs, io, path::Path};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{
    super::{
        keys,
        open::{self, Column, Database},
    },
    *,
};

/// Goes to a segment, by itself.
const LARGE: usize = 100 << 10;

fn opened(path: &Path) -> Database {
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    open::open_or_make(path, metrics).unwrap()
}

/// Octets that no other piece has.
fn piece(index: u64, length: usize) -> Bytes {
    let octets = index.to_be_bytes().into_iter().cycle();
    octets.take(length).collect()
}

fn put(database: &Database, entries: impl IntoIterator<Item = u64>) {
    let mut batch = database.batch();
    for index in entries {
        batch.put_piece(index, piece(index, LARGE));
    }
    batch.write_synced().unwrap();
}

fn delete(database: &Database, entries: impl IntoIterator<Item = u64>) {
    let mut batch = database.batch();
    for index in entries {
        batch.delete_piece(index).unwrap();
    }
    batch.write_synced().unwrap();
}

#[track_caller]
fn has(database: &Database, entries: impl IntoIterator<Item = u64>) {
    for index in entries {
        let read = database.piece(index).unwrap();
        assert_eq!(read.as_deref(), Some(&*piece(index, LARGE)), "{index}");
    }
}

/// Ends the segment that is written to, as a copy does.
fn close_segment(database: &Database, copies: &Path) {
    let copy = copies.join(format!("{:x}", rand::random::<u64>()));
    database.checkpoint(&copy).unwrap();
    fs::remove_dir_all(copy).unwrap();
}

fn segments(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".piece")).collect();
    names.sort();
    names
}

/// Puts a piece as versions of before did with small ones.
fn put_into_rocksdb(database: &Database, index: u64, length: usize) {
    let mut batch = database.batch();
    batch.put(Column::Piece, keys::entry(index), piece(index, length));
    batch.write_synced().unwrap();
}

#[test]
fn pieces_go_into_a_segment_and_those_that_are_in_rocksdb_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = opened(&path);
    put_into_rocksdb(&database, 1, 100);
    assert_eq!(segments(&path).len(), 0);
    let mut batch = database.batch();
    batch.put_piece(2, piece(2, 1));
    for index in 3..20 {
        batch.put_piece(index, piece(index, 10 << 10));
    }
    batch.write_synced().unwrap();
    assert_eq!(segments(&path).len(), 1);
    drop(database);

    let database = opened(&path);
    for (index, length) in [(1, 100), (2, 1), (3, 10 << 10), (19, 10 << 10)] {
        let read = database.piece(index).unwrap();
        assert_eq!(read.as_deref(), Some(&*piece(index, length)));
    }
    assert_eq!(database.piece(20).unwrap(), None);
    delete(&database, 1..20);
    assert_eq!(database.piece(1).unwrap(), None);
}

#[test]
fn what_a_batch_deletes_again_was_never_there() {
    let dir = tempfile::tempdir().unwrap();
    let database = opened(&dir.path().join("db"));
    put(&database, 1..=2);
    let mut batch = database.batch();
    for index in 3..=9 {
        batch.put_piece(index, piece(index, LARGE));
    }
    batch.delete_piece(4).unwrap();
    batch.delete_pieces(8..u64::MAX).unwrap();
    batch.put_piece(8, piece(8, LARGE));
    batch.delete_piece(1).unwrap();
    batch.write_synced().unwrap();
    has(&database, [2, 3, 5, 6, 7, 8]);
    for index in [1, 4, 9] {
        assert_eq!(database.piece(index).unwrap(), None, "{index}");
    }
}

#[test]
fn a_closed_segment_goes_with_its_last_piece_and_the_open_one_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = opened(&path);
    put(&database, 1..=3);
    close_segment(&database, dir.path());
    put(&database, 4..=5);
    assert_eq!(segments(&path), ["00000001.piece", "00000002.piece"]);
    delete(&database, [1, 3]);
    assert_eq!(segments(&path).len(), 2);
    delete(&database, [2, 4, 5]);
    assert_eq!(segments(&path), ["00000002.piece"]);
    drop(database);
    let database = opened(&path);
    assert_eq!(segments(&path).len(), 0);
    put(&database, [6]);
    has(&database, [6]);
}

#[test]
fn who_reads_an_earlier_moment_finds_what_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = opened(&path);
    put(&database, 1..=3);
    close_segment(&database, dir.path());
    let moment = database.moment();
    delete(&database, 1..=3);
    assert_eq!(moment.piece(2).unwrap().as_deref(), Some(&*piece(2, LARGE)));
    assert_eq!(segments(&path).len(), 1);
    drop(moment);
    assert_eq!(segments(&path).len(), 0);
}

#[test]
fn what_is_not_synced_yet_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = opened(&path);
    put(&database, 1..=3);
    close_segment(&database, dir.path());
    let mut batch = database.batch();
    batch.delete_pieces(0..u64::MAX).unwrap();
    batch.write().unwrap();
    assert_eq!(segments(&path).len(), 1);
    database.batch().write_synced().unwrap();
    assert_eq!(segments(&path).len(), 0);
}

#[test]
fn what_a_crash_left_without_a_row_goes_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = opened(&path);
    put(&database, [1]);
    drop(database);
    fs::write(path.join("00000007.piece"), [7; 1000]).unwrap();
    let database = opened(&path);
    assert_eq!(segments(&path), ["00000001.piece"]);
    put(&database, [2]);
    assert_eq!(segments(&path), ["00000001.piece", "00000008.piece"]);
    has(&database, 1..=2);
}

#[test]
fn one_that_is_only_read_keeps_all_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    put(&opened(&path), [1]);
    fs::write(path.join("00000007.piece"), [7; 1000]).unwrap();
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    let database = open::open_to_read(&path, metrics).unwrap();
    has(&database, [1]);
    drop(database.moment());
    assert_eq!(segments(&path), ["00000001.piece", "00000007.piece"]);
}

#[test]
fn what_is_left_of_a_segment_moves_and_a_copy_keeps_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = opened(&path);
    put(&database, 1..=20);
    let copy = dir.path().join("copy");
    database.checkpoint(&copy).unwrap();
    database.move_pieces().unwrap();
    delete(&database, 5..=20);
    database.move_pieces().unwrap();
    assert_eq!(segments(&path), ["00000001.piece", "00000002.piece"][1..]);
    has(&database, 1..=4);
    drop(database);
    has(&opened(&path), 1..=4);
    has(&opened(&copy), 1..=20);
}

#[test]
fn damage_is_noticed_and_the_rest_is_there() {
    type Damage = fn(&Path);
    let damages: [(Damage, u64); 3] = [
        (
            |path| {
                let mut octets = fs::read(path).unwrap();
                octets[LARGE + LARGE / 2] ^= 1;
                fs::write(path, octets).unwrap();
            },
            1,
        ),
        (
            |path| {
                let file = fs::File::options().write(true).open(path).unwrap();
                file.set_len(LARGE as u64 + 500).unwrap();
            },
            2,
        ),
        (|path| fs::remove_file(path).unwrap(), 3),
    ];
    for (damage, lost) in damages {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        put(&opened(&path), 1..=3);
        damage(&path.join("00000001.piece"));
        let database = opened(&path);
        let is_damaged = |index: &u64| match database.piece(*index) {
            Ok(read) => {
                assert_eq!(read.as_deref(), Some(&*piece(*index, LARGE)));
                false
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
                assert!(error.to_string().contains("00000001.piece"), "{error}");
                true
            }
        };
        assert_eq!((1..=3).filter(is_damaged).count() as u64, lost);
        // It is put right as any other, and what it was goes.
        delete(&database, 1..=3);
        put(&database, 1..=3);
        has(&database, 1..=3);
        assert_eq!(segments(&path), ["00000002.piece"]);
    }
}

#[test]
fn what_is_damaged_stays_where_it_is_and_the_rest_moves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = opened(&path);
    put(&database, 1..=20);
    close_segment(&database, dir.path());
    let file = path.join("00000001.piece");
    let mut octets = fs::read(&file).unwrap();
    octets[LARGE / 2] ^= 1;
    fs::write(&file, octets).unwrap();
    delete(&database, 4..=20);
    for _ in 0..3 {
        database.move_pieces().unwrap();
    }
    has(&database, 2..=3);
    database.piece(1).unwrap_err();
    assert_eq!(segments(&path), ["00000001.piece", "00000002.piece"]);
    delete(&database, [1]);
    assert_eq!(segments(&path), ["00000002.piece"]);
}

#[test]
fn whatever_happens_there_is_what_was_put_and_nothing_else() {
    for seed in 0..20 {
        let mut random = SmallRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let mut database = opened(&path);
        let mut there = BTreeSet::new();
        let mut next = 1;
        for _ in 0..60 {
            match random.random_range(0..10) {
                0..4 => {
                    let more = random.random_range(1..8);
                    put(&database, next..next + more);
                    there.extend(next..next + more);
                    next += more;
                }
                4..7 => {
                    let gone: Vec<u64> = there
                        .iter()
                        .copied()
                        .filter(|_| random.random_bool(0.4))
                        .collect();
                    delete(&database, gone.iter().copied());
                    there.retain(|index| !gone.contains(index));
                }
                7 => close_segment(&database, dir.path()),
                8 => database.move_pieces().unwrap(),
                _ => {
                    drop(database);
                    database = opened(&path);
                }
            }
            let index = random.random_range(1..=next);
            let expected = there.contains(&index).then(|| piece(index, LARGE));
            assert_eq!(
                database.piece(index).unwrap().as_deref(),
                expected.as_deref()
            );
        }
        has(&database, there.iter().copied());
        delete(&database, there);
        close_segment(&database, dir.path());
        database.move_pieces().unwrap();
        assert_eq!(segments(&path).len(), 0, "seed {seed}");
    }
}

#[test]
fn small_pieces_are_found_wherever_they_lie_up_to_the_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let database = opened(&path);
    let write = |lengths: &[(u64, usize)]| {
        let mut batch = database.batch();
        for (index, length) in lengths {
            batch.put_piece(*index, piece(*index, *length));
        }
        batch.write_synced().unwrap();
    };
    let found = |entries| database.small_pieces(entries);
    // In RocksDB, in a segment, and in RocksDB again, with entries between them that carry nothing.
    put_into_rocksdb(&database, 1, 100);
    put_into_rocksdb(&database, 2, 200);
    write(&[(4, 40 << 10), (5, 40 << 10)]);
    put_into_rocksdb(&database, 8, 10);
    assert_eq!(segments(&path).len(), 1);
    let expected = [(2, 200), (4, 40 << 10), (5, 40 << 10), (8, 10)];
    let expected = expected.map(|(index, length)| (index, piece(index, length)));
    assert_eq!(found(2..9), expected);
    assert_eq!(found(3..3), []);
    assert_eq!(found(9..100), []);

    write(&[(10, 60 << 10), (11, LARGE), (12, 60 << 10)]);
    let indices =
        |entries| -> Vec<u64> { found(entries).iter().map(|(index, _)| *index).collect() };
    assert_eq!(indices(10..13), [10, 12], "a large one is left out");
    let many: Vec<_> = (20..40).map(|index| (index, 60 << 10)).collect();
    write(&many);
    assert_eq!(indices(20..40), [20, 21, 22, 23], "256 KiB");
    // What can not be read is somebody else's to complain of.
    close_segment(&database, dir.path());
    fs::write(path.join(&segments(&path)[0]), "cut off").unwrap();
    assert_eq!(indices(2..9), [2, 8]);
}
