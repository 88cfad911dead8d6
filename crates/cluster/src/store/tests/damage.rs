//! Databases that have lost files.

use std::{fs, io, path::Path};

use super::*;

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::register(&mut Registry::default()))
}

#[track_caller]
fn is_refused_as_damaged(dir: &Path) {
    for opened in [
        Store::open(dir, metrics()),
        Store::open_to_read(dir, metrics()),
    ] {
        let refused = opened.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
        assert!(refused.to_string().contains("CURRENT"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_can_not_be_recognised_is_not_replaced_by_an_empty_one() {
    let mut opened = Opened::new();
    opened
        .commit(vec![entry(1, accept(9, 0, 4, b"body"))])
        .await;
    let dir = opened.closed();
    let current = dir.path().join("db/CURRENT");
    let octets = fs::read(&current).unwrap();
    fs::remove_file(&current).unwrap();
    is_refused_as_damaged(dir.path());

    // What is left was not touched.
    fs::write(&current, octets).unwrap();
    assert_eq!(Opened::at(dir).messages().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_is_one_that_came_with_a_snapshot_and_has_nothing_left() {
    let (mut from, to) = (Opened::new(), Opened::new());
    from.commit(vec![entry(1, accept(9, 0, 4, b"body"))]).await;
    snapshots::install(&to, snapshots::snapshot_of(&from).await).await;
    let present = to.tables.store().directory().present();
    let dir = to.closed();
    fs::remove_dir_all(&present).unwrap();
    fs::create_dir(&present).unwrap();
    is_refused_as_damaged(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_broke_off_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("db");
    fs::create_dir(&database).unwrap();
    for name in ["LOG", "LOCK", "IDENTITY", "MANIFEST-000001", "000001.dbtmp"] {
        fs::write(database.join(name), "").unwrap();
    }
    let mut opened = Opened::at(dir);
    opened
        .commit(vec![entry(1, accept(9, 0, 4, b"body"))])
        .await;
    assert_eq!(opened.reopened().messages().len(), 1);
}
