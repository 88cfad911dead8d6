//! Bodies on their way into the spool.

use spool::{MessageId, Refusal};
use tokio::sync::Semaphore;

use super::*;
use crate::inbound::limits::{BODY_READ_SIZE, PIECE_SIZE, UNFINISHED_PER_CLIENT_MAX};

/// Lines that add up to a number of octets.
fn body_of(octets: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(octets);
    let mut number = 0_u64;
    while body.len() + 100 < octets {
        number += 1;
        body.extend_from_slice(format!("{number:0>60}\r\n").as_bytes());
    }
    body.resize(octets - 2, b'x');
    body.extend_from_slice(b"\r\n");
    body
}

async fn send_body<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, body: &[u8]) {
    client.send(body).await;
    client.send(b".\r\n").await;
}

#[tokio::test]
async fn a_large_body_is_staged_in_pieces_and_a_small_one_is_not() {
    let near_a_piece = [PIECE_SIZE - 2, PIECE_SIZE, PIECE_SIZE + 2, PIECE_SIZE + 100];
    for octets in near_a_piece.into_iter().chain([10 * 1024 * 1024, 1000]) {
        let mut piped = Piped::start(config(), Memory::new(), None).await;
        piped.client.begin().await;
        let body = body_of(octets);
        send_body(&mut piped.client, &body).await;
        assert!(
            piped
                .client
                .line()
                .await
                .starts_with("250 2.0.0 Ok: queued as ")
        );
        let accepted = piped.memory.accepted.lock().unwrap();
        let (accept, arrived) = &accepted[0];
        assert_eq!(arrived, &body);
        assert_eq!(accept.staged as usize, octets / PIECE_SIZE);
        assert_eq!(accept.tail.len(), octets % PIECE_SIZE);
        assert!(piped.memory.discarded.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_client_that_has_staged_too_much_is_put_off() {
    let memory = Arc::new(Memory::new());
    let shared = Shared::new(
        config(),
        Arc::clone(&memory),
        clock(),
        metrics(),
        None,
        routes_without_dns(),
    );
    let client = [192, 0, 2, 1].into();
    let guest = || {
        shared
            .admission
            .enter(client)
            .unwrap()
            .seat(client)
            .unwrap()
    };
    let (greedy, late) = (guest(), Arc::new(guest()));
    assert!(greedy.set_aside(UNFINISHED_PER_CLIENT_MAX - PIECE_SIZE as u64));
    let mut arrival = shared.arrival(&late, MessageId(1));
    for _ in 0..2 {
        arrival.body.resize(PIECE_SIZE, b'x');
        arrival.stage_pieces(clock()).await;
    }
    assert_eq!(arrival.finish().unwrap_err(), Refusal::Busy);
    assert_eq!(*memory.discarded.lock().unwrap(), [MessageId(1)]);
    // What was given up counts no more.
    let mut again = shared.arrival(&late, MessageId(2));
    again.body.resize(PIECE_SIZE, b'x');
    again.stage_pieces(clock()).await;
    assert_eq!(again.finish().unwrap().staged, 1);
}

/// The most that a body holds and has set aside at once, of 12 MiB that arrive in reads of full size.
async fn held(memory: &Arc<Memory>, free_buffers: usize) -> (usize, usize) {
    let buffers = Arc::new(Semaphore::new(free_buffers));
    let mut shared = Shared::new(
        config(),
        Arc::clone(memory),
        clock(),
        metrics(),
        None,
        routes_without_dns(),
    );
    shared.large_bodies = Arc::clone(&buffers);
    let client = [192, 0, 2, 1].into();
    let guest = shared
        .admission
        .enter(client)
        .unwrap()
        .seat(client)
        .unwrap();
    let mut arrival = shared.arrival(&Arc::new(guest), MessageId(1));
    let (mut held, mut set_aside) = (0, 0);
    for _ in 0..200 {
        arrival.body.extend_from_slice(&[b'x'; BODY_READ_SIZE - 7]);
        arrival.make_room(clock()).await;
        held = held.max(arrival.body.len());
        set_aside = set_aside.max(arrival.body.capacity());
    }
    let arrived = arrival.finish().unwrap();
    assert_eq!(arrived.size, 200 * (BODY_READ_SIZE as u64 - 7));
    arrival.accepted();
    assert_eq!(buffers.available_permits(), free_buffers);
    (held, set_aside)
}

#[tokio::test]
async fn no_more_than_a_piece_and_a_read_is_ever_held() {
    let (held, set_aside) = held(&Arc::new(Memory::new()), 1).await;
    assert!(held < PIECE_SIZE);
    assert!(set_aside <= PIECE_SIZE + 2 * BODY_READ_SIZE, "{set_aside}");
}

#[tokio::test]
async fn while_others_hold_as_much_as_may_be_a_body_is_staged_as_it_comes() {
    let memory = Arc::new(Memory::new());
    let (held, set_aside) = held(&memory, 0).await;
    assert!(held <= BODY_READ_SIZE);
    assert!(set_aside <= 2 * BODY_READ_SIZE, "{set_aside}");
    let pieces = memory.pieces.lock().unwrap();
    let staged: usize = pieces.values().flatten().map(bytes::Bytes::len).sum();
    assert!(staged >= 199 * (BODY_READ_SIZE - 7));
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing_staged() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.begin().await;
    piped.client.send(&body_of(3 * PIECE_SIZE)).await;
    drop(piped.client);
    piped.session.await.unwrap();
    assert!(piped.memory.messages().is_empty());
    assert!(piped.memory.pieces.lock().unwrap().is_empty());
    assert_eq!(piped.memory.discarded.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_answered_421_and_given_up() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.begin().await;
    piped.client.send(&body_of(2 * PIECE_SIZE)).await;
    assert!(piped.client.line().await.starts_with("421 4.4.2 "));
    assert_eq!(piped.client.line().await, "");
    piped.session.await.unwrap();
    assert!(piped.memory.pieces.lock().unwrap().is_empty());
    assert!(piped.memory.messages().is_empty());
}

#[tokio::test]
async fn a_refused_body_is_discarded_and_the_session_goes_on() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.begin().await;
    piped.client.send(&body_of(2 * PIECE_SIZE)).await;
    send_body(&mut piped.client, b"bare\nline feed\r\n").await;
    assert!(piped.client.line().await.starts_with("550 5.6.11 "));
    assert_eq!(piped.memory.discarded.lock().unwrap().len(), 1);
    piped.client.begin_again().await;
    assert!(
        piped
            .client
            .ask("text\r\n.")
            .await
            .starts_with("250 2.0.0 ")
    );
    assert_eq!(piped.memory.messages().len(), 1);
}

#[tokio::test]
async fn a_body_whose_staging_fails_is_read_to_its_end_and_put_off() {
    let memory = Memory {
        refuse_stage: Some(Refusal::DiskFull),
        ..Memory::new()
    };
    let mut piped = Piped::start(config(), memory, None).await;
    piped.client.begin().await;
    send_body(&mut piped.client, &body_of(10 * PIECE_SIZE)).await;
    assert!(piped.client.line().await.starts_with("452 4.3.1 "));
    assert!(piped.client.ask("NOOP").await.starts_with("250 "));
    assert!(piped.memory.pieces.lock().unwrap().is_empty());
    assert!(piped.memory.messages().is_empty());
}

#[tokio::test]
async fn a_message_that_is_not_committed_is_put_off_and_discarded() {
    let memory = Memory {
        refuse_accept: Some(Refusal::NoQuorum),
        ..Memory::new()
    };
    let mut piped = Piped::start(config(), memory, None).await;
    piped.client.begin().await;
    send_body(&mut piped.client, &body_of(PIECE_SIZE + 50)).await;
    assert!(piped.client.line().await.starts_with("451 4.3.0 "));
    assert!(piped.memory.pieces.lock().unwrap().is_empty());
    piped.client.begin_again().await;
    assert!(piped.client.ask(".").await.starts_with("451 4.3.0 "));
    assert_eq!(piped.memory.discarded.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_spool_that_takes_nothing_says_so_at_mail() {
    for (refusal, code) in [
        (Refusal::NoQuorum, "451 4.3.0 "),
        (Refusal::DiskFull, "452 4.3.1 "),
        (Refusal::ShuttingDown, "421 4.3.2 "),
    ] {
        let memory = Memory {
            not_ready: Some(refusal),
            ..Memory::new()
        };
        let mut piped = Piped::start(config(), memory, None).await;
        piped.client.line().await;
        piped.client.ask("HELO client.example").await;
        assert!(piped.client.ask("MAIL FROM:<>").await.starts_with(code));
    }
}

#[tokio::test]
async fn before_the_founding_no_recipient_is_judged() {
    let mut piped = Piped::start(config(), Memory::default(), None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<>").await;
    assert!(
        piped
            .client
            .ask("RCPT TO:<b@example.com>")
            .await
            .starts_with("451 4.3.0 ")
    );
}
