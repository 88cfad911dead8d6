//! Reports as two other parsers read them: `mail-parser`, and Python's `email`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;
use mail_parser::{Message as Parsed, MessageParser, MimeHeaders as _, PartType};
use smtp::{ForwardPath, dsn};
use spool::{Body, Client, Digest, Status};

use super::*;

const HEAD: &[u8] = b"Message-ID: <1@sender.example>\r\nSubject: hello\r\n\r\nthe body\r\n";

fn message(sender: &str) -> Message {
    let (reverse_path, _) = ReversePath::parse(&format!("<{sender}>")).unwrap();
    Message {
        id: MessageId(1),
        sequence: 1,
        received_at: Timestamp(1_700_000_000_000),
        reverse_path,
        body_type: BodyType::SevenBit,
        smtputf8: !sender.is_ascii(),
        dsn: dsn::PerMessage::default(),
        recipients: Vec::new(),
        body: Body {
            pieces: vec![1],
            size: HEAD.len() as u64,
            digest: Digest([0; 32]),
        },
        trace: Bytes::from_static(b"Received: from a.example\r\n\tby mx1.example.net; now\r\n"),
        client: Client {
            address: "192.0.2.1:4711".parse().unwrap(),
            helo: "a.example".into(),
            tls: None,
        },
        authentication: None,
        attempts: 1,
        attempted_at: Some(Timestamp(1_700_000_060_000)),
        hold: None,
        tries: Vec::new(),
        renewed_at: None,
        delay_told_at: None,
    }
}

fn recipient(path: &str, said: &str) -> Recipient {
    let (path, _) = ForwardPath::parse(&format!("<{path}>")).unwrap();
    Recipient {
        path,
        dsn: dsn::PerRecipient::default(),
        domain: "example.com".into(),
        status: Status::Rejected {
            at: Timestamp(1_700_000_060_000),
            reply: said.into(),
        },
        host: "mail.example.com:25".into(),
        replayed_at: None,
        owed: Some(Kind::Failed),
    }
}

fn composed(message: &Message, kind: Kind, head: Option<&[u8]>) -> Composed {
    let recipients: Vec<u32> = (0..).take(message.recipients.len()).collect();
    compose(&Notice {
        message,
        kind,
        recipients: &recipients,
        head,
        hostname: "mx1.example.net",
        postmaster: Some("pm@example.net"),
        tried_until: Timestamp(1_702_592_000_000),
        id: MessageId(2),
        at: Timestamp(1_700_000_100_000),
    })
}

/// Reads a report as Python's `email` does, and tells the actions in it.
const PYTHON: &str = r#"
import sys
from email import message_from_string, policy
from email.parser import BytesParser
report = BytesParser(policy=policy.default).parse(sys.stdin.buffer)
for part in report.walk():
    assert not part.defects, (part.get_content_type(), part.defects)
assert report.get_content_type() == "multipart/report", report.get_content_type()
assert report.get_param("report-type") == "delivery-status"
assert report["Auto-Submitted"] == "auto-replied"
assert report["From"].addresses and report["To"].addresses and report["Date"].datetime
words, fields, *original = report.iter_parts()
assert words.get_content_type() == "text/plain" and words.get_content().strip()
assert len(original) <= 1
blocks = fields.get_payload()
if fields.get_content_type() == "message/global-delivery-status":
    # It is read as a message whose header is the first block.
    of_message, = blocks
    rest = of_message.get_payload(decode=True).decode().strip()
    blocks = [of_message] + [message_from_string(block, policy=policy.default) for block in rest.split("\n\n")]
else:
    assert fields.get_content_type() == "message/delivery-status", fields.get_content_type()
of_message, *of_recipients = [block for block in blocks if block.items()]
assert of_message["Reporting-MTA"] == "dns; mx1.example.net", of_message.items()
for block in of_recipients:
    assert block["Final-Recipient"] and block["Status"], block.items()
print(" ".join(block["Action"] for block in of_recipients))
"#;

/// The actions that Python finds; `None` on a machine without it, and a line that says so.
fn actions_by_python(report: &Composed) -> Option<Vec<String>> {
    let child = Command::new("python3")
        .args(["-c", PYTHON])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            println!("not read by Python: {error}");
            return None;
        }
    };
    let mut input = child.stdin.take().unwrap();
    input.write_all(&report.octets).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let actions = String::from_utf8(output.stdout).unwrap();
    Some(actions.split_whitespace().map(str::to_owned).collect())
}

/// A report as both parsers understand it.
fn parsed(report: &Composed) -> Parsed<'_> {
    let parsed = MessageParser::default().parse(&report.octets).unwrap();
    let parts = parsed.root_part().sub_parts().unwrap().len();
    assert!((2..=3).contains(&parts), "{parts} parts");
    let kind = parsed.root_part().content_type().unwrap();
    assert_eq!(
        (kind.ctype(), kind.subtype()),
        ("multipart", Some("report"))
    );
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    for line in report.octets.split_inclusive(|octet| *octet == b'\n') {
        assert!(line.ends_with(b"\r\n") && line.len() <= 1000, "{line:?}");
    }
    if let Some(actions) = actions_by_python(report) {
        let (_, status) = part_of(&parsed, 1);
        let told = status
            .lines()
            .filter_map(|line| line.strip_prefix("Action: "));
        assert_eq!(actions, told.collect::<Vec<_>>());
    }
    parsed
}

/// A part's type and its text.
fn part_of<'p>(parsed: &'p Parsed<'_>, number: usize) -> (String, &'p str) {
    let index = parsed.root_part().sub_parts().unwrap()[number];
    let part = &parsed.parts[index as usize];
    let kind = part.content_type().unwrap();
    let kind = format!("{}/{}", kind.ctype(), kind.subtype().unwrap());
    let octets = match &part.body {
        PartType::Text(text) => text.as_bytes(),
        PartType::Binary(octets) | PartType::InlineBinary(octets) => octets,
        PartType::Message(message) => &message.raw_message,
        other => panic!("{other:?}"),
    };
    (kind, str::from_utf8(octets).unwrap())
}

fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let lines = text.lines();
    let mut values = lines.filter_map(|line| line.split_once(": ").filter(|(n, _)| *n == name));
    let (_, value) = values.next().unwrap_or_else(|| panic!("{name} in {text}"));
    value
}

#[test]
fn a_failure_is_told_to_people_and_to_programs() {
    let mut message = message("a@sender.example");
    message.dsn.envid = Some("a+2Bb".parse().unwrap());
    let mut bob = recipient("bob@example.com", "550 5.1.1 no such user");
    bob.dsn.orcpt = Some("rfc822;robert+2Bx@example.org".parse().unwrap());
    message.recipients = vec![bob, recipient("eve@example.com", "5.4.7 too old")];
    let report = composed(&message, Kind::Failed, Some(HEAD));
    assert_eq!(
        (report.body_type, report.smtputf8),
        (BodyType::SevenBit, false)
    );
    let parsed = parsed(&report);
    assert_eq!(
        parsed.from().unwrap().first().unwrap().address(),
        Some("pm@example.net")
    );
    assert_eq!(
        parsed.to().unwrap().first().unwrap().address(),
        Some("a@sender.example")
    );
    assert_eq!(
        parsed.header_raw("Auto-Submitted").unwrap().trim(),
        "auto-replied"
    );
    assert_eq!(parsed.in_reply_to().as_text(), Some("1@sender.example"));
    assert_eq!(parsed.references().as_text(), Some("1@sender.example"));
    let id = format!("{}@mx1.example.net", MessageId(2));
    assert_eq!(parsed.message_id(), Some(&*id));
    assert_eq!(parsed.date().unwrap().to_timestamp(), 1_700_000_100);
    let (kind, words) = part_of(&parsed, 0);
    assert_eq!(kind, "text/plain");
    assert!(words.contains(
        "<bob@example.com>\r\n    mail.example.com said:\r\n    550 5.1.1 no such user\r\n"
    ));
    let (kind, status) = part_of(&parsed, 1);
    assert_eq!(kind, "message/delivery-status");
    let groups: Vec<&str> = status.trim_end().split("\r\n\r\n").collect();
    let [of_message, of_bob, of_eve] = groups[..] else {
        panic!("{groups:?}");
    };
    assert_eq!(field(of_message, "Reporting-MTA"), "dns; mx1.example.net");
    assert_eq!(field(of_message, "Original-Envelope-Id"), "a+b");
    assert!(field(of_message, "Arrival-Date").contains("14 Nov 2023 22:13:20"));
    assert_eq!(
        field(of_bob, "Original-Recipient"),
        "rfc822; robert+x@example.org"
    );
    assert_eq!(field(of_bob, "Final-Recipient"), "rfc822; bob@example.com");
    assert_eq!(field(of_bob, "Action"), "failed");
    assert_eq!(field(of_bob, "Status"), "5.1.1");
    assert_eq!(field(of_bob, "Remote-MTA"), "dns; mail.example.com");
    assert_eq!(
        field(of_bob, "Diagnostic-Code"),
        "smtp; 550 5.1.1 no such user"
    );
    assert!(field(of_bob, "Last-Attempt-Date").contains("22:14:20"));
    assert!(!of_bob.contains("Will-Retry-Until"));
    assert_eq!(field(of_eve, "Status"), "5.4.7");
    assert_eq!(field(of_eve, "Diagnostic-Code"), "X-Layover; 5.4.7 too old");
    assert!(
        !of_eve.contains("Remote-MTA"),
        "it was none that refused him"
    );
    let (kind, header) = part_of(&parsed, 2);
    assert_eq!(kind, "text/rfc822-headers");
    assert!(
        header.starts_with("Received: from a.example\r\n\tby "),
        "{header}"
    );
    assert!(header.contains("Subject: hello\r\n") && !header.contains("the body"));
}

#[test]
fn what_is_late_is_told_with_how_long_it_is_tried_and_what_was_passed_on_as_that() {
    let mut message = message("a@sender.example");
    let mut bob = recipient("bob@example.com", "");
    bob.status = Status::Pending;
    message.recipients = vec![bob];
    let report = composed(&message, Kind::Delayed, Some(HEAD));
    let parsed_late = parsed(&report);
    let (_, status) = part_of(&parsed_late, 1);
    assert_eq!(field(status, "Action"), "delayed");
    assert_eq!(field(status, "Status"), "4.4.0");
    assert!(field(status, "Will-Retry-Until").contains("14 Dec 2023 22:13:20"));
    assert!(!status.contains("Diagnostic-Code"));

    let mut bob = recipient("bob@example.com", "");
    let (at, reply) = (Timestamp(1), "250 2.0.0 queued".to_owned());
    bob.status = Status::Delivered { at, reply };
    message.recipients = vec![bob];
    let report = composed(&message, Kind::Relayed, Some(HEAD));
    let parsed = parsed(&report);
    let (_, status) = part_of(&parsed, 1);
    assert_eq!(field(status, "Action"), "relayed");
    assert_eq!(field(status, "Status"), "2.0.0");
}

#[test]
fn a_whole_message_is_given_back_to_whoever_asks_for_it_and_can_have_it() {
    let mut message = message("a@sender.example");
    message.dsn.ret = Some(dsn::Ret::Full);
    message.recipients = vec![recipient("bob@example.com", "550 no")];
    let eight_bit = [HEAD, "grüße\r\n".as_bytes()].concat();
    message.body.size = eight_bit.len() as u64;
    let report = composed(&message, Kind::Failed, Some(&eight_bit));
    assert_eq!(report.body_type, BodyType::EightBitMime);
    let (kind, text) = {
        let parsed = parsed(&report);
        let (kind, text) = part_of(&parsed, 2);
        (kind, text.to_owned())
    };
    assert_eq!(kind, "message/rfc822");
    assert!(text.contains("\r\n\r\nthe body\r\ngrüße"), "{text}");
    let large = [HEAD, &b"more\r\n".repeat(limits::WHOLE_MAX)].concat();
    let binary = [HEAD, b"a\0b\r\n"].concat();
    let long_line = [HEAD, &[b'x'; 2000], b"\r\n"].concat();
    for octets in [large, binary, long_line] {
        message.body.size = octets.len() as u64;
        let report = composed(&message, Kind::Failed, Some(&octets));
        let parsed = parsed(&report);
        assert_eq!(part_of(&parsed, 2).0, "text/rfc822-headers");
    }
    let late = composed(&message, Kind::Delayed, Some(HEAD));
    assert_eq!(part_of(&parsed(&late), 2).0, "text/rfc822-headers");
    let unread = composed(&message, Kind::Failed, None);
    let parsed = parsed(&unread);
    assert_eq!(parsed.root_part().sub_parts().unwrap().len(), 2);
}

#[test]
fn addresses_beyond_ascii_are_told_as_they_are_to_those_who_use_them() {
    let mut message = message("pär@sender.example");
    message.recipients = vec![recipient(
        "müller@example.com",
        "550 5.1.1 kein Müller hier",
    )];
    let head = "Subject: grüße\r\n\r\nbody\r\n".as_bytes();
    let report = composed(&message, Kind::Failed, Some(head));
    assert_eq!(
        (report.body_type, report.smtputf8),
        (BodyType::EightBitMime, true)
    );
    let parsed = parsed(&report);
    assert_eq!(
        parsed.to().unwrap().first().unwrap().address(),
        Some("pär@sender.example")
    );
    let (kind, status) = part_of(&parsed, 1);
    assert_eq!(kind, "message/global-delivery-status");
    assert_eq!(
        field(status, "Final-Recipient"),
        "utf-8; müller@example.com"
    );
    assert_eq!(
        field(status, "Diagnostic-Code"),
        "smtp; 550 5.1.1 kein Müller hier"
    );
    let (kind, header) = part_of(&parsed, 2);
    assert_eq!(kind, "message/global-headers");
    assert!(header.contains("Subject: grüße\r\n"), "{header}");
}

#[test]
fn a_host_that_has_no_name_is_told_by_its_address() {
    for (host, told) in [
        ("192.0.2.1:25", "dns; [192.0.2.1]"),
        ("[2001:db8::1]:25", "dns; [IPv6:2001:db8::1]"),
    ] {
        let mut message = message("alice@sender.example");
        let mut bob = recipient("bob@example.com", "550 5.1.1 no such user");
        bob.host = host.into();
        message.recipients = vec![bob];
        let report = composed(&message, Kind::Failed, None);
        let parsed = parsed(&report);
        let (_, status) = part_of(&parsed, 1);
        assert_eq!(field(status, "Remote-MTA"), told);
    }
}

#[test]
fn what_hosts_and_senders_say_ends_no_line_and_opens_no_part() {
    let mut message = message("\"a\\\"> <b\"@sender.example");
    let reply = "550 5.1.1 no\r\nAction: delivered\r\n\r\n--x\r\n\u{85}\u{2028}ü\0";
    let mut bob = recipient("bob@example.com", reply);
    bob.host = "mail\r\nAction: delivered:25".into();
    message.recipients = vec![bob];
    let head = "Subject: grüße\r\nX-Odd: a\rb\r\nX-Lone: a\nAction: b\r\nTo: c\r\n\r\n".as_bytes();
    let report = composed(&message, Kind::Failed, Some(head));
    assert!(report.octets.is_ascii());
    let parsed = parsed(&report);
    let (_, status) = part_of(&parsed, 1);
    let actions = status.lines().filter(|line| line.starts_with("Action"));
    assert_eq!(actions.count(), 1, "{status}");
    assert_eq!(status.matches("\r\n\r\n").count(), 1, "{status}");
    let (_, header) = part_of(&parsed, 2);
    assert!(header.contains("Subject: gr????e\r\n"), "{header}");
    assert!(
        header.contains("To: c\r\n") && !header.contains("X-Odd"),
        "{header}"
    );
    assert!(!header.contains("X-Lone"), "{header}");
}

#[test]
fn the_largest_report_fits_one_piece() {
    let mut message = message("a@sender.example");
    let local_part = "x".repeat(60);
    let label = "y".repeat(60);
    let path = format!("{local_part}@{label}.{label}.{label}");
    let mut worst = recipient(&path, &format!("550 5.1.1 {}", "n".repeat(2000)));
    worst.host = format!("{}:25", "h".repeat(250));
    worst.dsn.orcpt = Some(format!("rfc822;{}", "o".repeat(480)).parse().unwrap());
    message.recipients = vec![worst; limits::RECIPIENTS_MAX];
    let head = b"X-Field: and its value\r\n".repeat(20_000);
    let report = composed(&message, Kind::Failed, Some(&head));
    let size = report.octets.len();
    assert!(size < crate::inbound::limits::PIECE_SIZE, "{size}");
    parsed(&report);
}
