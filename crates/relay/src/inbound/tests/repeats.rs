//! What a session tells of the 250s that its client has read.

use spool::MessageId;

use super::*;

/// Goes up to the 250 of a first message; returns its id.
async fn first_message(piped: &mut Piped) -> MessageId {
    piped.client.begin().await;
    let reply = piped.client.ask("text\r\n.").await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    assert!(piped.confirmed().is_empty(), "nothing has come since");
    piped.id_of(0)
}

impl Piped {
    fn confirmed(&self) -> Vec<MessageId> {
        self.memory.confirmed.lock().unwrap().clone()
    }

    fn id_of(&self, place: usize) -> MessageId {
        self.memory.accepted.lock().unwrap()[place].0.id
    }
}

#[tokio::test]
async fn any_command_behind_a_250_tells_that_it_was_read() {
    for (command, code) in [("QUIT", "221 "), ("NOOP", "250 "), ("nonsense", "500 ")] {
        let mut piped = Piped::start(config(), Memory::new(), None).await;
        let id = first_message(&mut piped).await;
        assert!(piped.client.ask(command).await.starts_with(code));
        assert_eq!(piped.confirmed(), [id], "{command}");
    }
}

#[tokio::test]
async fn the_next_message_of_a_session_carries_what_its_client_has_read() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    let id = first_message(&mut piped).await;
    piped.client.begin_again().await;
    piped.client.ask("text\r\n.").await;
    let accepted = piped.memory.accepted.lock().unwrap();
    assert!(accepted[0].0.confirmed.is_empty());
    assert_eq!(accepted[1].0.confirmed, [id]);
    assert_eq!(accepted[0].0.fingerprint, accepted[1].0.fingerprint);
    assert_ne!(accepted[0].0.id, accepted[1].0.id);
    drop(accepted);
    assert_eq!(piped.confirmed(), [id], "told once");
}

#[tokio::test]
async fn what_was_pipelined_behind_the_final_dot_proves_nothing_until_the_client_has_to_wait() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.begin().await;
    let group = "text\r\n.\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n";
    piped.client.send(group.as_bytes()).await;
    for code in ["250 2.0.0 ", "250 2.1.0 ", "250 2.1.5 ", "354 "] {
        assert!(piped.client.line().await.starts_with(code));
    }
    assert!(piped.confirmed().is_empty());
    let first = piped.id_of(0);
    // Nobody sends a body without having read 354, which comes behind the 250.
    let last = piped.client.ask("text\r\n.\r\nQUIT").await;
    assert!(last.starts_with("250 2.0.0 "), "{last}");
    assert!(piped.client.line().await.starts_with("221 "));
    assert!(piped.client.line().await.is_empty());
    assert_eq!(piped.confirmed(), [first], "the QUIT came too early");
}

#[tokio::test]
async fn a_connection_that_ends_behind_the_250_confirms_nothing() {
    for rest in ["", "QU"] {
        let mut piped = Piped::start(config(), Memory::new(), None).await;
        first_message(&mut piped).await;
        piped.client.send(rest.as_bytes()).await;
        let Piped {
            client,
            memory,
            session,
            ..
        } = piped;
        drop(client);
        session.await.unwrap();
        assert!(memory.confirmed.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_behind_the_250_confirms_nothing() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    first_message(&mut piped).await;
    assert!(piped.client.line().await.starts_with("421 4.4.2 "));
    assert!(piped.confirmed().is_empty());
}

#[tokio::test]
async fn a_repeat_is_answered_and_confirmed_with_the_first_id() {
    let first = MessageId(4711);
    let memory = Memory {
        repeat_of: Some(first),
        ..Memory::new()
    };
    let mut piped = Piped::start(config(), memory, None).await;
    piped.client.begin().await;
    let reply = piped.client.ask("text\r\n.").await;
    assert_eq!(reply, format!("250 2.0.0 Ok: queued as {first}"));
    assert!(piped.memory.discarded.lock().unwrap().is_empty());
    piped.client.ask("QUIT").await;
    assert_eq!(piped.confirmed(), [first]);
}

#[tokio::test]
async fn a_message_that_was_put_off_is_confirmed_by_nothing() {
    let memory = Memory {
        refuse_accept: Some(spool::Refusal::NoQuorum),
        ..Memory::new()
    };
    let mut piped = Piped::start(config(), memory, None).await;
    piped.client.begin().await;
    assert!(piped.client.ask("text\r\n.").await.starts_with("451 "));
    assert!(piped.client.ask("QUIT").await.starts_with("221 "));
    assert!(piped.confirmed().is_empty());
}
