//! Primaries that others wrote. What they take they hand on to a stand-in, which keeps every octet of it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::{Child, Command},
};

use harness::{
    Authority, Cluster, Daemon, Exim, Letter, Offer, Port, Postfix, Primary, Received, Sender,
    Settings, certificates::Pair, compare, letter::Text, or_skip, python, wait_until,
};
use tempfile::TempDir;

use crate::scene;

/// So many have come through when a primary is taken down, and by far not all.
const BEGUN: usize = 20;

/// An authority for a primary's certificate.
fn authority() -> (TempDir, Authority) {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    (directory, authority)
}

/// Letters of all kinds, each to one of five people.
fn letters(count: usize) -> Vec<Letter> {
    let letter = |serial: usize| {
        let text = [Text::Plain, Text::EightBit, Text::Dots][serial % 3];
        let size = if serial == 7 { 1_300_000 } else { 3_000 };
        Letter::of(
            serial,
            &[&format!("user{}@example.com", serial % 5)],
            size,
            text,
        )
    };
    (0..count).map(letter).collect()
}

/// Waits until every letter has come out behind the foreign primary, and compares. `arrivals` are the
/// letters in the order in which they came to it: it may hand them on in another one. A letter that it
/// has put off when it came steps aside, and then the order is not judged.
#[track_caller]
fn settle(
    cluster: &Cluster,
    last_hop: &Primary,
    letters: &[Letter],
    arrivals: impl FnOnce() -> Vec<usize>,
) {
    wait_until(scene::DRAIN, "everything is handed on", || {
        let received = last_hop.received();
        let serials: BTreeSet<usize> = received.iter().filter_map(Received::serial).collect();
        serials.len() >= letters.len()
    });
    let arrivals = arrivals();
    let mut received = last_hop.received();
    received.sort_by_key(|one| {
        let serial = one.serial();
        arrivals.iter().position(|arrived| Some(*arrived) == serial)
    });
    let mut account = compare(letters, &received);
    let nodes = cluster.nodes.iter();
    if nodes
        .map(Daemon::log_text)
        .any(|log| log.contains(" mail: deferred "))
    {
        account.out_of_order.clear();
    }
    assert!(account.is_right(), "{account}: {account:?}");
}

#[test]
fn postfix_gets_all_mail_in_order_also_when_it_crashes_on_the_way() {
    let last_hop = Primary::started();
    let Some(postfix) = or_skip(Postfix::prepare("example.com")) else {
        return;
    };
    let (_directory, authority) = authority();
    let mut postfix = postfix
        .relaying_to(&[last_hop.address()])
        .impatient()
        .offering_tls(&authority.sign("primary.example.com"));
    let cluster = Cluster::start(3, &Settings::for_primary(postfix.address()));
    let letters = letters(200);
    scene::send_all(&cluster, &letters);
    postfix.up();
    scene::wait_received(&last_hop, BEGUN);
    postfix.crash();
    assert!(cluster.nodes[0].queued() > Some(0), "it was on the way");
    postfix.up();
    cluster.wait_queued(0, scene::DRAIN);
    settle(&cluster, &last_hop, &letters, || postfix.arrivals());
    // It counts the commands of a session at its end.
    wait_until(scene::DRAIN, "BDAT over TLS is in Postfix's log", || {
        let log = postfix.log_text();
        log.contains(" starttls=1 ") && log.contains(" bdat=")
    });
    assert!(!postfix.log_text().contains(" data="), "DATA, not BDAT");
}

#[test]
fn postfix_without_room_gets_its_mail_when_it_has_some_and_its_size_is_remembered() {
    let last_hop = Primary::started();
    let Some(postfix) = or_skip(Postfix::prepare("example.com")) else {
        return;
    };
    let mut postfix = postfix.relaying_to(&[last_hop.address()]).impatient();
    postfix.set("message_size_limit", "100000");
    postfix.set("queue_minfree", "1000000000000000");
    let cluster = Cluster::start(1, &Settings::for_primary(postfix.address()));
    let letters = scene::letters(0..6);
    scene::send_all(&cluster, &letters);
    postfix.up();
    wait_until(scene::DRAIN, "Postfix says that it is full", || {
        postfix.log_text().contains("not enough free space")
    });
    wait_until(scene::DRAIN, "it counts as down", || {
        let told = cluster.ctl().json(&["status"])["domains"][0].clone();
        let error = told["delivery"]["last_error"].as_str();
        told["primary_state"] == "down" && error.is_some_and(|words| words.contains("452 4.3.1"))
    });
    assert_eq!(cluster.nodes[0].queued(), Some(6), "all are kept");
    let deferred = cluster
        .ctl()
        .json(&["queue", "list", "--state", "deferred"]);
    assert_eq!(deferred.as_array().map_or(0, Vec::len), 0, "and unchanged");
    postfix.set("queue_minfree", "0");
    postfix.reload();
    // A probe finds out, and nobody flushes.
    cluster.wait_queued(0, scene::DRAIN);
    settle(&cluster, &last_hop, &letters, || postfix.arrivals());

    wait_until(scene::DRAIN, "its size is offered", || {
        let sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
        sender.extensions.contains(&"SIZE 100000".to_owned())
    });
    postfix.down();
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    let reply = sender.command("MAIL FROM:<a@sender.test> SIZE=100001");
    let reply = reply.unwrap();
    assert!(
        reply.code == 552 && reply.lines[0].starts_with("5.3.4 "),
        "{reply}"
    );
}

#[test]
fn whom_postfix_puts_off_is_sent_to_again_and_whom_it_does_not_know_waits_for_a_person() {
    let last_hop = Primary::started();
    let Some(postfix) = or_skip(Postfix::prepare("example.com")) else {
        return;
    };
    let mut postfix = postfix.relaying_to(&[last_hop.address()]).impatient();
    let known = postfix.write_table("known", &["here@example.com x", "later@example.com x"]);
    let put_off = ["later@example.com 450 4.2.0 Greylisted, come again"];
    let access = postfix.write_table("access", &put_off);
    postfix.set("relay_recipient_maps", &known);
    postfix.set(
        "smtpd_recipient_restrictions",
        &format!("check_recipient_access {access}, reject_unauth_destination"),
    );
    let mut settings = Settings::for_primary(postfix.address());
    // To start Postfix takes long enough for a trial now and then, and this is about its answers.
    let line = "probe_interval = \"500ms\"\n";
    let lines = format!("{line}recovery_guard = false\n");
    settings.policy = settings.policy.replace(line, &lines);
    let cluster = Cluster::start(1, &settings);
    let to = ["here@example.com", "later@example.com", "gone@example.com"];
    let letters: Vec<Letter> = to
        .iter()
        .cycle()
        .zip(0..9)
        .map(|(to, serial)| Letter::new(serial, to, 2_000))
        .collect();
    scene::send_all(&cluster, &letters);
    postfix.up();
    let in_state = |state| {
        let listed = cluster.ctl().json(&["queue", "list", "--state", state]);
        listed.as_array().map_or(0, Vec::len)
    };
    wait_until(scene::DRAIN, "three are refused and three put off", || {
        last_hop.count() == 3 && in_state("rejected") == 3 && in_state("deferred") == 3
    });
    let refused = cluster
        .ctl()
        .json(&["queue", "list", "--state", "rejected"]);
    let reason = refused[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("550 5.1.1"), "{reason}");

    postfix.write_table("access", &[]);
    postfix.reload();
    wait_until(scene::DRAIN, "they have left", || {
        let flushed = cluster.ctl().run(&["flush"]);
        assert_eq!(flushed.code, 0, "{}", flushed.err);
        in_state("deferred") == 0 && in_state("waiting") == 0
    });
    assert_eq!(in_state("rejected"), 3, "those stay");
    let letters: Vec<Letter> = letters
        .into_iter()
        .filter(|letter| letter.to != ["gone@example.com"])
        .collect();
    settle(&cluster, &last_hop, &letters, || postfix.arrivals());
}

/// What one sender says of addresses beyond ASCII and of the notices that he wants.
const WISHES: [&str; 3] = [
    "MAIL FROM:<p\u{e4}r@sender.test> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=QQ314159",
    "RCPT TO:<m\u{fc}ller@example.com> NOTIFY=SUCCESS,FAILURE",
    "RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;first@sender.test",
];

#[test]
fn wishes_about_notices_and_addresses_beyond_ascii_come_through_postfix_and_exim() {
    let last_hop = Primary::started();
    last_hop.on_cue(|cue| cue.offer(&[Offer::SmtpUtf8, Offer::Dsn]));
    let (_directory, authority) = authority();
    let pair = authority.sign("primary.example.com");
    let postfix = or_skip(Postfix::prepare("example.com"));
    if let Some(postfix) = postfix {
        let mut postfix = postfix.relaying_to(&[last_hop.address()]).impatient();
        postfix.up();
        wishes_come_through(postfix.address(), &last_hop);
    }
    let exim = Exim::prepare("example.com", last_hop.address(), &pair);
    if let Some(mut exim) = or_skip(exim) {
        exim.up();
        wishes_come_through(exim.address(), &last_hop);
    }
}

fn wishes_come_through(primary: SocketAddr, last_hop: &Primary) {
    let cluster = Cluster::start(1, &Settings::for_primary(primary));
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    for line in WISHES.iter().chain(&["DATA"]) {
        let reply = sender.command(line).unwrap();
        assert!(reply.is_positive(), "{line}: {reply}");
    }
    sender
        .write("Subject: gr\u{fc}\u{df}e\r\n\r\ntext\r\n.\r\n".as_bytes())
        .unwrap();
    let reply = sender.read_reply().unwrap();
    assert!(reply.queued_as().is_some(), "{reply}");
    wait_until(scene::DRAIN, "both recipients have it", || {
        let received = last_hop.received();
        received.iter().map(|one| one.to.len()).sum::<usize>() == 2
    });
    let mut said = Vec::new();
    for arrived in last_hop.take_received() {
        assert_eq!(arrived.from, "p\u{e4}r@sender.test");
        let mail: BTreeSet<&str> = arrived.said.mail.iter().map(String::as_str).collect();
        for wish in ["SMTPUTF8", "RET=HDRS", "ENVID=QQ314159"] {
            assert!(mail.contains(wish), "{mail:?}");
        }
        for (to, wishes) in arrived.to.into_iter().zip(arrived.said.rcpt) {
            let wishes: BTreeSet<String> = wishes.into_iter().collect();
            said.push((to, wishes));
        }
    }
    said.sort();
    let wishes = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let never = wishes(&["NOTIFY=NEVER", "ORCPT=rfc822;first@sender.test"]);
    assert_eq!(said[0], ("b@example.com".to_owned(), never));
    assert_eq!(said[1].0, "m\u{fc}ller@example.com");
    assert!(
        said[1].1.contains("NOTIFY=SUCCESS,FAILURE"),
        "{:?}",
        said[1]
    );
}

#[test]
fn exim_gets_all_mail_in_order_also_when_it_is_restarted_on_the_way() {
    let last_hop = Primary::started();
    let (_directory, authority) = authority();
    let pair = authority.sign("primary.example.com");
    let exim = Exim::prepare("example.com", last_hop.address(), &pair);
    let Some(mut exim) = or_skip(exim) else {
        return;
    };
    let cluster = Cluster::start(1, &Settings::for_primary(exim.address()));
    let letters = letters(60);
    let unknown = Letter::new(1_000, "nobody@example.com", 2_000);
    scene::send_all(&cluster, &letters);
    scene::send_all(&cluster, std::slice::from_ref(&unknown));
    exim.up();
    scene::wait_received(&last_hop, BEGUN);
    exim.down();
    exim.up();
    cluster.wait_queued(1, scene::DRAIN);
    settle(&cluster, &last_hop, &letters, || exim.arrivals());
    let log = exim.log_text();
    assert!(log.contains("P=esmtps X=TLS1.3"), "no TLS");
    assert!(log.contains(" K "), "no BDAT");
    let list = cluster
        .ctl()
        .json(&["queue", "list", "--state", "rejected"]);
    assert_eq!(list[0]["recipients"][0], "nobody@example.com");
}

/// aiosmtpd with TLS, which offers neither PIPELINING nor CHUNKING, and hands on what it takes before it
/// says so.
const AIOSMTPD: &str = r#"
import asyncio, smtplib, ssl, sys
from aiosmtpd.smtp import SMTP
port, hop_host, hop_port, cert, key = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
own.load_cert_chain(cert, key)

class HandOn:
    async def handle_DATA(self, server, session, envelope):
        assert session.ssl, "not over TLS"
        with smtplib.SMTP(hop_host, hop_port) as hop:
            hop.sendmail(envelope.mail_from, envelope.rcpt_tos, envelope.original_content)
        return "250 2.0.0 taken"

async def serve():
    loop = asyncio.get_running_loop()
    new = lambda: SMTP(HandOn(), loop=loop, hostname="primary.example.com", tls_context=own,
        require_starttls=True, enable_SMTPUTF8=True)
    server = await loop.create_server(new, "127.0.0.1", port)
    await server.serve_forever()

asyncio.run(serve())
"#;

/// A process that dies with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn aiosmtpd(python: &str, at: SocketAddr, hop: SocketAddr, pair: &Pair) -> Running {
    let (host, hop_port) = (hop.ip().to_string(), hop.port().to_string());
    let child = Command::new(python)
        .args(["-c", AIOSMTPD, &at.port().to_string(), &host, &hop_port])
        .args([&pair.cert, &pair.key])
        .spawn();
    let running = Running(child.unwrap());
    wait_until(scene::DRAIN, "aiosmtpd answers", || {
        Sender::connect(at).is_ok()
    });
    running
}

#[test]
fn pythons_aiosmtpd_gets_all_mail_in_order_also_when_it_is_killed_on_the_way() {
    let Some(python) = or_skip(python::having("aiosmtpd")) else {
        return;
    };
    let last_hop = Primary::started();
    let (_directory, authority) = authority();
    let pair = authority.sign("primary.example.com");
    let port = Port::free();
    let cluster = Cluster::start(1, &Settings::for_primary(port.address()));
    let letters = letters(60);
    scene::send_all(&cluster, &letters);
    let first = aiosmtpd(python, port.address(), last_hop.address(), &pair);
    scene::wait_received(&last_hop, BEGUN);
    drop(first);
    let _second = aiosmtpd(python, port.address(), last_hop.address(), &pair);
    cluster.wait_queued(0, scene::DRAIN);
    // What it had handed on and not acknowledged comes again.
    let arrivals = || {
        let received = last_hop.received();
        received.iter().filter_map(Received::serial).collect()
    };
    settle(&cluster, &last_hop, &letters, arrivals);
}
