//! What the spam filters of primaries read in `Received`: SpamAssassin and rspamd themselves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{Letter, NameServer, Primary, Sender, binaries, ctl, name_server::Data, or_skip};

use crate::{authentication, scene};

/// Prints of each file what SpamAssassin takes the last hop for that is not the primary's own network.
const SPAMASSASSIN: &str = r#"
use strict; use warnings;
use Mail::SpamAssassin; use Mail::SpamAssassin::PerMsgStatus;
my $filter = Mail::SpamAssassin->new({ local_tests_only => 1, dont_copy_prefs => 1, require_rules => 0,
    config_text => "clear_trusted_networks\nclear_internal_networks\n"
        . "trusted_networks 10.0.0.1\ninternal_networks 10.0.0.1\n" });
$filter->init(0);
for my $file (@ARGV) {
    open(my $in, "<:raw", $file) or die "$file: $!";
    my $text = do { local $/; <$in> };
    my $status = Mail::SpamAssassin::PerMsgStatus->new($filter, $filter->parse($text));
    $status->extract_message_metadata();
    print $status->get("X-Spam-Relays-Untrusted") =~ /^\[ ([^\]]*) \]/ ? "$1\n" : "nothing\n";
}
"#;

/// Prints of each file what rspamd reads in the second field from the top.
const RSPAMD: &str = r#"
local rspamd_task = require "rspamd_task"
for name in string.gmatch(os.getenv("LETTERS"), "[^:]+") do
  local file = assert(io.open(name, "rb"))
  local loaded, task = rspamd_task.load_from_string(file:read("*a"), rspamd_config)
  assert(loaded and task:process_message())
  local hop = task:get_received_headers()[2]
  print(string.format("ip=%s rdns=%s by=%s", tostring(hop.real_ip), hop.real_hostname or "", hop.by_hostname))
end
"#;

/// What the primary itself writes in front: it has the message from a node of its own network.
const OF_PRIMARY: &str = "Received: from mx1.example.net (mx1.example.net [10.0.0.1])\r\n\
    \tby mail.example.com (Postfix) with ESMTPS id 4Zq1xJ2Xzzz\r\n\
    \tfor <a@example.com>; Tue, 14 Nov 2023 22:13:21 +0000\r\n";

/// A client, as the world sees it.
struct Client {
    address: &'static str,
    name: &'static str,
    tls: bool,
}

const CLIENTS: [Client; 5] = [
    Client {
        address: "192.0.2.7",
        name: "mail.sender.example",
        tls: false,
    },
    Client {
        address: "192.0.2.7",
        name: "mail.sender.example",
        tls: true,
    },
    Client {
        address: "2001:db8::7",
        name: "mail.sender.example",
        tls: false,
    },
    Client {
        address: "2001:db8::7",
        name: "mail.sender.example",
        tls: true,
    },
    Client {
        address: "192.0.2.8",
        name: "",
        tls: true,
    },
];

fn named() -> NameServer {
    let server = NameServer::start();
    let zeros = "0.".repeat(23);
    for reverse in [
        "7.2.0.192.in-addr.arpa".to_owned(),
        format!("7.{zeros}8.b.d.0.1.0.0.2.ip6.arpa"),
    ] {
        server.tell(&reverse, &[Data::Ptr("mail.sender.example")]);
    }
    let addresses = [
        Data::A("192.0.2.7".parse().unwrap()),
        Data::Aaaa("2001:db8::7".parse().unwrap()),
    ];
    server.tell("mail.sender.example", &addresses);
    server
}

/// The messages of all clients as their filter gets them, each in a file, and their ids.
fn letters(folder: &Path) -> Vec<(PathBuf, String)> {
    let server = named();
    let (mut primary, cluster): (Primary, _) = authentication::asking(&server);
    let mut ids = Vec::new();
    for (serial, client) in CLIENTS.iter().enumerate() {
        let mut sender = Sender::dial(cluster.nodes[0].smtp()).unwrap();
        let (family, to) = if client.address.contains(':') {
            ("TCP6", "2001:db8::25")
        } else {
            ("TCP4", "198.51.100.1")
        };
        let header = format!("PROXY {family} {} {to} 4711 25\r\n", client.address);
        sender.write(header.as_bytes()).unwrap();
        assert_eq!(sender.read_reply().unwrap().code, 220);
        sender.ehlo().unwrap();
        if client.tls {
            sender = sender.start_tls(cluster.authority.client()).unwrap();
        }
        let reply = sender
            .send(&Letter::new(serial, "a@example.com", 500))
            .unwrap();
        ids.push(reply.queued_as().unwrap().to_owned());
    }
    primary.up();
    scene::wait_received(&primary, CLIENTS.len());
    let mut letters = Vec::new();
    for arrived in primary.received() {
        let serial = arrived.serial().unwrap();
        let file = folder.join(format!("{serial}.eml"));
        fs::write(&file, [OF_PRIMARY.as_bytes(), &arrived.body].concat()).unwrap();
        letters.push((file, ids[serial].clone()));
    }
    letters.sort();
    letters
}

fn run(command: &mut Command) -> Vec<String> {
    let outcome = ctl::outcome(command);
    assert_eq!(outcome.code, 0, "{command:?}: {}", outcome.err);
    outcome.out.lines().map(str::to_owned).collect()
}

#[test]
fn spamassassin_reads_who_brought_a_message_in_clear_and_over_tls() {
    let has_module = ctl::tried(Command::new("perl").args(["-MMail::SpamAssassin", "-e", "1"]));
    let is_there = has_module.is_ok_and(|outcome| outcome.code == 0);
    let missing = "no Mail::SpamAssassin; Debian's package is spamassassin".to_owned();
    if or_skip(is_there.then_some(()).ok_or(missing)).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(folder.path());
    let script = folder.path().join("filter.pl");
    fs::write(&script, SPAMASSASSIN).unwrap();
    let files = letters.iter().map(|(file, _)| file);
    let read = run(Command::new("perl").arg(script).args(files));
    let expected: Vec<String> = CLIENTS
        .iter()
        .zip(&letters)
        .map(|(client, (_, id))| {
            format!(
                "ip={} rdns={} helo=sender.test by=mx1.example.net ident= envfrom= intl=0 id={id} auth= msa=0",
                client.address, client.name
            )
        })
        .collect();
    assert_eq!(read, expected);
}

/// rspamd's own tool, with what was unpacked beside it.
fn rspamadm() -> Result<Command, String> {
    let root = binaries::unpacked("rspamd");
    let made = || {
        let mut command = Command::new(root.join("usr/bin/rspamadm"));
        command.env("LD_LIBRARY_PATH", root.join("libraries"));
        for (variable, path) in [
            ("SHAREDIR", "usr/share/rspamd"),
            ("LUALIBDIR", "usr/share/rspamd/lualib"),
            ("RULESDIR", "usr/share/rspamd/rules"),
        ] {
            command.arg(format!("--var={variable}={}", root.join(path).display()));
        }
        command
    };
    match ctl::tried(made().arg("--version")) {
        Ok(outcome) if outcome.code == 0 => Ok(made()),
        Ok(outcome) => Err(format!("rspamd does not run: {}", outcome.err.trim())),
        Err(_) => Err("no rspamd; tests/setup/install.sh unpacks it where apt is at hand".into()),
    }
}

#[test]
fn rspamd_reads_who_brought_a_message_in_clear_and_over_tls() {
    let Some(mut command) = or_skip(rspamadm()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(folder.path());
    let script = folder.path().join("filter.lua");
    fs::write(&script, RSPAMD).unwrap();
    let files: Vec<String> = letters
        .iter()
        .map(|(file, _)| file.display().to_string())
        .collect();
    command.env("LETTERS", files.join(":"));
    let read = run(command.args(["lua", "-b"]).arg(script));
    let expected: Vec<String> = CLIENTS
        .iter()
        .map(|client| {
            format!(
                "ip={} rdns={} by=mx1.example.net",
                client.address, client.name
            )
        })
        .collect();
    assert_eq!(read, expected);
}
