//! The dialogues of the bare session, over a pipe and with an intake behind it.

use std::path::Path;

use smtp::dsn::{Notify, PerRecipient, Ret};
use tokio::io::AsyncReadExt as _;

use super::*;
use transcript::{Step, Transcript, matches};

fn config_for(transcript: &Transcript) -> Config {
    let number = |key: &str| {
        transcript
            .setting(key)
            .map(|value| value.parse::<u64>().unwrap())
    };
    let mut config = config();
    config.max_message_size = number("size_max").unwrap_or(config.max_message_size);
    config.max_recipients =
        number("recipients_max").map_or(config.max_recipients, |max| usize::try_from(max).unwrap());
    config
}

/// Plays steps until there are no more, or until both sides are to shake hands.
async fn play<'a, S: AsyncRead + AsyncWrite + Unpin>(
    name: &str,
    client: &mut Client<S>,
    steps: &mut impl Iterator<Item = &'a Step>,
) -> bool {
    let mut unsent: Vec<u8> = Vec::new();
    for step in steps {
        if let Step::Client(octets) = step {
            unsent.extend_from_slice(octets);
            continue;
        }
        if !unsent.is_empty() {
            client.send(&std::mem::take(&mut unsent)).await;
        }
        match step {
            Step::Server(pattern) => {
                let line = client.line().await;
                assert!(
                    matches(pattern, &line),
                    "{name}: expected {pattern:?}, got {line:?}"
                );
            }
            Step::Closed => {
                let mut rest = Vec::new();
                client.0.read_to_end(&mut rest).await.unwrap();
                assert!(rest.is_empty(), "{name}: {}", rest.escape_ascii());
            }
            Step::Tls => return true,
            // The paused clock jumps to the time-out as soon as nothing else can happen.
            Step::TimeOut | Step::Message(_) | Step::Body(_) => {}
            other => panic!("{name}: {other:?} is for the bare machine"),
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn the_corpus_goes_over_a_pipe_as_it_goes_over_the_bare_session() {
    let folder = Path::new("../smtp/transcripts/server");
    let (tls, roots) = server_tls();
    let mut played = 0;
    for transcript in Transcript::read_all(folder) {
        if transcript.has("machine") {
            continue;
        }
        played += 1;
        let name = &transcript.name;
        let tls = (!transcript.has("no-starttls")).then(|| Arc::clone(&tls));
        let config = config_for(&transcript);
        let mut steps = transcript.steps.iter().peekable();
        let mut early = Vec::new();
        while let Some(Step::Client(octets)) = steps.next_if(|step| matches!(step, Step::Client(_)))
        {
            early.extend_from_slice(octets);
        }
        let mut piped = Piped::start_after(&early, config, Memory::new(), tls).await;
        if play(name, &mut piped.client, &mut steps).await {
            let server = "mx.example.net".try_into().unwrap();
            let pipe = piped.client.0.into_inner();
            let secure = connector(roots.clone())
                .connect(server, pipe)
                .await
                .unwrap();
            assert!(!play(name, &mut Client(BufReader::new(secure)), &mut steps).await);
        }
        let mut expected = Vec::new();
        for step in &transcript.steps {
            match step {
                Step::Message(envelope) => expected.push((envelope.clone(), Vec::new())),
                Step::Body(body) => expected.last_mut().unwrap().1.clone_from(body),
                _ => {}
            }
        }
        assert_eq!(piped.memory.messages(), expected, "{name}");
    }
    assert!(played >= 40, "{played}");
}

#[tokio::test]
async fn an_accepted_message_carries_everything_that_is_known_of_it() {
    let (tls, roots) = server_tls();
    let mut piped = Piped::start(config(), Memory::new(), Some(tls)).await;
    assert!(piped.client.line().await.starts_with("220 mx.example.net "));
    assert!(
        piped
            .client
            .ask("HELO client.example")
            .await
            .starts_with("250 ")
    );
    assert!(piped.client.ask("STARTTLS").await.starts_with("220 2.0.0 "));
    let server = "mx.example.net".try_into().unwrap();
    let pipe = piped.client.0.into_inner();
    let mut client = Client(BufReader::new(
        connector(roots).connect(server, pipe).await.unwrap(),
    ));
    client.begin_again().await;
    let reply = client.ask("Subject: x\r\n\r\ntext\r\n.").await;
    let accepted = piped.memory.accepted.lock().unwrap();
    let (accept, body) = &accepted[0];
    assert_eq!(reply, format!("250 2.0.0 Ok: queued as {}", accept.id));
    assert_eq!(body, b"Subject: x\r\n\r\ntext\r\n");
    assert_eq!(accept.staged, 0);
    assert_eq!(accept.recipients[0].1, "example.com");
    assert_eq!(accept.received_at, clock().now());
    assert_eq!(accept.client.helo, "client.example");
    let tls = accept.client.tls.as_deref().unwrap();
    assert!(tls.starts_with("TLSv1.3 TLS13_"), "{tls}");
    let trace = String::from_utf8(accept.trace.to_vec()).unwrap();
    assert!(
        trace.contains(&format!("with ESMTPS id {}\r\n", accept.id)),
        "{trace}"
    );
    assert!(trace.contains("\r\n\tfor <b@example.com>; "), "{trace}");
}

#[tokio::test]
async fn what_a_sender_says_is_spooled_with_his_message() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.line().await;
    for command in [
        "HELO client.example",
        "MAIL FROM:<\u{e4}@sender.example> SMTPUTF8 RET=FULL ENVID=x+2By",
        "RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;c@example.com",
        "RCPT TO:<\u{f6}@example.com>",
    ] {
        let reply = piped.client.ask(command).await;
        assert!(reply.starts_with("250 "), "{command}: {reply}");
    }
    assert!(piped.client.ask("DATA").await.starts_with("354 "));
    assert!(piped.client.ask("text\r\n.").await.starts_with("250 "));
    let accepted = piped.memory.accepted.lock().unwrap();
    let (accept, _) = &accepted[0];
    assert!(accept.smtputf8);
    assert_eq!(accept.dsn.ret, Some(Ret::Full));
    assert_eq!(accept.dsn.envid.as_ref().unwrap().as_str(), "x+2By");
    let [(first, _), (second, _)] = &accept.recipients[..] else {
        panic!("{:?}", accept.recipients);
    };
    assert_eq!(first.dsn.notify, Some(Notify::NEVER));
    let orcpt = first.dsn.orcpt.as_ref().unwrap();
    assert_eq!(orcpt.as_str(), "rfc822;c@example.com");
    assert_eq!(second.dsn, PerRecipient::default());
    assert_eq!(second.path.to_string(), "\u{f6}@example.com");
    let trace = String::from_utf8(accept.trace.to_vec()).unwrap();
    assert!(trace.contains(" with UTF8SMTP id "), "{trace}");
}

#[tokio::test]
async fn clear_text_behind_starttls_is_no_handshake() {
    let (tls, _) = server_tls();
    let mut piped = Piped::start(config(), Memory::new(), Some(tls)).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    assert!(piped.client.ask("STARTTLS").await.starts_with("220 2.0.0 "));
    piped
        .client
        .send(b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<b@example.com>\r\n")
        .await;
    let mut rest = Vec::new();
    piped.client.0.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.windows(4).any(|four| four == b"250 "));
    piped.session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_in_the_handshake_is_given_up() {
    let (tls, _) = server_tls();
    let mut piped = Piped::start(config(), Memory::new(), Some(tls)).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    assert!(piped.client.ask("STARTTLS").await.starts_with("220 2.0.0 "));
    piped.session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_given_up() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    for _ in 0..9 {
        let octets = b"VRFY somebody\r\n".repeat(4000);
        let written = piped.client.0.get_mut().write_all(&octets);
        drop(tokio::time::timeout(Duration::from_secs(1), written).await);
    }
    piped.session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn octets_that_drip_in_do_not_extend_the_time_for_a_command() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.line().await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(80)).await;
        drop(piped.client.0.get_mut().write_all(b"N").await);
    }
    assert!(piped.client.line().await.starts_with("421 4.4.2 "));
}

#[tokio::test]
async fn sessions_retire_at_the_next_command_and_stop_at_once() {
    for (serving, command) in [(Serving::Retiring, Some("NOOP")), (Serving::Stopping, None)] {
        let mut piped = Piped::start(config(), Memory::new(), None).await;
        piped.client.line().await;
        piped.serving.send_replace(serving);
        if let Some(command) = command {
            piped.client.send(format!("{command}\r\n").as_bytes()).await;
        }
        assert!(piped.client.line().await.starts_with("421 4.3.2 "));
        assert!(piped.client.line().await.is_empty());
    }
}
