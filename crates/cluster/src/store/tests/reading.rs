//! Reading the log while it changes.

use futures::{StreamExt as _, TryStreamExt as _};

use super::*;
use crate::store::{keys, open::Column};

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_and_its_piece_are_read_as_of_one_moment() {
    let mut opened = Opened::new();
    opened
        .append(vec![entry(1, accept(9, 0, 4, b"body"))])
        .await;
    let database = opened.tables.now();
    let before = database.moment();
    opened.log.truncate_after(None).await.unwrap();
    for column in [Column::Log, Column::Segment] {
        assert_eq!(database.get(column, keys::entry(1)).unwrap(), None);
        assert!(before.get(column, keys::entry(1)).unwrap().is_some());
    }
    let all = before.range(Column::Log, &keys::entry(0), keys::entry(9).to_vec());
    assert_eq!(all.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_to_apply_that_are_gone_are_an_error_and_not_the_end() {
    let mut opened = Opened::new();
    let blanks = (1..6).map(|index| Entry::new_blank(log_id(index)));
    opened.append(blanks.collect()).await;
    // Nothing of it stays in memory.
    let mut opened = opened.reopened();
    let database = opened.tables.now();
    let mut batch = database.batch();
    batch.delete_range(Column::Log, keys::entry(3), keys::entry(9));
    batch.write().unwrap();

    let stream = opened.log.entries_stream(1..6).await;
    let read: Vec<_> = stream.collect().await;
    let indices: Vec<_> = read
        .iter()
        .flatten()
        .map(|entry| entry.log_id.index)
        .collect();
    assert_eq!(indices, [1, 2]);
    let error = read.into_iter().find_map(Result::err).unwrap();
    assert!(
        error.to_string().contains("log entry 3 is missing"),
        "{error}"
    );
    let whole: Vec<_> = opened
        .log
        .entries_stream(1..3)
        .await
        .try_collect()
        .await
        .unwrap();
    assert_eq!(whole.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_is_no_failure_for_who_still_reads_it_and_a_hole_is() {
    let mut opened = Opened::new();
    let blanks = (1..8).map(|index| Entry::new_blank(log_id(index)));
    opened.append(blanks.collect()).await;
    opened.log.purge(log_id(3)).await.unwrap();
    let mut opened = opened.reopened();
    let read = opened.log.limited_get_log_entries(2, 8).await.unwrap();
    assert_eq!(read, []);
    let read = opened.log.limited_get_log_entries(4, 8).await.unwrap();
    assert_eq!(read.len(), 4);

    let database = opened.tables.now();
    let mut batch = database.batch();
    batch.delete_range(Column::Log, keys::entry(5), keys::entry(6));
    batch.write().unwrap();
    let error = opened.log.limited_get_log_entries(5, 8).await.unwrap_err();
    assert!(
        error.to_string().contains("log entry 5 is missing"),
        "{error}"
    );
}
