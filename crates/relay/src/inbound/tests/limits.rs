//! What a client may do, and for how long.

use spool::policy::Document;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::inbound::limits::{
    CROWDED_BODY_RATE_MIN, CROWDED_BODY_TIMEOUT, CROWDED_COMMAND_TIMEOUT, CROWDED_FRUITLESS_MAX,
    CROWDED_GUESSES_MAX, GUESSES_IN_ALL_MAX, GUESSES_MAX, PIECE_WAIT_MAX,
};

/// A node that a single session fills.
fn crowded() -> Config {
    Config {
        max_connections: 1,
        ..config()
    }
}

#[tokio::test(start_paused = true)]
async fn while_places_are_short_an_idle_client_is_sent_away_soon() {
    let mut piped = Piped::start(crowded(), Memory::new(), None).await;
    piped.client.line().await;
    let start = Instant::now();
    assert!(piped.client.line().await.starts_with("421 4.4.2 "));
    assert_eq!(start.elapsed(), CROWDED_COMMAND_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn while_places_are_short_talk_without_a_message_is_not_listened_to_for_long() {
    let mut piped = Piped::start(crowded(), Memory::new(), None).await;
    piped.client.line().await;
    let start = Instant::now();
    let pause = CROWDED_COMMAND_TIMEOUT - Duration::from_secs(1);
    let farewell = loop {
        match timeout(pause, piped.client.line()).await {
            Ok(unasked) => break unasked,
            Err(_) => assert!(piped.client.ask("NOOP").await.starts_with("250 ")),
        }
    };
    assert!(farewell.starts_with("421 4.4.2 "), "{farewell}");
    assert_eq!(start.elapsed(), CROWDED_FRUITLESS_MAX);
}

#[tokio::test(start_paused = true)]
async fn while_places_are_short_a_body_must_arrive_at_a_rate() {
    let rate = usize::try_from(CROWDED_BODY_RATE_MIN).unwrap();
    for (octets_a_second, is_taken) in [(2 * rate, true), (rate / 2, false)] {
        let mut piped = Piped::start(crowded(), Memory::new(), None).await;
        piped.client.begin().await;
        let mut line = vec![b'x'; octets_a_second - 2];
        line.extend_from_slice(b"\r\n");
        for _ in 0..10 * CROWDED_BODY_TIMEOUT.as_secs() {
            sleep(Duration::from_secs(1)).await;
            drop(piped.client.0.get_mut().write_all(&line).await);
        }
        drop(piped.client.0.get_mut().write_all(b".\r\n").await);
        let reply = piped.client.line().await;
        let expected = if is_taken { "250 " } else { "421 4.4.2 " };
        assert!(reply.starts_with(expected), "{octets_a_second}: {reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_places_are_short_chunks_must_arrive_at_a_rate() {
    let rate = usize::try_from(CROWDED_BODY_RATE_MIN).unwrap();
    let pause = Duration::from_secs(5);
    for (octets, is_taken) in [(10 * rate, true), (1, false)] {
        let mut piped = Piped::start(crowded(), Memory::new(), None).await;
        piped.client.line().await;
        for command in ["HELO c", "MAIL FROM:<>", "RCPT TO:<b@example.com>"] {
            assert!(piped.client.ask(command).await.starts_with("250 "));
        }
        let start = Instant::now();
        let mut reply = String::new();
        while start.elapsed() < 2 * CROWDED_FRUITLESS_MAX && !reply.starts_with("421 ") {
            sleep(pause).await;
            let mut chunk = format!("BDAT {octets}\r\n").into_bytes();
            chunk.resize(chunk.len() + octets, b'x');
            drop(piped.client.0.get_mut().write_all(&chunk).await);
            reply = piped.client.line().await;
        }
        if is_taken {
            reply = piped.client.ask("BDAT 0 LAST").await;
        }
        let expected = if is_taken { "250 " } else { "421 4.4.2 " };
        assert!(reply.starts_with(expected), "{octets}: {reply}");
    }
}

/// What a client hears last, if it says the same again and again, and how often it has said it by then.
async fn driven_away(config: Config, command: &str, most: u32) -> Option<(u32, String)> {
    let mut piped = Piped::start(config, Memory::new(), None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<>").await;
    for number in 1..=most {
        let mut reply = piped.client.ask(command).await;
        if !reply.starts_with("421 ")
            && let Ok(unasked) = timeout(Duration::from_millis(1), piped.client.line()).await
        {
            reply = unasked;
        }
        if reply.starts_with("421 ") {
            return Some((number, reply));
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn while_places_are_short_less_is_put_up_with() {
    let trusted = Config {
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        ..crowded()
    };
    let guesses = CROWDED_GUESSES_MAX + 1;
    // HELO and MAIL are of no use by themselves, either.
    let junk = smtp::limits::PRESSED_JUNK_MAX - 2 + 1;
    for (command, most, words) in [
        ("WHAT", smtp::limits::PRESSED_ERRORS_MAX, "too many errors"),
        ("NOOP", junk, "too many commands without a message"),
        (
            "RCPT TO:<a@elsewhere.example>",
            guesses,
            "too many recipients that do not exist here",
        ),
    ] {
        let told = driven_away(crowded(), command, 100).await;
        let (number, reply) = told.unwrap();
        assert!(reply.ends_with(words), "{command}: {reply}");
        assert_eq!(number, most, "{command}");
        for config in [config(), trusted.clone()] {
            assert_eq!(driven_away(config, command, most).await, None, "{command}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_fast_once_does_not_stay_for_ever() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.begin().await;
    let fast = b"0123456789abcde\r\n".repeat(200_000);
    piped.client.0.get_mut().write_all(&fast).await.unwrap();
    let start = Instant::now();
    let farewell = loop {
        match timeout(Duration::from_secs(70), piped.client.line()).await {
            Ok(unasked) => break unasked,
            Err(_) => piped.client.send(b"x").await,
        }
    };
    assert!(farewell.starts_with("421 4.4.2 "), "{farewell}");
    assert_eq!(start.elapsed().as_secs(), PIECE_WAIT_MAX.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_refused_and_takes_hours_hears_why() {
    let small = Config {
        max_message_size: 1000,
        ..config()
    };
    let minute = Duration::from_secs(60);
    let line = b"0123456789abcde\r\n".repeat(1000);
    for (minutes, ends) in [(90, true), (5 * 60, false)] {
        let mut piped = Piped::start(small.clone(), Memory::new(), None).await;
        piped.client.begin().await;
        for _ in 0..minutes {
            sleep(minute).await;
            drop(piped.client.0.get_mut().write_all(&line).await);
        }
        if ends {
            piped.client.send(b".\r\n").await;
        }
        let reply = piped.client.line().await;
        assert!(reply.starts_with("552 5.3.4 "), "{minutes}: {reply}");
    }
}

#[tokio::test]
async fn who_guesses_addresses_is_sent_away() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<>").await;
    for number in 0..GUESSES_MAX {
        let command = format!("RCPT TO:<user{number}@elsewhere.example>");
        let reply = piped.client.ask(&command).await;
        assert!(reply.starts_with("550 5.7.1 "), "{reply}");
    }
    let reply = piped.client.ask("RCPT TO:<b@elsewhere.example>").await;
    assert!(reply.starts_with("421 4.7.0 "), "{reply}");
    assert_eq!(piped.client.line().await, "");
}

#[tokio::test]
async fn who_knows_one_recipient_does_not_guess_the_others_behind_him() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    for number in 0..GUESSES_IN_ALL_MAX {
        assert!(piped.client.ask("MAIL FROM:<>").await.starts_with("250 "));
        let known = piped.client.ask("RCPT TO:<b@example.com>").await;
        assert!(known.starts_with("250 "), "{known}");
        let guess = format!("RCPT TO:<user{number}@elsewhere.example>");
        let reply = piped.client.ask(&guess).await;
        assert!(reply.starts_with("550 "), "{number}: {reply}");
        assert!(piped.client.ask("RSET").await.starts_with("250 "));
    }
    piped.client.ask("MAIL FROM:<>").await;
    let reply = piped.client.ask("RCPT TO:<b@elsewhere.example>").await;
    assert!(reply.starts_with("421 4.7.0 "), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_guessed_enough_for_a_minute_finds_out_about_nobody() {
    let config = Config {
        per_minute: PerMinute {
            unknown: 2,
            ..PerMinute::default()
        },
        ..config()
    };
    let text = "[[domain]]\nname = \"example.com\"\nprimary = [\"[::1]:25\"]\n\
        recipients = \"list\"\nrecipients_file = \"users\"\n";
    let document = Document {
        text: text.to_owned(),
        lists: [("users".to_owned(), "ann@example.com\n".to_owned())].into(),
    };
    let memory = || Memory {
        policy: Some(Arc::new(document.policy().unwrap())),
        ..Memory::default()
    };
    let mut piped = Piped::start(config.clone(), memory(), None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<>").await;
    for (to, expected) in [
        ("a@example.com", "550 5.1.1 "),
        ("ann@example.com", "250 2.1.5 "),
        ("c@elsewhere.example", "550 5.7.1 "),
        ("b@example.com", "550 5.1.1 "),
        ("ann@example.com", "450 4.7.1 "),
        ("d@example.com", "450 4.7.1 "),
        ("postmaster@example.com", "250 2.1.5 "),
    ] {
        let reply = piped.client.ask(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(expected), "{to}: {reply}");
    }
    sleep(Duration::from_secs(31)).await;
    let reply = piped.client.ask("RCPT TO:<ann@example.com>").await;
    assert!(reply.starts_with("250 2.1.5 "), "{reply}");
    let trusted = Config {
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        ..config
    };
    let mut piped = Piped::start(trusted, memory(), None).await;
    piped.client.line().await;
    piped.client.ask("HELO client.example").await;
    piped.client.ask("MAIL FROM:<>").await;
    for _ in 0..2 * GUESSES_MAX {
        let reply = piped.client.ask("RCPT TO:<a@example.com>").await;
        assert!(reply.starts_with("550 5.1.1 "), "{reply}");
    }
}

#[tokio::test]
async fn recipients_of_whom_much_is_said_are_fewer() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.line().await;
    piped.client.ask("EHLO client.example").await;
    while piped.client.line().await.starts_with("250-") {}
    let original = format!("{}@example.com", "b".repeat(400));
    let command = format!("RCPT TO:<b@example.com> ORCPT=rfc822;{original}");
    for _ in 0..2 {
        assert!(piped.client.ask("MAIL FROM:<>").await.starts_with("250 "));
        let mut taken = 0;
        while piped.client.ask(&command).await.starts_with("250 2.1.5 ") {
            taken += original.len();
        }
        let most = smtp::limits::RECIPIENTS_OCTETS_MAX;
        assert!(taken > most * 9 / 10 && taken <= most, "{taken}");
        let reply = piped.client.ask(&command).await;
        assert!(reply.starts_with("452 4.5.3 "), "{reply}");
        assert!(piped.client.ask("RSET").await.starts_with("250 "));
    }
}

#[tokio::test]
async fn who_sends_one_bad_message_after_the_other_is_sent_away() {
    let mut piped = Piped::start(config(), Memory::new(), None).await;
    piped.client.begin().await;
    for _ in 1..smtp::limits::ERRORS_MAX {
        let reply = piped.client.ask("bare\nline feed\r\n.").await;
        assert!(reply.starts_with("550 5.6.11 "), "{reply}");
        piped.client.begin_again().await;
    }
    let reply = piped.client.ask("bare\nline feed\r\n.").await;
    assert!(reply.starts_with("550 5.6.11 "), "{reply}");
    assert!(piped.client.line().await.starts_with("421 4.7.0 "));
}

#[tokio::test]
async fn what_a_client_may_send_in_a_minute_is_limited() {
    let per_minute = PerMinute {
        messages: 2,
        recipients: 3,
        ..PerMinute::default()
    };
    let config = Config {
        per_minute,
        ..config()
    };
    let mut piped = Piped::start(config.clone(), Memory::new(), None).await;
    piped.client.begin().await;
    assert!(piped.client.ask(".").await.starts_with("250 "));
    piped.client.ask("MAIL FROM:<>").await;
    for expected in ["250 2.1.5 ", "250 2.1.5 ", "450 4.7.1 "] {
        let reply = piped.client.ask("RCPT TO:<b@example.com>").await;
        assert!(reply.starts_with(expected), "{reply}");
    }
    let reply = piped.client.ask("RCPT TO:<postmaster@example.com>").await;
    assert!(reply.starts_with("250 2.1.5 "), "{reply}");
    piped.client.ask("RSET").await;
    let reply = piped.client.ask("MAIL FROM:<>").await;
    assert!(reply.starts_with("421 4.7.0 "), "{reply}");
    let trusted = Config {
        trusted: vec!["192.0.2.0/24".parse().unwrap()],
        ..config
    };
    let mut piped = Piped::start(trusted, Memory::new(), None).await;
    piped.client.begin().await;
    for _ in 0..10 {
        assert!(piped.client.ask(".").await.starts_with("250 "));
        piped.client.begin_again().await;
    }
}
