//! Nodes behind a proxy that tells whose connections it passes on.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use harness::{Cluster, Letter, Primary, Sender, Settings};

use crate::scene;

/// Longer than a node waits for a header.
const CLOSED: Duration = Duration::from_secs(20);

/// A header of version 2 for a client at `[2001:db8::7]:4711`, with an extension that says nothing.
fn version_2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x29".to_vec();
    header.extend_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    header.extend_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]);
    header.extend_from_slice(&[0x12, 0x67, 0, 25]);
    header.extend_from_slice(&[0x04, 0, 2, 0, 0]);
    header
}

/// A node to which every connection from this machine is that of a proxy.
fn behind_a_proxy(primary: &Primary, further: &[&str]) -> Cluster {
    let proxies = "proxy_protocol_from = [\"127.0.0.0/8\"]";
    let settings = Settings::for_primary(primary.address()).with("smtp", proxies);
    let settings = further
        .iter()
        .fold(settings, |settings, line| settings.with("smtp", line));
    Cluster::start(1, &settings)
}

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 198.51.100.1 4711 25\r\n").into_bytes()
}

/// Connects as a proxy does, and reads the greeting.
fn greeted(cluster: &Cluster, header: &[u8]) -> Result<Sender, u16> {
    let mut sender = Sender::dial(cluster.nodes[0].smtp()).unwrap();
    sender.write(header).unwrap();
    let greeting = sender.read_reply().unwrap();
    if greeting.code == 220 {
        Ok(sender)
    } else {
        Err(greeting.code)
    }
}

#[test]
fn the_client_that_a_proxy_names_stands_in_received_and_in_the_log() {
    let primary = Primary::started();
    let cluster = behind_a_proxy(&primary, &[]);
    let headers = [
        (version_1("192.0.2.7"), "(unknown [192.0.2.7])"),
        (version_2(), "(unknown [IPv6:2001:db8::7])"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "(unknown [127.0.0.1])"),
    ];
    let mut letters = Vec::new();
    for (serial, (header, _)) in headers.iter().enumerate() {
        let letter = Letter::new(serial, "a@example.com", 500);
        let mut sender = greeted(&cluster, header).unwrap();
        sender.ehlo().unwrap();
        assert_eq!(sender.send(&letter).unwrap().code, 250);
        letters.push(letter);
    }
    scene::wait_received(&primary, headers.len());
    for arrived in primary.received() {
        let (_, expected) = &headers[arrived.serial().unwrap()];
        let text = String::from_utf8_lossy(&arrived.body).into_owned();
        assert!(text.contains(expected), "{text}");
    }
    let log = cluster.nodes[0].log_text();
    for peer in ["192.0.2.7:4711", "[2001:db8::7]:4711"] {
        assert!(log.contains(peer), "{log}");
    }
    scene::drain(&cluster, &mut { primary }, &letters);
}

#[test]
fn a_connection_of_a_proxy_without_a_header_is_closed() {
    let primary = Primary::down_at_first();
    let cluster = behind_a_proxy(&primary, &[]);
    for said in [
        "EHLO sender.test\r\n",
        "PROXY TCP4 192.0.2.7\r\n",
        "PROXY TCP4 ",
        "",
    ] {
        let mut sender = Sender::dial(cluster.nodes[0].smtp()).unwrap();
        sender.write(said.as_bytes()).unwrap();
        let start = Instant::now();
        let end = sender.read_reply().unwrap_err().kind();
        assert!(
            matches!(end, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
            "{said:?}: {end}"
        );
        assert!(start.elapsed() < CLOSED, "{said:?}");
    }
    let refused = cluster.nodes[0].metric(
        "layover_smtp_connections_refused_total",
        &["reason=\"proxy_header\""],
    );
    assert_eq!(refused, Some(4.0));
}

#[test]
fn a_header_from_elsewhere_is_a_bad_command() {
    let primary = Primary::down_at_first();
    let proxies = "proxy_protocol_from = [\"192.0.2.0/24\"]";
    let settings = Settings::for_primary(primary.address()).with("smtp", proxies);
    let cluster = Cluster::start(1, &settings);
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    let reply = sender
        .command("PROXY TCP4 192.0.2.7 192.0.2.25 4711 25")
        .unwrap();
    assert!(
        reply.code == 500 && reply.lines[0].starts_with("5.5.1"),
        "{reply}"
    );
    assert_eq!(
        sender
            .send(&Letter::new(1, "a@example.com", 500))
            .unwrap()
            .code,
        250
    );
}

#[test]
fn the_clients_of_a_proxy_are_limited_one_by_one() {
    let primary = Primary::down_at_first();
    let cluster = behind_a_proxy(&primary, &["max_connections_per_ip = 2"]);
    let _held = [(); 2].map(|()| greeted(&cluster, &version_1("192.0.2.7")).unwrap());
    assert_eq!(greeted(&cluster, &version_1("192.0.2.7")).unwrap_err(), 421);
    let _other = greeted(&cluster, &version_1("192.0.2.8")).unwrap();
    let refused = cluster.nodes[0].metric(
        "layover_smtp_connections_refused_total",
        &["reason=\"per_ip\""],
    );
    assert_eq!(refused, Some(1.0));
}
