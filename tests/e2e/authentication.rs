//! What is found out about senders, on its way to the primary and to the operator.

use std::time::{Duration, Instant};

use harness::{
    Cluster, Letter, NameServer, Primary, Sender, Settings, Signer,
    name_server::Data,
    signer::{Algorithm, Form},
    wait_until,
};

use crate::scene;

/// A node hears of its name server within this time.
pub(crate) const HEARD_OF: Duration = Duration::from_secs(20);

/// A primary that is down, and a node behind a proxy that asks this name server.
pub(crate) fn asking(server: &NameServer) -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let proxies = "proxy_protocol_from = [\"127.0.0.0/8\"]";
    let settings = Settings::for_primary(primary.address())
        .with("smtp", proxies)
        .asking(server);
    let cluster = Cluster::start(1, &settings);
    wait_until(HEARD_OF, "the name server answers", || {
        cluster.nodes[0].metric("layover_dns_answering", &[]) == Some(1.0)
    });
    (primary, cluster)
}

/// A session of a client with that address.
pub(crate) fn client(cluster: &Cluster, address: &str) -> Sender {
    let mut sender = Sender::dial(cluster.nodes[0].smtp()).unwrap();
    let header = format!("PROXY TCP4 {address} 198.51.100.1 4711 25\r\n");
    sender.write(header.as_bytes()).unwrap();
    assert_eq!(sender.read_reply().unwrap().code, 220);
    sender.ehlo().unwrap();
    sender
}

fn letter(serial: usize) -> Letter {
    let mut letter = Letter::new(serial, "a@example.com", 1_000);
    letter.from = "a@sender.example".to_owned();
    let text = String::from_utf8(letter.body).unwrap();
    letter.body = text.replace("sender.test", "sender.example").into_bytes();
    letter
}

pub(crate) fn text(server: &NameServer, name: &str, text: &str) {
    server.tell(name, &[Data::Txt(text.to_owned())]);
}

/// What a node tells of a message that waits.
fn origin(cluster: &Cluster, id: &str) -> serde_json::Value {
    cluster.ctl().json(&["queue", "show", id])["authentication"].clone()
}

#[test]
fn the_client_that_a_proxy_names_is_judged_and_the_primary_and_the_operator_are_told() {
    let server = NameServer::start();
    text(&server, "sender.example", "v=spf1 ip4:192.0.2.7 -all");
    text(&server, "_dmarc.sender.example", "v=DMARC1; p=reject");
    let (mut primary, cluster) = asking(&server);
    for (serial, address, result) in [(1, "192.0.2.7", "pass"), (2, "192.0.2.8", "fail")] {
        let reply = client(&cluster, address).send(&letter(serial)).unwrap();
        let id = reply.queued_as().unwrap();
        let origin = origin(&cluster, id);
        assert_eq!(origin["spf"], result, "{origin}");
        assert_eq!(origin["dmarc"], result, "{origin}");
        assert_eq!(origin["authenticated"], result == "pass", "{origin}");
        let shown = cluster.ctl().run(&["queue", "show", id]).out;
        let line = format!("spf {result} (HELO none), dkim none, dmarc {result} (sender.example)");
        assert!(shown.contains(&line), "{shown}");
        let log = cluster.nodes[0].log_text();
        assert!(
            log.contains(&format!("spf={result} dkim=none dmarc={result}")),
            "{log}"
        );
        let labels = ["method=\"spf\"", &format!("result=\"{result}\"")];
        let count = cluster.nodes[0].metric("layover_smtp_authentication_total", &labels);
        assert_eq!(count, Some(1.0));
    }
    primary.up();
    scene::wait_received(&primary, 2);
    for arrived in primary.received() {
        let result = ["pass", "fail"][arrived.serial().unwrap() - 1];
        let field = format!(
            "Authentication-Results: mx1.example.net;\r\n\
             \tspf={result} smtp.mailfrom=sender.example;\r\n\
             \tdkim=none;\r\n\
             \tdmarc={result} (p=reject) header.from=sender.example\r\n\
             Received: from "
        );
        let text = String::from_utf8(arrived.body).unwrap();
        assert!(text.starts_with(&field), "{text}");
    }
}

#[test]
fn what_a_domain_publishes_wrongly_or_not_at_all_is_told_apart() {
    let server = NameServer::start();
    let (_primary, cluster) = asking(&server);
    let mut sender = client(&cluster, "192.0.2.7");
    let mut judged = |letter: &Letter| {
        let reply = sender.send(letter).unwrap();
        origin(&cluster, reply.queued_as().unwrap())["spf"].clone()
    };
    // That there is nothing is kept for a while.
    let unpublished = Letter {
        from: "a@unpublished.example".to_owned(),
        ..letter(1)
    };
    assert_eq!(judged(&unpublished), "none");
    text(&server, "sender.example", "v=spf1 ~all");
    assert_eq!(judged(&letter(2)), "softfail");
    text(&server, "sender.example", "v=spf1 ip4:nonsense -all");
    assert_eq!(judged(&letter(3)), "permerror");
    server.fail("sender.example");
    assert_eq!(judged(&letter(4)), "temperror");
}

#[test]
fn a_large_signed_message_in_chunks_is_verified_and_a_changed_one_is_not() {
    let server = NameServer::start();
    let (_primary, cluster) = asking(&server);
    let mut sender = client(&cluster, "192.0.2.7");
    for (serial, algorithm) in [(1, Algorithm::Rsa), (3, Algorithm::Ed25519)] {
        let signer = Signer {
            algorithm,
            body: Form::Relaxed,
            ..Signer::new("sender.example")
        };
        text(&server, &signer.record_name(), signer.record());
        let mut letter = letter(serial);
        letter
            .body
            .extend_from_slice(&b"a line \t of text \r\n".repeat(300_000));
        letter.body = signer.signed(&letter.body);
        let mut judged = |letter: &Letter| {
            let reply = sender.send_in_chunks(letter, 777_777).unwrap();
            origin(&cluster, reply.queued_as().unwrap())
        };
        let found = judged(&letter);
        assert_eq!(found["dkim"][0]["result"], "pass", "{found}");
        assert_eq!(found["dkim"][0]["domain"], "sender.example", "{found}");
        assert_eq!(found["authenticated"], true, "{found}");
        letter.body.extend_from_slice(b"and another\r\n");
        let found = judged(&letter);
        assert_eq!(found["dkim"][0]["result"], "fail", "{found}");
    }
}

#[test]
fn forged_fields_are_taken_out_and_others_stay() {
    let (mut primary, cluster) = scene::outage(1);
    let mut letter = letter(1);
    let fields = "Authentication-Results: mx1.example.net; spf=pass\r\n\
        Authentication-Results: mx9.example.net; spf=pass\r\n\
        authentication-results:\r\n\t(me) \"MX1.Example.Net\" 1;\r\n\tdkim=pass\r\n";
    letter.body.splice(0..0, fields.bytes());
    let mut sender = Sender::connect(cluster.nodes[0].smtp()).unwrap();
    assert_eq!(sender.send(&letter).unwrap().code, 250);
    primary.up();
    scene::wait_received(&primary, 1);
    let arrived = primary.received().remove(0);
    let arrived = String::from_utf8(arrived.body).unwrap();
    assert_eq!(
        arrived
            .to_lowercase()
            .matches("authentication-results")
            .count(),
        1,
        "{arrived}"
    );
    assert!(arrived.contains("\r\nAuthentication-Results: mx9.example.net; spf=pass\r\n"));
}

#[test]
fn a_message_that_is_sent_again_elsewhere_is_known_without_its_forged_field() {
    let (_primary, cluster) = scene::outage(3);
    let mut letter = letter(1);
    let field = "Authentication-Results: mx1.example.net; spf=pass\r\n";
    letter.body.splice(0..0, field.bytes());
    let mut ids = Vec::new();
    for host in cluster.hosts() {
        let mut sender = Sender::connect(host).unwrap();
        let reply = sender.send(&letter).unwrap();
        ids.push(reply.queued_as().unwrap().to_owned());
        // Its 250 is not known to be read.
        sender.hang_up();
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn name_servers_that_fall_silent_keep_nobody_waiting() {
    let server = NameServer::start();
    let (_primary, cluster) = asking(&server);
    server.be_silent(true);
    let mut sender = client(&cluster, "192.0.2.7");
    // The first that waits for them in vain has it found out.
    assert_eq!(sender.send(&letter(1)).unwrap().code, 250);
    wait_until(HEARD_OF, "the node knows that nobody answers", || {
        cluster.nodes[0].metric("layover_dns_answering", &[]) == Some(0.0)
    });
    let began = Instant::now();
    let mut ids = Vec::new();
    for serial in 2..12 {
        let reply = sender.send(&letter(serial)).unwrap();
        ids.push(reply.queued_as().unwrap().to_owned());
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    for id in ids {
        let shown = cluster.ctl().json(&["queue", "show", &id]);
        assert!(shown["authentication"].is_null(), "{shown}");
        let header = shown["header"].as_str().unwrap();
        assert!(header.starts_with("Received: "), "{header}");
    }
}
