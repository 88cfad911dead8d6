//! Clients of Python: smtplib, and aiosmtplib.

use std::{fs, process::Command};

use harness::{Cluster, Letter, Offer, Primary, compare, ctl, letter::Text, or_skip, python};

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

/// How many send at a time; what a recipient gets comes from one of them, so that it has an order.
const CLIENTS: usize = 6;

/// What the scripts below know of letters: where they lie, and how many there are.
const LETTERS: &str = r#"
import os, ssl, sys
host, port, ca, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
count, CLIENTS = int(sys.argv[5]), int(sys.argv[6])
trust = ssl.create_default_context(cafile=ca)

def letter(serial):
    with open(os.path.join(folder, str(serial)), "rb") as file:
        return f"sender{serial}@sender.test", f"user{serial % CLIENTS}@example.com", file.read()
"#;

/// Several clients at a time, half of them over TLS, many messages in each session, with wishes about
/// notices; and what becomes of them where a command is refused.
const SMTPLIB_AT_ONCE: &str = r#"
import smtplib, threading
failures = []

def client(number):
    try:
        with smtplib.SMTP(host, port, timeout=90) as smtp:
            smtp.ehlo()
            if number % 2:
                smtp.starttls(context=trust)
                smtp.ehlo()
            assert smtp.has_extn("dsn") and smtp.has_extn("chunking") and smtp.has_extn("smtputf8")
            for serial in range(number, count, CLIENTS):
                sender, recipient, text = letter(serial)
                refused = smtp.sendmail(sender, [recipient], text,
                    mail_options=["BODY=8BITMIME", "RET=HDRS", f"ENVID=letter-{serial}"],
                    rcpt_options=["NOTIFY=FAILURE,DELAY"])
                assert refused == {}, refused
            assert smtp.docmd("MAIL", "FROM:<a@sender.test> RET=SOME")[0] == 501
            assert smtp.verify("user1@example.com")[0] == 252
            assert smtp.noop()[0] == 250 and smtp.rset()[0] == 250
    except BaseException as error:
        failures.append(repr(error))

threads = [threading.Thread(target=client, args=[number]) for number in range(CLIENTS)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit("; ".join(failures) or 0)
"#;

/// The same, and a recipient and a sender beyond ASCII.
const AIOSMTPLIB: &str = r#"
import asyncio, aiosmtplib

async def client(number):
    tls = number % 2 == 1
    async with aiosmtplib.SMTP(hostname=host, port=port, start_tls=tls, tls_context=trust, timeout=90) as smtp:
        for serial in range(number, count, CLIENTS):
            sender, recipient, text = letter(serial)
            refused, reply = await smtp.sendmail(sender, [recipient], text,
                mail_options=["BODY=8BITMIME", "RET=HDRS", f"ENVID=letter-{serial}"],
                rcpt_options=["NOTIFY=FAILURE,DELAY"])
            assert refused == {} and "queued as" in reply, (refused, reply)
        try:
            await smtp.sendmail("a@sender.test", ["x@elsewhere.test"], text)
            raise AssertionError("relayed")
        except aiosmtplib.SMTPRecipientsRefused as error:
            assert error.recipients[0].code == 550, error.recipients
        assert (await smtp.vrfy("user1@example.com")).code == 252
        assert (await smtp.noop()).code == 250 and (await smtp.rset()).code == 250
        await smtp.help()

async def everyone():
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    async with aiosmtplib.SMTP(hostname=host, port=port, start_tls=True, tls_context=trust) as smtp:
        await smtp.sendmail("p\u00e4r@sender.test", ["m\u00fcller@example.com"], b"Subject: last\r\n\r\nend\r\n",
            mail_options=["SMTPUTF8", "BODY=8BITMIME"])

asyncio.run(everyone())
"#;

#[test]
fn pythons_smtplib_is_served_many_times_at_once() {
    let (mut primary, cluster) = scene::outage(1);
    let letters = send_at_once(&cluster, &primary, "python3", SMTPLIB_AT_ONCE);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn pythons_aiosmtplib_is_served_many_times_at_once() {
    let Some(python) = or_skip(python::having("aiosmtplib")) else {
        return;
    };
    let (mut primary, cluster) = scene::outage(1);
    let letters = send_at_once(&cluster, &primary, python, AIOSMTPLIB);
    primary.up();
    scene::wait_received(&primary, letters.len() + 1);
    primary.down();
    let received = primary.take_received();
    let (beyond, received): (Vec<_>, Vec<_>) = received
        .into_iter()
        .partition(|arrived| arrived.serial().is_none());
    assert_eq!(beyond[0].from, "p\u{e4}r@sender.test");
    assert_eq!(beyond[0].to, ["m\u{fc}ller@example.com"]);
    let account = compare(&letters, &received);
    assert!(account.is_right(), "{account}: {account:?}");
}

/// Runs a script with letters of all kinds to send; returns them.
fn send_at_once(cluster: &Cluster, primary: &Primary, python: &str, script: &str) -> Vec<Letter> {
    primary.on_cue(|cue| cue.offer(&[Offer::SmtpUtf8, Offer::Dsn]));
    let letters: Vec<Letter> = (0..60)
        .map(|serial| {
            let text = [Text::Plain, Text::EightBit, Text::Dots][serial % 3];
            let size = if serial % 20 == 0 { 1_500_000 } else { 2_000 };
            let to = format!("user{}@example.com", serial % CLIENTS);
            Letter::of(serial, &[&to], size, text)
        })
        .collect();
    let folder = cluster.directory().join("letters");
    fs::create_dir(&folder).unwrap();
    for letter in &letters {
        fs::write(folder.join(letter.serial.to_string()), &letter.body).unwrap();
    }
    let path = cluster.directory().join("client.py");
    fs::write(&path, format!("{LETTERS}{script}")).unwrap();
    let port = cluster.nodes[0].smtp().port().to_string();
    let mut command = Command::new(python);
    command.arg(path).args(["localhost", &port]);
    command.arg(cluster.authority.ca()).arg(folder);
    command.args([letters.len(), CLIENTS].map(|number| number.to_string()));
    let outcome = ctl::outcome(&mut command);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    letters
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
