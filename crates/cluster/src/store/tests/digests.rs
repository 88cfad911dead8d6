//! What replicas are compared by.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::{SpoolDigest, digest, open::Column};

async fn digest_of(opened: &Opened) -> SpoolDigest {
    digest(&opened.tables, &CancellationToken::new())
        .await
        .unwrap()
}

fn entries() -> Vec<Entry> {
    vec![
        members(1, &[1, 2]),
        entry(2, stage(9, 0, b"first ")),
        entry(3, accept(9, 1, 10, b"last")),
        entry(4, accept(8, 0, 5, b"other")),
        entry(5, delivered(9)),
        members(6, &[2]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_applied_the_same_hash_to_the_same_however_they_came_to_it() {
    let (mut whole, mut single, by_snapshot) = (Opened::new(), Opened::new(), Opened::new());
    whole.commit(entries()).await;
    for entry in entries() {
        single.commit(vec![entry]).await;
    }
    snapshots::install(&by_snapshot, snapshots::snapshot_of(&whole).await).await;
    let expected = digest_of(&whole).await;
    assert_eq!(expected.applied_index, 6);
    assert_eq!(expected.rows, whole.tables.dump().len() as u64);
    assert_eq!(digest_of(&single).await, expected);
    assert_eq!(digest_of(&by_snapshot).await, expected);
    assert_eq!(digest_of(&single.reopened()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_octet_more_or_less_is_another_digest() {
    let mut opened = Opened::new();
    opened.commit(entries()).await;
    let before = digest_of(&opened).await;
    let now = opened.tables.now();
    // The same octets, divided otherwise between key and value.
    let key = [now.keys().incarnation(), vec![200]].concat();
    let mut seen = vec![before.sha256];
    for (key, value) in [(&key[..], &b"ab"[..]), (&[&key[..], b"a"].concat(), b"b")] {
        let mut batch = now.batch();
        batch.put(Column::Spool, key, value);
        batch.write().unwrap();
        let with = digest_of(&opened).await;
        assert_eq!((with.applied_index, with.rows), (6, before.rows + 1));
        assert!(!seen.contains(&with.sha256));
        seen.push(with.sha256);
        let mut batch = now.batch();
        batch.delete(Column::Spool, key);
        batch.write().unwrap();
    }
    assert_eq!(digest_of(&opened).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_does_not_read_on() {
    let mut opened = Opened::new();
    opened.commit(entries()).await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(digest(&opened.tables, &stop).await.is_err());
}
