//! Bodies that are damaged here and whole elsewhere.

use std::{collections::HashMap, sync::Mutex};

use sha2::{Digest as _, Sha256};

use super::*;
use crate::store::{MendError, Mending};

const PIECES: [&[u8]; 3] = [b"first ", b"second ", b"last"];

/// Another node, by what it has; it notes what it is asked for.
struct Other {
    pieces: HashMap<u64, &'static [u8]>,
    asked: Mutex<Vec<u64>>,
}

impl Other {
    fn whole() -> Self {
        Self {
            pieces: (1..).zip(PIECES).collect(),
            asked: Mutex::default(),
        }
    }

    async fn piece(&self, index: u64) -> Result<Bytes, String> {
        self.asked.lock().unwrap().push(index);
        let piece = self.pieces.get(&index).copied();
        piece
            .map(Bytes::from_static)
            .ok_or_else(|| "it has none".to_owned())
    }
}

/// A node with one message, whose pieces came with the entries 1 to 3.
async fn with_message() -> (Opened, Mending, spool::Message) {
    let mut opened = Opened::new();
    let mut accepted = accept(9, 2, 17, PIECES[2]);
    if let Command::Accept(accept) = &mut accepted {
        accept.digest = Digest(Sha256::digest(PIECES.concat()).into());
    }
    opened
        .commit(vec![
            entry(1, stage(9, 0, PIECES[0])),
            entry(2, stage(9, 1, PIECES[1])),
            entry(3, accepted),
        ])
        .await;
    let mending = opened.log.mending(Arc::clone(&opened.tables));
    let message = opened.messages().remove(0);
    assert!(mending.is_whole(&message.body).await);
    (opened, mending, message)
}

fn damage(opened: &Opened, index: u64, octets: Option<&[u8]>) {
    let database = opened.tables.now();
    let mut batch = database.batch();
    batch.delete_piece(index).unwrap();
    if let Some(octets) = octets {
        batch.put_piece(index, Bytes::copy_from_slice(octets));
    }
    batch.write().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_missing_is_fetched_and_stays() {
    let (opened, mending, message) = with_message().await;
    damage(&opened, 2, Some(b"sec0nd "));
    damage(&opened, 3, None);
    assert!(!mending.is_whole(&message.body).await);
    let other = Other::whole();
    let mended = mending.mend(&message, |index| other.piece(index)).await;
    mended.unwrap();
    // All of them are looked at, and only what differs is taken.
    assert_eq!(*other.asked.lock().unwrap(), [1, 2, 3, 2, 3]);
    drop(mending);
    let mut opened = opened.reopened();
    for (index, piece) in (1..).zip(PIECES) {
        let stored = opened.tables.piece(index).unwrap();
        assert_eq!(stored.as_deref(), Some(piece), "entry {index}");
    }
    assert_eq!(opened.read(1, 4).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_from_a_node_whose_copy_is_not_whole() {
    let (opened, mending, message) = with_message().await;
    damage(&opened, 2, Some(b"sec0nd "));
    let mut other = Other::whole();
    other.pieces.insert(1, b"fir5t ");
    let mended = mending.mend(&message, |index| other.piece(index)).await;
    assert!(matches!(mended, Err(MendError::NotWhole)), "{mended:?}");
    other.pieces.remove(&3);
    let mended = mending.mend(&message, |index| other.piece(index)).await;
    let why = mended.unwrap_err().to_string();
    assert_eq!(why, "it gave no piece 3: it has none");
    let stored = |index| opened.tables.piece(index).unwrap();
    assert_eq!(stored(1).as_deref(), Some(PIECES[0]));
    assert_eq!(stored(2).as_deref(), Some(&b"sec0nd "[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_has_left_gets_no_pieces() {
    let (mut opened, mending, message) = with_message().await;
    opened.commit(vec![entry(4, delivered(9))]).await;
    opened.log.purge(log_id(4)).await.unwrap();
    let other = Other::whole();
    let mended = mending.mend(&message, |index| other.piece(index)).await;
    assert!(matches!(mended, Err(MendError::NotKept)), "{mended:?}");
    for index in 1..4 {
        assert_eq!(opened.tables.piece(index).unwrap(), None, "entry {index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mended_pieces_go_with_their_message() {
    let (mut opened, mending, message) = with_message().await;
    damage(&opened, 1, None);
    opened.log.purge(log_id(3)).await.unwrap();
    let other = Other::whole();
    let mended = mending.mend(&message, |index| other.piece(index)).await;
    mended.unwrap();
    opened.commit(vec![entry(4, delivered(9))]).await;
    opened.log.purge(log_id(4)).await.unwrap();
    for index in 1..4 {
        assert_eq!(opened.tables.piece(index).unwrap(), None, "entry {index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_damaged_pieces_knows_who_led_when() {
    let (mut opened, mending, _) = with_message().await;
    let of = |term: u64, index| Entry::new_blank(LogId::new(term.into(), index));
    let later = vec![of(2, 4), of(2, 5), of(5, 6), of(6, 7), of(6, 8)];
    opened.commit(later).await;
    drop(mending);
    (1..4).for_each(|index| damage(&opened, index, None));
    let mut opened = opened.reopened();
    let last = LogId::new(6.into(), 8);
    let ids = opened.log.get_key_log_ids(log_id(1)..=last).await.unwrap();
    let ids: Vec<(u64, u64)> = ids.iter().map(|id| (id.leader_id.term, id.index)).collect();
    assert_eq!(ids, [(1, 3), (2, 5), (5, 6), (6, 8)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_a_follower_is_to_be_sent_is_asked_of_others() {
    let (mut opened, mending, _) = with_message().await;
    let whole = opened.read(1, 4).await;
    drop(mending);
    damage(&opened, 2, None);
    // What was just written is still in memory.
    let mut opened = opened.reopened();
    let mut log = opened.log.clone();
    let before = log.limited_get_log_entries(1, 4).await.unwrap();
    assert_eq!(before, whole[..1]);
    let (sent, ()) = tokio::join!(log.limited_get_log_entries(2, 4), async {
        let Lost { log_id: of, found } = opened.lost.recv().await.unwrap();
        assert_eq!(of, log_id(2));
        found.send(Bytes::from_static(PIECES[1])).unwrap();
    });
    assert_eq!(sent.unwrap(), whole[1..2]);
    let behind = log.limited_get_log_entries(3, 4).await.unwrap();
    assert_eq!(behind, whole[2..]);
    // Where nobody is asked, as at a start, it is an error.
    opened.lost.close();
    log.limited_get_log_entries(2, 4).await.unwrap_err();
}
