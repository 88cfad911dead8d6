//! Senders are told what becomes of their mail, in reports that a foreign parser reads.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Command,
    time::Duration,
};

use harness::{
    Cluster, Letter, NameServer, Offer, Primary, Sender, Settings, ctl, name_server::Data,
    sender::stuffed, wait_until,
};

use crate::{authentication, scene};

/// What is late is looked for every few seconds.
const LOOKED_AT: Duration = Duration::from_secs(60);

/// Reads a report as Python's `email` does: its file, the action, the final recipient, the status' beginning, and
/// the type of the third part.
const PARSER: &str = r#"
import sys
from email import policy
from email.parser import BytesParser
path, action, recipient, status, kind = sys.argv[1:]
with open(path, "rb") as file:
    report = BytesParser(policy=policy.default).parse(file)
for part in report.walk():
    assert not part.defects, (part.get_content_type(), part.defects)
assert report.get_content_type() == "multipart/report", report.get_content_type()
assert report.get_param("report-type") == "delivery-status"
assert report["Auto-Submitted"] == "auto-replied"
assert report["From"].addresses[0].addr_spec == "pm@example.com", report["From"]
words, fields, original = report.iter_parts()
assert recipient in words.get_content()
assert fields.get_content_type() == "message/delivery-status"
of_message, of_recipient = fields.get_payload()
assert of_message["Reporting-MTA"].startswith("dns; mx"), of_message.items()
assert of_message["Arrival-Date"]
assert of_recipient["Action"] == action, of_recipient.items()
assert of_recipient["Final-Recipient"] == "rfc822; " + recipient, of_recipient.items()
assert of_recipient["Status"].startswith(status), of_recipient.items()
assert original.get_content_type() == kind, original.get_content_type()
"#;

/// A report as it should be.
struct Expected {
    action: &'static str,
    recipient: &'static str,
    status: &'static str,
    third: &'static str,
}

impl Expected {
    const FAILED: Self = Self {
        action: "failed",
        recipient: "gone@example.com",
        status: "5.1.1",
        third: "text/rfc822-headers",
    };

    #[track_caller]
    fn check(&self, cluster: &Cluster, report: &[u8]) {
        let script = cluster.directory().join("parser.py");
        let file = cluster.directory().join("report.eml");
        fs::write(&script, PARSER).unwrap();
        fs::write(&file, report).unwrap();
        let mut python = Command::new("python3");
        python.arg(script).arg(file);
        python.args([self.action, self.recipient, self.status, self.third]);
        let outcome = ctl::outcome(&mut python);
        let report = String::from_utf8_lossy(report);
        assert_eq!(outcome.code, 0, "{}{report}", outcome.err);
    }
}

/// A primary that is up and knows one recipient less than it is asked for.
fn primary() -> Primary {
    let primary = Primary::started();
    primary.on_cue(|cue| cue.refuse("gone@example.com", "550 5.1.1 no such user"));
    primary
}

/// The policy of `settings` with these keys in its tables `queue` and `dsn`.
fn with_reports(mut settings: Settings, queue: &str, dsn: &str) -> Settings {
    settings.policy = format!(
        "[queue]\n{queue}\n\n[dsn]\npostmaster = \"pm@example.com\"\n{dsn}\n\n{}",
        settings.policy
    );
    settings
}

fn by(smarthost: &Primary) -> String {
    format!("smarthost = \"{}\"", smarthost.address())
}

/// Nodes that tell every sender, by a smarthost.
fn telling_all(nodes: u64, primary: &Primary, smarthost: &Primary, queue: &str) -> Cluster {
    let settings = Settings::for_primary(primary.address());
    let queue = format!("dsn = \"always\"\n{queue}");
    Cluster::start(nodes, &with_reports(settings, &queue, &by(smarthost)))
}

/// Sends a message with parameters behind the sender and the recipient. Returns its id.
fn send(sender: &mut Sender, from: &str, to: &str) -> String {
    let letter = Letter::new(1, "user@example.com", 1_000);
    for command in [
        &format!("MAIL FROM:{from}"),
        &format!("RCPT TO:{to}"),
        "DATA",
    ] {
        let reply = sender.command(command).unwrap();
        assert!(reply.is_positive(), "{command}: {reply:?}");
    }
    sender.write(&stuffed(&letter.body)).unwrap();
    let reply = sender.read_reply().unwrap();
    reply.queued_as().unwrap().to_owned()
}

fn connect(cluster: &Cluster) -> Sender {
    Sender::connect(cluster.nodes[0].smtp()).unwrap()
}

/// How many messages for the domain are in a state.
fn count(cluster: &Cluster, state: &str) -> u64 {
    let listed =
        cluster
            .ctl()
            .json(&["queue", "list", "--state", state, "--domain", "example.com"]);
    listed.as_array().map_or(0, Vec::len) as u64
}

#[test]
fn a_failure_is_told_to_senders_who_are_known_and_to_nobody_else() {
    let server = NameServer::start();
    authentication::text(&server, "sender.example", "v=spf1 ip4:192.0.2.7 -all");
    let (primary, smarthost) = (primary(), Primary::started());
    let settings = Settings::for_primary(primary.address())
        .with("smtp", "proxy_protocol_from = [\"127.0.0.0/8\"]")
        .asking(&server);
    let cluster = Cluster::start(1, &with_reports(settings, "", &by(&smarthost)));
    wait_until(authentication::HEARD_OF, "the name server answers", || {
        cluster.nodes[0].metric("layover_dns_answering", &[]) == Some(1.0)
    });
    let mut forger = authentication::client(&cluster, "192.0.2.8");
    let mut owner = authentication::client(&cluster, "192.0.2.7");
    send(&mut forger, "<a@sender.example>", "<gone@example.com>");
    send(&mut owner, "<>", "<gone@example.com>");
    send(
        &mut owner,
        "<a@sender.example>",
        "<gone@example.com> NOTIFY=NEVER",
    );
    let told = send(
        &mut owner,
        "<a@sender.example> RET=HDRS ENVID=QQ+2B1",
        "<gone@example.com> NOTIFY=FAILURE ORCPT=rfc822;old@example.com",
    );
    scene::wait_received(&smarthost, 1);
    wait_until(scene::DRAIN, "the others are rejected", || {
        count(&cluster, "rejected") == 3
    });
    let reports = smarthost.received();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].from, "");
    assert_eq!(reports[0].to, ["a@sender.example"]);
    Expected::FAILED.check(&cluster, &reports[0].body);
    let text = String::from_utf8_lossy(&reports[0].body);
    for field in [
        "Original-Envelope-Id: QQ+1\r\n",
        "Original-Recipient: rfc822; old@example.com\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
    ] {
        assert!(text.contains(field), "{text}");
    }
    let written = cluster.nodes[0].metric("layover_reports_total", &["kind=\"failed\""]);
    assert_eq!(written, Some(1.0));
    let log = cluster.nodes[0].log_text();
    assert!(
        log.contains("sender is told") && log.contains(&told),
        "{log}"
    );
}

#[test]
fn what_a_primary_without_reports_takes_is_told_as_passed_on() {
    let (mut primary, smarthost) = (primary(), Primary::started());
    let cluster = telling_all(1, &primary, &smarthost, "");
    let mut sender = connect(&cluster);
    send(&mut sender, "<a@sender.example>", "<user@example.com>");
    let to = "<user@example.com> NOTIFY=SUCCESS";
    send(&mut sender, "<a@sender.example>", to);
    scene::wait_received(&smarthost, 1);
    let expected = Expected {
        action: "relayed",
        recipient: "user@example.com",
        status: "2.",
        ..Expected::FAILED
    };
    expected.check(&cluster, &smarthost.received()[0].body);
    // One that offers DSN tells of its deliveries itself. A new connection hears the offer.
    cluster.wait_queued(0, scene::DRAIN);
    primary.down();
    primary.on_cue(|cue| cue.offer(&[Offer::Dsn]));
    primary.up();
    send(&mut sender, "<a@sender.example>", to);
    scene::wait_received(&primary, 3);
    cluster.wait_queued(0, scene::DRAIN);
    let asked = primary.received().remove(2).said;
    assert_eq!(asked.rcpt, [["NOTIFY=SUCCESS"]]);
    assert_eq!(smarthost.count(), 1);
}

#[test]
fn what_waits_for_long_is_told_once_and_delivered_all_the_same() {
    let (mut primary, smarthost) = (Primary::down_at_first(), Primary::started());
    let queue = "delay_notice_after = \"2s\"";
    let cluster = telling_all(1, &primary, &smarthost, queue);
    let mut sender = connect(&cluster);
    send(&mut sender, "<a@sender.example>", "<user@example.com>");
    wait_until(LOOKED_AT, "the sender is told", || smarthost.count() == 1);
    let expected = Expected {
        action: "delayed",
        recipient: "user@example.com",
        status: "4.",
        ..Expected::FAILED
    };
    expected.check(&cluster, &smarthost.received()[0].body);
    primary.up();
    scene::wait_received(&primary, 1);
    cluster.wait_queued(0, scene::DRAIN);
    assert_eq!(smarthost.count(), 1);
}

#[test]
fn an_operators_word_tells_a_sender_of_whom_nothing_is_known() {
    let (primary, smarthost) = (Primary::down_at_first(), Primary::started());
    let settings = Settings::for_primary(primary.address());
    let cluster = Cluster::start(1, &with_reports(settings, "", &by(&smarthost)));
    let id = send(
        &mut connect(&cluster),
        "<a@sender.example>",
        "<user@example.com>",
    );
    let bounce = ["queue", "bounce", &id, "--reason", "he has left"];
    let told = cluster.ctl().run(&bounce);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    scene::wait_received(&smarthost, 1);
    let report = smarthost.received().remove(0);
    let expected = Expected {
        recipient: "user@example.com",
        status: "5.0.0",
        ..Expected::FAILED
    };
    expected.check(&cluster, &report.body);
    let text = String::from_utf8_lossy(&report.body);
    assert!(text.contains("he has left"), "{text}");
    cluster.wait_queued(0, scene::DRAIN);
}

#[test]
fn a_report_outlives_the_leader_that_wrote_it_and_is_sent_once() {
    let (primary, mut smarthost) = (primary(), Primary::down_at_first());
    let mut cluster = telling_all(3, &primary, &smarthost, "");
    let mut sender = connect(&cluster);
    send(&mut sender, "<a@sender.example>", "<gone@example.com>");
    let written = |cluster: &Cluster| {
        let nodes = cluster.nodes.iter();
        let logs = nodes.map(|node| node.log_text().matches("sender is told").count());
        logs.sum::<usize>()
    };
    wait_until(scene::DRAIN, "the report is spooled", || {
        written(&cluster) == 1
    });
    let leader = cluster.nodes.iter().position(|node| node.is_leader());
    let leader = leader.expect("one leads");
    cluster.nodes[leader].kill();
    smarthost.up();
    scene::wait_received(&smarthost, 1);
    cluster.nodes[leader].spawn();
    cluster.nodes[leader].wait_ready();
    cluster.wait_queued(0, scene::DRAIN);
    assert_eq!(smarthost.count(), 1);
    Expected::FAILED.check(&cluster, &smarthost.received()[0].body);
}

#[test]
fn a_sender_in_one_of_our_domains_is_told_by_its_primary() {
    let (primary, other) = (primary(), Primary::started());
    let domains = [
        ("example.com", primary.address()),
        ("example.org", other.address()),
    ];
    let settings = with_reports(Settings::for_domains(&domains), "dsn = \"always\"", "");
    let cluster = Cluster::start(1, &settings);
    let mut sender = connect(&cluster);
    send(&mut sender, "<a@example.org>", "<gone@example.com>");
    scene::wait_received(&other, 1);
    let report = other.received().remove(0);
    assert_eq!(
        (report.from.as_str(), &report.to[..]),
        ("", &["a@example.org".to_owned()][..])
    );
    Expected::FAILED.check(&cluster, &report.body);
    cluster.wait_queued(0, scene::DRAIN);
}

#[test]
fn without_a_smarthost_reports_go_to_the_senders_own_hosts() {
    let address = SocketAddr::from((Ipv4Addr::new(127, 25, 3, 1), 25));
    if let Err(error) = TcpListener::bind(address) {
        println!("skipped: {address} can not be listened on ({error}); run the tests as root");
        return;
    }
    let server = NameServer::start();
    server.tell("sender.example", &[Data::Mx(10, "mx.sender.example")]);
    server.tell(
        "mx.sender.example",
        &[Data::A(Ipv4Addr::new(127, 25, 3, 1))],
    );
    server.tell("mute.example", &[Data::Mx(0, ".")]);
    let mut host = Primary::at(address);
    host.up();
    let primary = primary();
    let settings = Settings::for_primary(primary.address()).asking(&server);
    let cluster = Cluster::start(1, &with_reports(settings, "dsn = \"always\"", ""));
    wait_until(authentication::HEARD_OF, "the name server answers", || {
        cluster.nodes[0].metric("layover_dns_answering", &[]) == Some(1.0)
    });
    let mut sender = connect(&cluster);
    send(&mut sender, "<a@mute.example>", "<gone@example.com>");
    send(&mut sender, "<a@sender.example>", "<gone@example.com>");
    scene::wait_received(&host, 1);
    let report = host.received().remove(0);
    assert_eq!(report.to, ["a@sender.example"]);
    Expected::FAILED.check(&cluster, &report.body);
    // A domain that takes no mail gets none; nobody is told of that, and nothing of it is kept.
    cluster.wait_queued(0, scene::DRAIN);
    let log = cluster.nodes[0].log_text();
    assert!(log.contains("5.1.10 mute.example takes no mail"), "{log}");
}
