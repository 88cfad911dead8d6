//! Bodies by BDAT.

use super::*;

const CHUNKING: &str = "250-primary.test\r\n250-PIPELINING\r\n250 CHUNKING";
const ONE_BY_ONE: &str = "250-primary.test\r\n250 CHUNKING";

/// Offers CHUNKING, and otherwise answers as the script.
fn chunking(offers: &'static str, script: Script) -> Script {
    Arc::new(move |connection, moment| match moment {
        Moment::Ehlo => Act::Say(offers),
        moment => script(connection, moment),
    })
}

#[tokio::test]
async fn everything_arrives_unchanged_and_nothing_is_added() {
    for offers in [CHUNKING, ONE_BY_ONE] {
        let (primary, outbox) = setup(chunking(offers, usual()), NEVER).await;
        let large = b".0123456789\r\n".repeat(30_000);
        for body in [BODY, large.as_slice(), b"no line end", b"", b".\n.\r\n.\r"] {
            outbox.queue(&["a"], body);
        }
        let running = Running::start(&outbox);
        until("empty", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        let taken = primary.taken();
        for (taken, body) in
            taken
                .iter()
                .zip([BODY, large.as_slice(), b"no line end", b"", b".\n.\r\n.\r"])
        {
            let trace = format!("Received: {}\r\n", taken.sequence());
            assert_eq!(taken.body, [trace.as_bytes(), body].concat());
            let whole: usize = taken.chunks.iter().sum();
            assert_eq!(whole, taken.body.len());
        }
        assert_eq!(primary.sequences(), [1, 2, 3, 4, 5]);
        assert_eq!(taken[0].chunks.len(), 1, "a small message is one chunk");
        assert!(taken[1].chunks.len() >= 5);
        assert_no_deferral(&outbox);
    }
}

#[tokio::test]
async fn a_refused_chunk_leaves_the_connection_to_the_next_message() {
    for offers in [CHUNKING, ONE_BY_ONE] {
        let refusing = at_first(1, |m| *m == Moment::Chunk, Act::Say("452 4.3.1 no room"));
        let (primary, outbox) = setup(chunking(offers, refusing), NEVER).await;
        outbox.queue(&["a"], &b"x\r\n".repeat(100_000));
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("the other delivered", || {
            outbox.state.lock().unwrap().departed == [2]
        })
        .await;
        running.stop().await.unwrap();
        let message = outbox.message(1).unwrap();
        assert!(
            matches!(&message.recipients[0].status, Status::Deferred { reason, .. } if reason == "452 4.3.1 no room")
        );
        assert_eq!(primary.log.lock().unwrap().connections, 1);
    }
}

#[tokio::test]
async fn who_does_not_know_bdat_gets_bodies_by_data() {
    for offers in [CHUNKING, ONE_BY_ONE] {
        for when in [(|m| *m == Moment::Chunk) as fn(&Moment) -> bool, |m| {
            matches!(m, Moment::Dot(_))
        }] {
            let unknown = at_first(1, when, Act::Say("502 5.5.1 what?"));
            let (primary, outbox) = setup(chunking(offers, unknown), SOON).await;
            outbox.queue(&["a"], &b"x\r\n".repeat(100_000));
            let running = Running::start(&outbox);
            until("delivered", || outbox.is_empty()).await;
            running.stop().await.unwrap();
            let taken = primary.taken();
            assert_eq!((taken.len(), taken[0].connection), (1, 2));
            assert!(taken[0].chunks.is_empty(), "{:?}", taken[0].chunks);
        }
    }
}

#[tokio::test]
async fn a_connection_lost_before_the_last_chunk_changes_no_message() {
    for when in [(|m| *m == Moment::Body) as fn(&Moment) -> bool, |m| {
        *m == Moment::Chunk
    }] {
        for offers in [CHUNKING, ONE_BY_ONE] {
            let script = chunking(offers, at_first(2, when, Act::Close));
            let (primary, outbox) = setup(script, NEVER).await;
            // Too large for the buffers between, so that the last chunk is still here when the
            // primary closes.
            outbox.queue(&["a"], &b"x\r\n".repeat(4 << 20));
            outbox.queue(&["a"], BODY);
            let running = Running::start(&outbox);
            until("delivered", || outbox.is_empty()).await;
            running.stop().await.unwrap();
            assert_eq!(primary.sequences(), [1, 2]);
            assert_no_deferral(&outbox);
        }
    }
}

#[tokio::test]
async fn a_message_in_doubt_behind_its_last_chunk_is_repeated_before_the_later_ones() {
    let script = at_first(2, |m| matches!(m, Moment::Dot(_)), Act::Close);
    let (primary, outbox) = setup(chunking(CHUNKING, script), NEVER).await;
    for _ in 0..3 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 3]);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_lease_that_ends_in_mid_message_keeps_the_last_chunk_back() {
    let slow = at_first(
        1,
        |m| matches!(m, Moment::Rcpt(_)),
        Act::After(Duration::from_millis(200)),
    );
    let (primary, outbox) = setup(chunking(CHUNKING, slow), NEVER).await;
    outbox.queue(&["a"], &b"x\r\n".repeat(100_000));
    let running = Running::start(&outbox);
    until("a connection", || {
        primary.log.lock().unwrap().connections > 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    outbox.lease_ms.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(primary.dots(), 0);
    outbox.lease_ms.store(5000, Ordering::Relaxed);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
}
