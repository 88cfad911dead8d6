//! The stand-in against our own clients: what both get wrong alike would go unseen, so octets are
//! compared with what was meant, not with what was sent.

use std::time::Duration;

use super::{Offer, Primary, Stage};
use crate::{Authority, Courier, Letter, Sender, letter::Text};

#[test]
fn octets_arrive_as_they_were_meant_in_clear_and_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let mut primary = Primary::with_tls(authority.server("primary.test"));
    primary.up();
    let letter = Letter::of(7, &["a@example.com", "b@example.com"], 5_000, Text::Dots);
    let mut clear = Sender::connect(primary.address()).unwrap();
    assert_eq!(clear.send(&letter).unwrap().code, 250);
    clear.quit().unwrap();
    let mut tls = Sender::connect_tls(primary.address(), authority.client()).unwrap();
    assert_eq!(tls.send(&letter).unwrap().code, 250);
    let received = primary.received();
    assert_eq!(
        received.iter().map(|r| r.tls).collect::<Vec<_>>(),
        [false, true]
    );
    for arrived in received {
        assert_eq!(arrived.body, letter.body);
        assert_eq!((&arrived.from, &arrived.to), (&letter.from, &letter.to));
        assert_eq!(arrived.serial(), Some(7));
    }
}

#[test]
fn it_is_down_until_it_is_up_and_down_again() {
    let mut primary = Primary::down_at_first();
    assert!(Sender::connect(primary.address()).is_err());
    primary.up();
    let mut sender = Sender::connect(primary.address()).unwrap();
    primary.down();
    assert!(sender.command("NOOP").is_err());
    assert!(Sender::connect(primary.address()).is_err());
    primary.up();
    assert!(Sender::connect(primary.address()).is_ok());
}

#[test]
fn what_is_offered_on_cue_is_taken_and_recorded_and_the_rest_refused() {
    let primary = Primary::started();
    let mail = "MAIL FROM:<\u{e4}@b.test> SMTPUTF8 ENVID=<x>";
    let mut sender = Sender::connect(primary.address()).unwrap();
    assert_eq!(sender.command(mail).unwrap().code, 555);
    assert_eq!(sender.command("BDAT 0 LAST").unwrap().code, 500);
    let all = [Offer::SmtpUtf8, Offer::Chunking, Offer::Dsn];
    primary.on_cue(|cue| cue.offer(&all));
    sender.ehlo().unwrap();
    let letter = Letter::new(1, "a@example.com", 5_000);
    let reply = sender.send_in_chunks(&letter, 700).unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let [arrived] = &primary.take_received()[..] else {
        panic!("not one message");
    };
    assert_eq!(arrived.body, letter.body);
    assert_eq!(arrived.said.chunks, letter.body.len().div_ceil(700));
    assert!(sender.offers("SMTPUTF8") && sender.offers("CHUNKING") && sender.offers("DSN"));
    for (command, octets) in [
        (mail, &b""[..]),
        ("RCPT TO:<c@d.test> NOTIFY=NEVER", b""),
        ("BDAT 5", b"one\r\n"),
        ("BDAT 6 LAST", b"\n.\r\n\r\n"),
    ] {
        sender.write(format!("{command}\r\n").as_bytes()).unwrap();
        sender.write(octets).unwrap();
        assert_eq!(sender.read_reply().unwrap().code, 250, "{command}");
    }
    let [arrived] = &primary.received()[..] else {
        panic!("not one message");
    };
    assert_eq!(arrived.from, "\u{e4}@b.test");
    assert_eq!(arrived.said.mail, ["SMTPUTF8", "ENVID=<x>"]);
    assert_eq!(arrived.said.rcpt, [["NOTIFY=NEVER"]]);
    assert_eq!(arrived.said.chunks, 2);
    assert_eq!(arrived.body, b"one\r\n\n.\r\n\r\n");
}

#[test]
fn a_refusal_on_cue_leaves_no_record() {
    let primary = Primary::started();
    primary.on_cue(|cue| {
        cue.answer(Stage::Dot, 1, "451 4.3.0 not now");
        cue.refuse("b@example.com", "550 5.1.1 no");
    });
    let mut sender = Sender::connect(primary.address()).unwrap();
    assert_eq!(
        sender
            .send(&Letter::new(1, "a@example.com", 100))
            .unwrap()
            .code,
        451
    );
    assert_eq!(
        sender
            .send(&Letter::new(2, "b@example.com", 100))
            .unwrap()
            .code,
        550
    );
    assert_eq!(
        sender
            .send(&Letter::new(3, "a@example.com", 100))
            .unwrap()
            .code,
        250
    );
    assert_eq!(
        primary
            .received()
            .iter()
            .map(|r| r.serial())
            .collect::<Vec<_>>(),
        [Some(3)]
    );
}

#[test]
fn a_courier_goes_to_the_next_host_and_counts_what_it_can_not_know() {
    let down = Primary::down_at_first();
    let up = Primary::started();
    up.on_cue(|cue| cue.hang_up(Stage::AfterDot, 1));
    let mut courier = Courier::new(&[down.address(), up.address()]);
    let receipt = courier
        .send(
            &Letter::new(1, "a@example.com", 100),
            Duration::from_secs(10),
        )
        .unwrap();
    assert_eq!((receipt.host, receipt.unknown), (1, 1));
    assert_eq!(up.count(), 2);
}
