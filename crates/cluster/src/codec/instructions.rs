//! How many instructions it takes to write and to read what is proposed and what is stored.

use counts::{Work, counting_begins, instructions_of};
use prost::Message as _;
use smtp::{
    BodyType, ForwardPath, Mailbox, ReversePath,
    dsn::{PerMessage, PerRecipient},
};
use spool::{
    Accept, Attempt, Body, Client, Command, Destination, Digest, Fingerprint, Message, MessageId,
    Report, Status, Timestamp, Verdict,
};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// Messages in one report.
const REPORTED: u128 = 64;

#[test]
fn are_those_recorded() {
    let work = |name, run| Work { name, of: 1, run };
    let each = |name, run| Work { name, of: 64, run };
    counts::check(
        "cluster",
        "codec::instructions::are_those_recorded",
        &[
            work("a proposed message of 10 KiB is written", write_accept),
            work("a proposed message of 10 KiB is read", read_accept),
            each("a reported delivery is written, of 64", write_report),
            each("a reported delivery is read, of 64", read_report),
            work("a queued message's row is written", write_message),
            work("a queued message's row is read", read_message),
            work("a domain's figures are written", write_figures),
            work("a domain's figures are read", read_figures),
        ],
    );
}

fn mailbox(local_part: &str, domain: &str) -> Mailbox {
    Mailbox {
        local_part: local_part.to_owned(),
        domain: domain.to_owned(),
    }
}

fn client() -> Client {
    Client {
        address: ([192, 0, 2, 1], 2525).into(),
        helo: "client.sender.test".to_owned(),
        tls: Some("TLSv1.3 TLS13_AES_256_GCM_SHA384".into()),
    }
}

fn trace() -> bytes::Bytes {
    bytes::Bytes::from(vec![b'r'; 250])
}

fn accept() -> Command {
    let path = ForwardPath::Mailbox(mailbox("user", "example.com"));
    let recipient = smtp::Recipient {
        path,
        dsn: PerRecipient::default(),
    };
    Command::Accept(Box::new(Accept {
        id: MessageId(1 << 100),
        received_at: NOW,
        reverse_path: ReversePath::Mailbox(mailbox("a", "sender.test")),
        body_type: BodyType::SevenBit,
        smtputf8: false,
        dsn: PerMessage::default(),
        recipients: vec![(recipient, "example.com".to_owned())],
        staged: 0,
        tail: vec![b'x'; 10 << 10].into(),
        size: 10 << 10,
        digest: Digest([7; 32]),
        trace: trace(),
        authentication: None,
        client: client(),
        fingerprint: Some(Fingerprint(1 << 99)),
        confirmed: vec![MessageId(1 << 98)],
    }))
}

fn report() -> Command {
    let attempt = |number| Attempt {
        id: MessageId(number),
        host: "mail.example.com:25".to_owned(),
        verdicts: vec![(0, Verdict::Delivered("250 2.0.0 Ok: queued as 4b1".into()))],
    };
    Command::Report(Report {
        term: 7,
        at: NOW,
        attempts: (0..REPORTED).map(attempt).collect(),
    })
}

fn message() -> Message {
    Message {
        id: MessageId(1 << 100),
        sequence: 4711,
        received_at: NOW,
        reverse_path: ReversePath::Mailbox(mailbox("a", "sender.test")),
        body_type: BodyType::SevenBit,
        smtputf8: false,
        dsn: PerMessage::default(),
        recipients: vec![spool::Recipient {
            path: ForwardPath::Mailbox(mailbox("user", "example.com")),
            dsn: PerRecipient::default(),
            domain: "example.com".to_owned(),
            status: Status::Pending,
            host: String::new(),
            replayed_at: None,
            owed: None,
        }],
        body: Body {
            pieces: vec![4711],
            size: 10 << 10,
            digest: Digest([7; 32]),
        },
        trace: trace(),
        client: client(),
        authentication: None,
        attempts: 0,
        attempted_at: None,
        hold: None,
        tries: Vec::new(),
        renewed_at: None,
        delay_told_at: None,
    }
}

/// Counts what is done to the second of two that are made in the same way.
fn count<T, R>(make: impl Fn() -> T, work: impl Fn(T) -> R) {
    work(make());
    let made = make();
    counting_begins();
    instructions_of(|| work(made));
}

fn write_accept() {
    count(accept, |accept| command_to(accept).encode_to_vec());
}

fn write_report() {
    count(report, |report| command_to(report).encode_to_vec());
}

fn read_accept() {
    read_command(accept());
}

fn read_report() {
    read_command(report());
}

fn read_command(command: Command) {
    let octets = bytes::Bytes::from(command_to(command).encode_to_vec());
    count(
        || octets.clone(),
        |octets| command_from(decode(octets, "command").unwrap()).unwrap(),
    );
}

fn write_message() {
    count(message, |message| message_to(message).encode_to_vec());
}

fn read_message() {
    let octets = bytes::Bytes::from(message_to(message()).encode_to_vec());
    count(
        || octets.clone(),
        |octets| message_from(decode(octets, "message").unwrap()).unwrap(),
    );
}

fn write_figures() {
    count(Destination::default, |figures| {
        destination_to(figures).encode_to_vec()
    });
}

fn read_figures() {
    let octets = destination_to(Destination::default()).encode_to_vec();
    count(
        || octets.as_slice(),
        |octets| destination_from(decode(octets, "figures").unwrap()).unwrap(),
    );
}
