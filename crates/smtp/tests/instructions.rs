//! How many instructions the server's end of a dialogue takes, and what is done to every octet of a body.

use std::hint::black_box;

use bytes::BytesMut;
use counts::{Work, counting_begins, instructions_of};
use smtp::{
    EnhancedCode, Reply,
    data::{Decoder, Encoder},
    forged::{Claim, Forged, OwnIds},
    server::{Output, Question, Session, Settings},
};

/// What one read of a socket brings at most.
const SEGMENT_BYTES: usize = 16 << 10;

const KIB: usize = 1 << 10;

#[test]
fn instructions_are_those_recorded() {
    let work = |name, run| Work { name, of: 1, run };
    counts::check(
        "smtp",
        "instructions_are_those_recorded",
        &[
            work("a session with a message of 1 KiB", || send(KIB)),
            work("a session with a message of 10 KiB", || send(10 * KIB)),
            work("a session with a message of 100 KiB", || send(100 * KIB)),
            work("a session with a message of 1 MiB", || send(1024 * KIB)),
            work("a session with a message of 100 KiB in a chunk", send_chunk),
            work("a session with 100 messages of 1 KiB", send_many),
            work("a session with 100 recipients, pipelined", send_to_many),
            work("a session with commands that are refused", say_nonsense),
            work("dots taken out of 100 KiB", take_dots_out),
            work("dots put into 100 KiB", put_dots_in),
            work(
                "a header of 8 KiB, searched for forged fields",
                search_header,
            ),
        ],
    );
}

/// Lines of 76 characters, of which every twentieth begins with a dot.
fn body(size: usize) -> Vec<u8> {
    let mut body =
        b"From: a@sender.test\r\nTo: user@example.com\r\nSubject: words\r\n\r\n".to_vec();
    for number in 0_usize.. {
        if body.len() + 78 > size {
            break;
        }
        let first = if number.is_multiple_of(20) { '.' } else { 'x' };
        body.extend_from_slice(
            format!("{first}{:75}\r\n", "Words, and then some more.").as_bytes(),
        );
    }
    body
}

fn stuffed(body: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut stuffed: Vec<u8> = encoder.encode(body).flatten().copied().collect();
    stuffed.extend_from_slice(encoder.finish());
    stuffed
}

fn transaction(recipients: usize, body: &[u8]) -> Vec<u8> {
    let mut said = b"MAIL FROM:<a@sender.test> SIZE=1000\r\n".to_vec();
    for number in 0..recipients {
        said.extend_from_slice(format!("RCPT TO:<user{number}@example.com>\r\n").as_bytes());
    }
    said.extend_from_slice(b"DATA\r\n");
    said.extend_from_slice(&stuffed(body));
    said
}

fn send(size: usize) {
    count_session(&transaction(1, &body(size)));
}

fn send_many() {
    count_session(&transaction(1, &body(KIB)).repeat(100));
}

fn send_to_many() {
    count_session(&transaction(100, &body(KIB)));
}

fn send_chunk() {
    let body = body(100 * KIB);
    let mut said = b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<user@example.com>\r\n".to_vec();
    said.extend_from_slice(format!("BDAT {} LAST\r\n", body.len()).as_bytes());
    said.extend_from_slice(&body);
    count_session(&said);
}

fn say_nonsense() {
    count_session(
        b"RCPT TO:<user@example.com>\r\nDATA\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\nRSET\r\n\
          WHAT\r\nRCPT\r\nVRFY user\r\nNOOP\r\n",
    );
}

/// Counts a whole session, behind one of the same kind that is not counted.
fn count_session(said: &[u8]) {
    let said = [b"EHLO client.sender.test\r\n", said, b"QUIT\r\n"].concat();
    converse(&said);
    counting_begins();
    instructions_of(|| converse(&said));
}

/// Takes everything that a client sends; the body goes nowhere.
fn converse(said: &[u8]) {
    let mut session = Session::new(Settings {
        hostname: "mx.example.net".into(),
        size_max: 10_000_000,
        recipients_max: 1000,
        starttls: true,
        smtputf8: true,
        binary_mime: true,
    });
    let mut body = BytesMut::new();
    run(&mut session, &mut body);
    for segment in said.chunks(SEGMENT_BYTES) {
        session.receive(segment);
        run(&mut session, &mut body);
    }
}

/// Goes on until more is to be read.
fn run(session: &mut Session, body: &mut BytesMut) {
    loop {
        match session.next(body) {
            Output::Ask(Question::Sender { .. }) => session.answer_sender(Ok(())),
            Output::Ask(Question::Recipient(_)) => session.answer_recipient(Ok(())),
            Output::Ask(Question::Etrn(_)) => session.answer_etrn(&taken()),
            Output::Ask(Question::Message(envelope)) => {
                black_box(&envelope);
                body.clear();
                session.answer_message(&taken());
            }
            Output::Body | Output::Discard | Output::Abandon => body.clear(),
            Output::Flush => session.replies().clear(),
            Output::Read | Output::StartTls | Output::Close => {
                session.replies().clear();
                return;
            }
        }
    }
}

fn taken() -> Reply {
    Reply::new(
        250,
        EnhancedCode::new(2, 0, 0),
        "Ok: queued as 01ARZ3NDEKTSV4RRFFQ69G5FAV",
    )
}

fn take_dots_out() {
    let stuffed = stuffed(&body(100 * KIB));
    let decode = || {
        let mut decoder = Decoder::new();
        let mut body = Vec::with_capacity(stuffed.len());
        for segment in stuffed.chunks(SEGMENT_BYTES) {
            decoder.decode(segment, |run| body.extend_from_slice(run));
        }
        body
    };
    decode();
    counting_begins();
    instructions_of(decode);
}

fn put_dots_in() {
    let body = body(100 * KIB);
    let encode = || {
        let mut encoder = Encoder::default();
        let mut stuffed = Vec::with_capacity(2 * body.len());
        for chunk in body.chunks(SEGMENT_BYTES) {
            encoder
                .encode(chunk)
                .for_each(|slice| stuffed.extend_from_slice(slice));
        }
        stuffed
    };
    encode();
    counting_begins();
    instructions_of(encode);
}

struct Ours;

impl OwnIds for Ours {
    fn include(&self, claim: &Claim) -> bool {
        claim.is_of("mx.example.net")
    }
}

fn search_header() {
    let fields = "Received: from a.example by b.example; Sat, 28 Nov 2026 12:00:00 +0000\r\n\
                  Authentication-Results: elsewhere.example; spf=pass\r\n\
                  DKIM-Signature: v=1; a=rsa-sha256; d=sender.test;\r\n h=from:to;\r\n b=AbCdEf\r\n\
                  Authentication-Results: mx.example.net; spf=pass\r\n";
    let header = [fields.repeat(8 * KIB / fields.len()).as_bytes(), b"\r\n"].concat();
    let search = || {
        let mut forged = Forged::new(Some(Ours));
        let mut found = 0;
        while let Some(range) = forged.next(&header) {
            found += range.len();
        }
        assert!(found > 0 && forged.is_over());
    };
    search();
    counting_begins();
    instructions_of(search);
}
