//! Room on the disk after messages have left.

use std::{fs, time::Duration};

use super::*;

const BODY_BYTES: usize = 1 << 20;

/// Octets of the files of the present database.
fn octets(opened: &Opened) -> usize {
    let database = opened.tables.store().directory().present();
    let files = fs::read_dir(database).unwrap().flatten();
    let sizes = files.filter_map(|file| file.metadata().ok());
    sizes
        .map(|metadata| usize::try_from(metadata.len()).unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_gives_its_room_back_and_what_waits_stays() {
    let mut opened = Opened::new();
    let body: &'static [u8] = vec![b'x'; BODY_BYTES].leak();
    let accepted = |id: u64| entry(id, accept(u128::from(id), 0, BODY_BYTES as u64, body));
    // One after the other, as they come: what is written at once lies in one file.
    for id in 1..=8 {
        opened.commit(vec![accepted(id)]).await;
    }
    let left = |id: u64| entry(id + 8, delivered(u128::from(id)));
    opened.commit((1..=7).map(left).collect()).await;
    assert_eq!(opened.messages().len(), 1);
    let store = Arc::clone(opened.tables.store());
    assert_eq!(
        store.give_room_back(None).unwrap(),
        None,
        "all is in the log"
    );
    opened.log.purge(log_id(15)).await.unwrap();
    assert!(octets(&opened) > 8 * BODY_BYTES);

    assert_eq!(store.give_room_back(Some(14)).unwrap(), Some(15));
    assert_eq!(store.give_room_back(Some(15)).unwrap(), None);
    drop(store);
    opened.log.tidying().ask().await;
    // Files are taken away by other threads. The body that waits shared one with others.
    for _ in 0..1000 {
        if octets(&opened) < 2 * BODY_BYTES {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(octets(&opened) < 2 * BODY_BYTES, "{}", octets(&opened));
    let opened = opened.reopened();
    assert_eq!(opened.tables.piece(8).unwrap().as_deref(), Some(body));
    assert_eq!(opened.tables.piece(7).unwrap(), None);
}
