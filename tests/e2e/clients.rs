//! Clients that others wrote.

use std::{fs, process::Command};

use harness::{Cluster, Offer, Primary, ctl};

use crate::scene;

/// Sends a message in clear and one over TLS, 8-bit text and dots in both.
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
body = "Subject: from smtplib\r\n\r\n.leading dot\r\n..two\r\ngr\u00fc\u00dfe\r\n.\r\nend\r\n".encode()
for tls in (False, True):
    with smtplib.SMTP(host, port, timeout=20) as client:
        client.ehlo()
        if tls:
            client.starttls(context=ssl.create_default_context(cafile=ca))
            client.ehlo()
        refused = client.sendmail("a@sender.test", ["x@example.com", "y@example.com"], body,
                                  mail_options=["BODY=8BITMIME"])
        assert refused == {}, refused
        try:
            client.sendmail("a@sender.test", ["x@elsewhere.test"], body)
            raise AssertionError("relayed")
        except smtplib.SMTPRecipientsRefused as error:
            assert error.recipients["x@elsewhere.test"][0] == 550
"#;

#[test]
fn pythons_smtplib_is_served() {
    let (mut primary, cluster) = scene::outage(1);
    let script = cluster.directory().join("client.py");
    fs::write(&script, SMTPLIB).unwrap();
    let address = cluster.nodes[0].smtp();
    let outcome = ctl::outcome(
        Command::new("python3")
            .arg(script)
            .arg("localhost")
            .arg(address.port().to_string())
            .arg(cluster.authority.ca()),
    );
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let bodies = arrived(&mut primary, &cluster, 2);
    for body in bodies {
        assert!(
            body.ends_with("\r\n\r\n.leading dot\r\n..two\r\ngrüße\r\n.\r\nend\r\n"),
            "{body}"
        );
    }
}

/// Sends a message from and to addresses beyond ASCII, with a header field of that kind.
const SMTPLIB_UTF8: &str = r#"
import smtplib, sys
from email.message import EmailMessage
from email.policy import SMTPUTF8
message = EmailMessage(policy=SMTPUTF8)
message["From"] = "p\u00e4r@sender.test"
message["To"] = "m\u00fcller@example.com"
message["Subject"] = "gr\u00fc\u00dfe"
message.set_content("text\n")
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=20) as client:
    assert client.send_message(message) == {}
    try:
        client.sendmail("a@sender.test", ["x@b\u00fccher.test"], "text", mail_options=["SMTPUTF8"])
        raise AssertionError("relayed")
    except smtplib.SMTPRecipientsRefused as error:
        assert error.recipients["x@b\u00fccher.test"][0] == 550
"#;

#[test]
fn pythons_smtplib_is_served_with_addresses_beyond_ascii() {
    let (mut primary, cluster) = scene::outage(1);
    primary.on_cue(|cue| cue.offer(&[Offer::SmtpUtf8]));
    let script = cluster.directory().join("client.py");
    fs::write(&script, SMTPLIB_UTF8).unwrap();
    let address = cluster.nodes[0].smtp();
    let outcome = ctl::outcome(
        Command::new("python3")
            .arg(script)
            .arg("localhost")
            .arg(address.port().to_string()),
    );
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let body = arrived(&mut primary, &cluster, 1).remove(0);
    assert!(body.contains(" with UTF8SMTP id "), "{body}");
    assert!(body.contains("Subject: gr\u{fc}\u{df}e\r\n"), "{body}");
    let received = primary.received().remove(0);
    assert_eq!(received.from, "p\u{e4}r@sender.test");
    assert_eq!(received.to, ["m\u{fc}ller@example.com"]);
}

#[test]
fn swaks_is_served() {
    let (mut primary, cluster) = scene::outage(1);
    let address = cluster.nodes[0].smtp();
    for tls in [&[][..], &["--tls"]] {
        let outcome = ctl::outcome(
            Command::new("swaks")
                .args(["--server", &address.to_string()])
                .args(["--from", "a@sender.test", "--to", "x@example.com"])
                .args(["--body", "a line\n.a dot\n"])
                .args(tls),
        );
        assert_eq!(outcome.code, 0, "{}\n{}", outcome.out, outcome.err);
    }
    for body in arrived(&mut primary, &cluster, 2) {
        assert!(body.contains("\r\na line\r\n.a dot\r\n"), "{body}");
    }
}

fn arrived(primary: &mut Primary, cluster: &Cluster, count: usize) -> Vec<String> {
    primary.up();
    scene::wait_received(primary, count);
    cluster.wait_queued(0, scene::DRAIN);
    let received = primary.received();
    assert_eq!(received.len(), count);
    received
        .into_iter()
        .map(|message| String::from_utf8(message.body).unwrap())
        .collect()
}
