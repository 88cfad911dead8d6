//! What looks like the end of a message to some servers and is none. In front of Layover stands an
//! attacker, behind it real primaries: of what he sends one message comes out, or none.
//!
//! The sequences are those of SEC Consult's "SMTP Smuggling" and of the scanners that followed it, and
//! what else is taken for a line end somewhere.

use std::collections::BTreeMap;

use harness::{
    Authority, Cluster, Exim, Postfix, Primary, Reply, Sender, Settings, or_skip, wait_until,
};

use crate::scene;

/// The true end, with a dot doubled. Whoever forwards it must double it again.
const DOUBLED: &[u8] = b"\r\n..\r\n";

/// Ends that are none.
const FALSE_ENDS: [&[u8]; 23] = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\n\n.\n\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\0\n",
    b"\r\0\n.\r\0\n",
    b"\r\n .\r\n",
    b"\r\n. \r\n",
    b"\r\n\x08.\r\n",
    b"\x0b.\x0b",
    b"\x0c.\x0c",
    b"\xc2\x85.\xc2\x85",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
    DOUBLED,
];

/// What the attacker wants to be taken for commands and for a second message.
const SECOND: &str = "MAIL FROM:<smuggled@sender.test>\r\nRCPT TO:<victim@postfix.test>\r\n\
    RCPT TO:<victim@exim.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nthe second\r\n";

/// One message with a false end inside, and the place in it where a segment or a chunk ends.
#[derive(Clone, Debug)]
struct Probe {
    number: usize,
    text: Vec<u8>,
    cut: usize,
}

impl Probe {
    /// The false end in one segment, and cut at each place inside.
    fn all(false_ends: &[&[u8]]) -> Vec<Self> {
        let mut probes = Vec::new();
        for end in false_ends {
            for cut in 0..end.len() {
                let number = probes.len();
                let mut text = format!("Subject: probe {number}\r\n\r\nthe first").into_bytes();
                let cut = text.len() + cut;
                text.extend_from_slice(end);
                text.extend_from_slice(SECOND.as_bytes());
                probes.push(Self { number, text, cut });
            }
        }
        probes
    }

    fn envelope(&self, domains: &[&str]) -> Vec<String> {
        let mut commands = vec![format!("MAIL FROM:<probe{}@sender.test>", self.number)];
        let recipient = |domain| format!("RCPT TO:<victim@{domain}>");
        commands.extend(domains.iter().map(recipient));
        commands
    }

    /// Sends it by DATA; returns whether it was taken.
    fn by_data(&self, server: std::net::SocketAddr, domains: &[&str]) -> bool {
        let mut sender = Sender::connect(server).unwrap();
        for command in self.envelope(domains).iter().chain(&["DATA".to_owned()]) {
            let reply = sender.command(command).unwrap();
            assert!(reply.is_positive(), "{command}: {reply}");
        }
        let (front, back) = self.text.split_at(self.cut);
        sender.write(front).unwrap();
        sender.write(back).unwrap();
        sender.write(b".\r\n").unwrap();
        self.judge(&mut sender, 0)
    }

    /// Sends it in two chunks; returns whether it was taken.
    fn by_bdat(&self, server: std::net::SocketAddr, domains: &[&str]) -> bool {
        let mut sender = Sender::connect(server).unwrap();
        for command in self.envelope(domains) {
            let reply = sender.command(&command).unwrap();
            assert!(reply.is_positive(), "{command}: {reply}");
        }
        let (front, back) = self.text.split_at(self.cut);
        for (chunk, last) in [(front, ""), (back, " LAST")] {
            let command = format!("BDAT {}{last}\r\n", chunk.len());
            sender.write(command.as_bytes()).unwrap();
            sender.write(chunk).unwrap();
        }
        self.judge(&mut sender, 1)
    }

    /// Reads so many replies in front of the one to the message, and that one; what comes behind it must
    /// be the reply to QUIT, or something in the message was taken for a command.
    fn judge(&self, sender: &mut Sender, in_front: usize) -> bool {
        let replies = (0..=in_front).map(|_| sender.read_reply().unwrap());
        let replies: Vec<Reply> = replies.collect();
        let bye = sender.command("QUIT").unwrap();
        let text = String::from_utf8_lossy(&self.text);
        assert_eq!(bye.code, 221, "{text:?}: {replies:?}, then {bye}");
        let taken = replies.iter().all(Reply::is_positive);
        let refused = replies.last().is_some_and(|reply| reply.code >= 500);
        assert!(taken || refused, "{text:?}: {replies:?}");
        taken
    }
}

/// How many messages came out of each probe, by its number; panics on what was smuggled.
fn come_out(primary: &Primary, domain: &str) -> BTreeMap<String, usize> {
    let mut messages = BTreeMap::new();
    for arrived in primary.received() {
        let text = String::from_utf8_lossy(&arrived.body).into_owned();
        assert!(arrived.from.starts_with("probe"), "smuggled: {text:?}");
        assert!(text.contains("the second"), "cut off: {text:?}");
        if arrived.to.iter().any(|to| to.ends_with(domain)) {
            *messages.entry(arrived.from).or_default() += 1;
        }
    }
    messages
}

/// A Postfix that takes any line end for one, as all did once, and is handed mail by DATA.
fn gullible(domain: &str, last_hop: &Primary) -> Option<Postfix> {
    let postfix = or_skip(Postfix::prepare(domain))?;
    let mut postfix = postfix.relaying_to(&[last_hop.address()]).impatient();
    for (name, value) in [
        ("smtpd_forbid_bare_newline", "no"),
        ("smtpd_forbid_unauth_pipelining", "no"),
        ("smtpd_discard_ehlo_keywords", "chunking"),
    ] {
        postfix.set(name, value);
    }
    postfix.up();
    Some(postfix)
}

#[test]
fn two_messages_never_come_out_of_one_at_postfix_and_exim() {
    let last_hop = Primary::started();
    let directory = tempfile::tempdir().unwrap();
    let pair = Authority::new(directory.path()).sign("primary.example.com");
    let postfix = gullible("postfix.test", &last_hop);
    let exim = or_skip(Exim::prepare("exim.test", last_hop.address(), &pair));
    let exim = exim.map(|mut exim| {
        exim.up();
        exim
    });
    let postfix = postfix.map(|postfix| (("postfix.test", postfix.address()), postfix));
    let exim = exim.map(|exim| (("exim.test", exim.address()), exim));
    let domains: Vec<_> = postfix
        .iter()
        .map(|(domain, _)| *domain)
        .chain(exim.iter().map(|(domain, _)| *domain))
        .collect();
    if domains.is_empty() {
        return;
    }
    let cluster = Cluster::start(1, &Settings::for_domains(&domains));
    let server = cluster.nodes[0].smtp();
    let names: Vec<&str> = domains.iter().map(|(name, _)| *name).collect();

    let mut expected = BTreeMap::new();
    let probes = Probe::all(&FALSE_ENDS);
    for probe in &probes {
        if probe.by_data(server, &names) {
            expected.insert(format!("probe{}@sender.test", probe.number), 1);
        }
    }
    // What a chunk holds is never the end of anything, not even what would be one in DATA.
    let in_chunks = [&FALSE_ENDS[..], &[b"\r\n.\r\n", b"\r\r\n.\r\n\r"]].concat();
    for mut probe in Probe::all(&in_chunks) {
        probe.number += probes.len();
        if probe.by_bdat(server, &names) {
            expected.insert(format!("probe{}@sender.test", probe.number), 1);
        }
    }
    assert!(expected.len() > 30, "harmless ones are taken");
    cluster.wait_queued(0, scene::DRAIN);
    for name in names {
        wait_until(scene::DRAIN, "all are handed on", || {
            come_out(&last_hop, name).len() >= expected.len()
        });
        assert_eq!(come_out(&last_hop, name), expected, "at {name}");
    }
}

#[test]
fn the_probes_do_smuggle_where_nothing_stands_in_front() {
    let last_hop = Primary::started();
    let Some(postfix) = gullible("postfix.test", &last_hop) else {
        return;
    };
    let text = format!("Subject: x\r\n\r\nthe first\r\n.\n{SECOND}.\r\n");
    let mut sender = Sender::connect(postfix.address()).unwrap();
    for command in [
        "MAIL FROM:<a@sender.test>",
        "RCPT TO:<victim@postfix.test>",
        "DATA",
    ] {
        assert!(sender.command(command).unwrap().is_positive(), "{command}");
    }
    sender.write(text.as_bytes()).unwrap();
    wait_until(scene::DRAIN, "two came out of one", || {
        let received = last_hop.received();
        let smuggled = |from: &str| received.iter().any(|one| one.from == from);
        smuggled("a@sender.test") && smuggled("smuggled@sender.test")
    });
}
