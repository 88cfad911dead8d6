//! A real Postfix is told who brought each message.

use harness::{Cluster, Letter, Postfix, Primary, Sender, Settings, or_skip, wait_until};

use crate::scene;

/// What each letter's client is, as the proxy tells it, and how Postfix names it.
const CLIENTS: [(&str, &str); 3] = [
    ("TCP4 192.0.2.7 198.51.100.1 4711 25", "[192.0.2.7]"),
    ("TCP4 192.0.2.8 198.51.100.1 4712 25", "[192.0.2.8]"),
    ("TCP6 2001:db8::7 2001:db8::1 4711 25", "[2001:db8::7]"),
];

/// Sends a letter of each client through a node, and returns what Postfix has logged.
fn logged(parameter: &str, hosts: &str) -> Option<(Cluster, Postfix, String)> {
    let last_hop = Primary::started();
    let postfix = or_skip(Postfix::prepare("example.com"))?;
    let mut postfix = postfix.relaying_to(&[last_hop.address()]).impatient();
    postfix.set(parameter, hosts);
    // It listens on none, and is told of some.
    postfix.set("inet_protocols", "all");
    let mut settings = Settings::for_primary(postfix.address())
        .with("smtp", "proxy_protocol_from = [\"127.0.0.0/8\"]");
    settings.policy.push_str("xclient = true\n");
    let cluster = Cluster::start(1, &settings);
    for (serial, (client, _)) in CLIENTS.iter().enumerate() {
        let mut sender = Sender::dial(cluster.nodes[0].smtp()).unwrap();
        sender
            .write(format!("PROXY {client}\r\n").as_bytes())
            .unwrap();
        assert_eq!(sender.read_reply().unwrap().code, 220);
        sender.ehlo().unwrap();
        let letter = Letter::new(serial, "a@example.com", 500);
        assert_eq!(sender.send(&letter).unwrap().code, 250);
    }
    postfix.up();
    scene::wait_received(&last_hop, CLIENTS.len());
    let log = postfix.log_text();
    Some((cluster, postfix, log))
}

/// How often Postfix has taken a command, in the sessions that have ended.
fn taken(log: &str, command: &str) -> usize {
    let ended = log
        .lines()
        .filter(|line| line.contains(" disconnect from "));
    let counts = ended.flat_map(|line| line.split(' '));
    let counts = counts.filter_map(|word| word.strip_prefix(command)?.strip_prefix('='));
    counts.filter_map(|count| count.parse::<usize>().ok()).sum()
}

/// Whether each client stands in a line of the log about a message that came in.
fn names_all_clients(log: &str) -> bool {
    CLIENTS.iter().all(|(_, address)| {
        log.lines()
            .any(|line| line.contains("client=") && line.contains(address))
    })
}

#[test]
fn postfix_takes_each_session_for_the_one_of_the_client_that_xclient_names() {
    let Some((cluster, _postfix, log)) = logged("smtpd_authorized_xclient_hosts", "127.0.0.0/8")
    else {
        return;
    };
    assert!(names_all_clients(&log), "{log}");
    let warned = "refuses it to this node";
    assert!(!cluster.nodes[0].log_text().contains(warned));
}

#[test]
fn postfix_writes_the_client_that_xforward_names_in_its_log() {
    let Some((_cluster, postfix, log)) = logged("smtpd_authorized_xforward_hosts", "127.0.0.0/8")
    else {
        return;
    };
    // There the client of the session is the node, and the message's stands behind it.
    let origins = CLIENTS
        .iter()
        .all(|(_, address)| log.contains(&format!("orig_client=unknown{address}")));
    assert!(origins, "{log}");
    wait_until(scene::DRAIN, "it was said of each message", || {
        taken(&postfix.log_text(), "xforward") == CLIENTS.len()
    });
}

#[test]
fn postfix_that_offers_neither_gets_the_mail_of_the_node() {
    let Some((_cluster, _postfix, log)) = logged("smtpd_authorized_xclient_hosts", "192.0.2.1")
    else {
        return;
    };
    assert!(!names_all_clients(&log), "{log}");
    assert!(log.contains("client=unknown[127.0.0.1]"), "{log}");
}
