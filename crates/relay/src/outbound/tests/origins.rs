//! Who brought a message is passed on to a primary that wants to know.

use std::net::SocketAddr;

use spool::Message;

use super::*;

const XCLIENT: &str = "250-primary.test\r\n250 XCLIENT ADDR PORT PROTO HELO";
const XFORWARD: &str = "250-primary.test\r\n250 XFORWARD NAME ADDR IDENT SOURCE";
const BOTH: &str = "250-primary.test\r\n250-XFORWARD ADDR\r\n250 XCLIENT ADDR";

/// Wants one connection, on which all of it happens in order.
fn wanting(primary: SocketAddr) -> Domain {
    Domain {
        xclient: true,
        connections: 1,
        ..domain(primary)
    }
}

fn brought_by(address: &str) -> impl FnOnce(&mut Message) {
    let address: SocketAddr = address.parse().unwrap();
    move |message| {
        message.client.address = address;
        message.client.helo = "sender.test".into();
    }
}

async fn delivered(script: Script, wish: bool, clients: &[&str]) -> (Primary, Arc<MapOutbox>) {
    let primary = Primary::start(ANY_PORT, script, None).await;
    let policy = Domain {
        xclient: wish,
        ..wanting(primary.address)
    };
    let outbox = MapOutbox::new(policy, NEVER);
    for client in clients {
        outbox.queue_as(&["a"], BODY, brought_by(client));
    }
    let running = Running::start(&outbox);
    until("all have left", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    (primary, outbox)
}

fn passed_on(primary: &Primary) -> Vec<Vec<String>> {
    let taken = primary.taken().into_iter();
    taken.map(|taken| taken.passed_on).collect()
}

#[tokio::test]
async fn each_change_of_client_is_passed_on_once() {
    let clients = ["192.0.2.1:25", "192.0.2.1:25", "[2001:db8::1]:26"];
    let (primary, outbox) = delivered(offering(XCLIENT), true, &clients).await;
    let first = "XCLIENT ADDR=192.0.2.1 PORT=25 PROTO=ESMTP HELO=sender.test";
    let last = "XCLIENT ADDR=IPV6:2001:db8::1 PORT=26 PROTO=ESMTP HELO=sender.test";
    let expected = [vec![first.to_owned()], vec![], vec![last.to_owned()]];
    assert_eq!(passed_on(&primary), expected);
    assert_eq!(primary.log.lock().unwrap().connections, 1);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_log_is_told_of_every_message() {
    let (primary, _) = delivered(offering(XFORWARD), true, &["192.0.2.1:25", "192.0.2.1:25"]).await;
    let said = |serial: u128| {
        let id = spool::MessageId(serial);
        vec![format!(
            "XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 IDENT={id} SOURCE=REMOTE"
        )]
    };
    assert_eq!(passed_on(&primary), [said(1), said(2)]);
}

#[tokio::test]
async fn a_client_has_the_name_that_it_had_when_the_message_came() {
    let ours = "Received: from x-SMTP (mail.sender.test [192.0.2.1])\r\n\tby mx.example.net (Layover) with";
    let forged =
        "\r\n\tfor <\"Received: from y (forged.test [ with SMTP id \"@example.com>; now\r\n";
    let above =
        "Authentication-Results: mx.example.net;\r\n\tspf=pass (Received: from z (a.test [ )\r\n";
    for (trace, expected) in [
        (
            format!("{ours} SMTP id 1{forged}"),
            "NAME=mail.sender.test PROTO=SMTP",
        ),
        (
            format!("{above}{ours} ESMTP id 1{forged}"),
            "NAME=mail.sender.test PROTO=ESMTP",
        ),
        // Then it is asked for, of nobody here.
        (
            format!("{ours} SMTP id 1{forged}").replace("mail.sender.test", "unknown"),
            "NAME=[TEMPUNAVAIL] PROTO=SMTP",
        ),
        (
            "Received: 1\r\n".to_owned(),
            "NAME=[TEMPUNAVAIL] PROTO=ESMTP",
        ),
    ] {
        let script = offering("250-primary.test\r\n250 XCLIENT NAME PROTO");
        let primary = Primary::start(ANY_PORT, script, None).await;
        let outbox = MapOutbox::new(wanting(primary.address), NEVER);
        let written = trace.clone();
        outbox.queue_as(&["a"], BODY, |message| {
            brought_by("192.0.2.1:25")(message);
            message.trace = written.into();
        });
        let running = Running::start(&outbox);
        until("it has left", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        let expected = format!("XCLIENT {expected}");
        assert_eq!(passed_on(&primary), [[expected]], "{trace}");
    }
}

#[tokio::test]
async fn nobody_is_passed_on_whom_the_policy_or_the_primary_does_not_want() {
    for (offer, wish) in [(BOTH, false), ("250 primary.test", true)] {
        let (primary, _) = delivered(offering(offer), wish, &["192.0.2.1:25"]).await;
        assert_eq!(passed_on(&primary), [Vec::<String>::new()], "{offer}");
    }
}

#[tokio::test]
async fn a_message_that_nobody_brought_goes_as_ours() {
    let clients = ["192.0.2.1:25", "0.0.0.0:0", "192.0.2.1:25"];
    let (primary, outbox) = delivered(offering(XCLIENT), true, &clients).await;
    let passed_on = passed_on(&primary);
    assert!(passed_on[1].is_empty(), "{passed_on:?}");
    assert_eq!(passed_on[2].len(), 1, "{passed_on:?}");
    let connections: Vec<usize> = primary.taken().iter().map(|it| it.connection).collect();
    assert_eq!(connections, [1, 2, 2]);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_primary_that_refuses_to_be_told_gets_its_mail_all_the_same() {
    let script = Arc::new(|_, moment: &Moment| match moment {
        Moment::Ehlo => Act::Say(BOTH),
        Moment::Client => Act::Say("550 5.7.0 Error: insufficient authorization"),
        _ => Act::Usual,
    });
    let (primary, outbox) = delivered(script, true, &["192.0.2.1:25", "192.0.2.2:25"]).await;
    assert_eq!(primary.taken().len(), 2);
    assert_eq!(primary.log.lock().unwrap().connections, 1);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_client_that_the_primary_does_not_want_is_a_verdict_on_his_message_only() {
    for (reply, is_final) in [("554 5.7.1 on a list", true), ("450 4.7.1 later", false)] {
        let first = AtomicUsize::new(0);
        let script: Script = Arc::new(move |_, moment: &Moment| match moment {
            Moment::Ehlo => Act::Say(XCLIENT),
            Moment::Client if first.fetch_add(1, Ordering::SeqCst) == 0 => Act::Say(reply),
            _ => Act::Usual,
        });
        let primary = Primary::start(ANY_PORT, script, None).await;
        let outbox = MapOutbox::new(wanting(primary.address), NEVER);
        outbox.queue_as(&["a"], BODY, brought_by("192.0.2.1:25"));
        let other = outbox.queue_as(&["b"], BODY, brought_by("192.0.2.2:25"));
        let running = Running::start(&outbox);
        until("the other has left and both are reported", || {
            let state = outbox.state.lock().unwrap();
            let attempts = state.reports.iter().flat_map(|report| &report.attempts);
            attempts.count() == 2
        })
        .await;
        running.stop().await.unwrap();
        assert_eq!(primary.sequences(), [other], "{reply}");
        let state = outbox.state.lock().unwrap();
        assert!(state.observations.is_empty(), "it is not down: {reply}");
        let mut attempts = state.reports.iter().flat_map(|report| &report.attempts);
        let refused = attempts.find(|attempt| attempt.id == spool::MessageId(1));
        let (_, verdict) = &refused.unwrap().verdicts[0];
        let expected = match verdict {
            Verdict::Rejected(words) if is_final => words,
            Verdict::Deferred(words) if !is_final => words,
            other => panic!("{reply}: {other:?}"),
        };
        assert!(expected.contains(reply), "{expected}");
    }
}
