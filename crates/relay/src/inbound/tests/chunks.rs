//! Bodies that come in chunks on their way into the spool.

use super::*;
use crate::inbound::limits::PIECE_SIZE;

async fn open<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) {
    for command in [
        "HELO client.example",
        "MAIL FROM:<a@sender.example>",
        "RCPT TO:<b@example.com>",
    ] {
        let reply = client.ask(command).await;
        assert!(reply.starts_with("250 "), "{command}: {reply}");
    }
}

async fn send_chunk<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    octets: &[u8],
    last: &str,
) -> String {
    let command = format!("BDAT {}{last}\r\n", octets.len());
    client.send(command.as_bytes()).await;
    client.send(octets).await;
    client.line().await
}

#[tokio::test]
async fn a_large_body_is_staged_in_pieces_whatever_its_chunks() {
    for chunk in [1000, PIECE_SIZE / 2, PIECE_SIZE, 3 * PIECE_SIZE - 7] {
        let mut piped = Piped::start(config(), Memory::new(), None).await;
        piped.client.line().await;
        open(&mut piped.client).await;
        let body = b"0123456789abcde\r\n".repeat(100_000);
        for chunk in body.chunks(chunk) {
            let reply = send_chunk(&mut piped.client, chunk, "").await;
            let received = format!("250 2.0.0 {} octets received", chunk.len());
            assert_eq!(reply, received);
        }
        let reply = send_chunk(&mut piped.client, b"", " LAST").await;
        assert!(reply.starts_with("250 2.0.0 Ok: queued as "), "{reply}");
        let accepted = piped.memory.accepted.lock().unwrap();
        let (accept, arrived) = &accepted[0];
        assert!(arrived == &body, "the body differs");
        assert_eq!(accept.staged as usize, body.len() / PIECE_SIZE);
        assert!(piped.memory.discarded.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_message_given_up_between_chunks_leaves_nothing_staged() {
    for command in ["RSET", "HELO client.example"] {
        let mut piped = Piped::start(config(), Memory::new(), None).await;
        piped.client.line().await;
        open(&mut piped.client).await;
        let octets = vec![b'x'; 2 * PIECE_SIZE + 100];
        let reply = send_chunk(&mut piped.client, &octets, "").await;
        assert!(reply.starts_with("250 "), "{reply}");
        assert!(piped.client.ask(command).await.starts_with("250 "));
        assert!(piped.client.ask("NOOP").await.starts_with("250 "));
        assert!(piped.memory.pieces.lock().unwrap().is_empty());
        assert_eq!(piped.memory.discarded.lock().unwrap().len(), 1);
        open(&mut piped.client).await;
        let reply = send_chunk(&mut piped.client, b"text\r\n", " LAST").await;
        assert!(reply.starts_with("250 2.0.0 Ok: queued as "), "{reply}");
        let (_, body) = piped.memory.messages().remove(0);
        assert_eq!(body, b"text\r\n");
    }
}

#[tokio::test]
async fn a_client_that_leaves_between_chunks_leaves_nothing_staged() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.line().await;
    open(&mut piped.client).await;
    let octets = vec![b'x'; 2 * PIECE_SIZE];
    let reply = send_chunk(&mut piped.client, &octets, "").await;
    assert!(reply.starts_with("250 "), "{reply}");
    drop(piped.client);
    piped.session.await.unwrap();
    assert!(piped.memory.messages().is_empty());
    assert!(piped.memory.pieces.lock().unwrap().is_empty());
    assert_eq!(piped.memory.discarded.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_chunk_that_is_sure_to_be_too_big_is_not_staged() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.line().await;
    open(&mut piped.client).await;
    let octets = vec![b'x'; 21 * 1024 * 1024];
    let reply = send_chunk(&mut piped.client, &octets, " LAST").await;
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
    assert!(piped.memory.pieces.lock().unwrap().is_empty());
    assert!(piped.memory.discarded.lock().unwrap().is_empty());
    assert!(piped.client.ask("NOOP").await.starts_with("250 "));
}
