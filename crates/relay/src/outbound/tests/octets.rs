//! Connections that end at any octet of a dialogue.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// Passes octets on to a primary. The first connection with a message in it breaks after so many of
/// the client's octets, in both directions.
async fn breaking_after(octets: u64, primary: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(primary).await.unwrap();
        let (from_client, mut to_client) = near.split();
        let (mut from_primary, mut to_primary) = far.split();
        let forth = async {
            copy(&mut from_client.take(octets), &mut to_primary)
                .await
                .ok();
            to_primary.flush().await.ok();
        };
        tokio::select! {
            () = forth => {}
            _ = copy(&mut from_primary, &mut to_client) => {}
        }
        drop((near, far));
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(primary).await.unwrap();
            copy_bidirectional(&mut near, &mut far).await.ok();
        }
    });
    (address, tasks)
}

/// Breaks the connection under a message at each octet of the dialogue in turn. Nothing may be lost,
/// and only when the primary has read all of it may the message be repeated.
async fn break_at_each_octet(offers: &'static str, dialogue: &str) {
    let whole = dialogue.len() as u64;
    let repeated = Arc::new(Mutex::new(Vec::new()));
    let mut runs = JoinSet::new();
    for octets in 0..=whole {
        let repeated = repeated.clone();
        runs.spawn(async move {
            let primary = Primary::start(ANY_PORT, offering(offers), None).await;
            let (address, _breaking) = breaking_after(octets, primary.address).await;
            let outbox = MapOutbox::new(domain(address), NEVER);
            outbox.queue(&["a"], b"Subject: x\r\n\r\n.\r\n");
            let running = Running::start(&outbox);
            until("delivered", || outbox.is_empty()).await;
            running.stop().await.unwrap();
            assert_no_deferral(&outbox);
            match primary.sequences()[..] {
                [1] => {}
                [1, 1] => repeated.lock().unwrap().push(octets),
                ref other => panic!("after {octets} octets: {other:?}"),
            }
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
    let repeated = repeated.lock().unwrap();
    assert!(
        repeated.iter().all(|octets| *octets == whole),
        "{repeated:?}"
    );
}

#[tokio::test]
async fn no_octet_of_a_message_behind_data_is_a_bad_one_to_break_at() {
    break_at_each_octet(
        "250-primary.test\r\n250 PIPELINING",
        "EHLO node.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n\
         Received: 1\r\nSubject: x\r\n\r\n..\r\n.\r\n",
    )
    .await;
}

#[tokio::test]
async fn no_octet_of_a_message_in_a_chunk_is_a_bad_one_to_break_at() {
    break_at_each_octet(
        "250-primary.test\r\n250-PIPELINING\r\n250 CHUNKING",
        "EHLO node.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nBDAT 30 LAST\r\n\
         Received: 1\r\nSubject: x\r\n\r\n.\r\n",
    )
    .await;
}
