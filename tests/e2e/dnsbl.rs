//! Clients that stand on a block list, and name servers that fall silent.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use harness::{
    Cluster, NameServer, Primary, Reply, Sender, Settings, name_server::Data, wait_until,
};

/// Name servers that are gone or back are noticed within a few seconds.
const NOTICED: Duration = Duration::from_secs(30);

/// Far less than anyone would wait for an answer.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A node behind a proxy, whose policy has one block list.
fn behind_a_proxy(primary: &Primary, server: &NameServer) -> Cluster {
    let mut settings = Settings::for_primary(primary.address())
        .asking(server)
        .with("smtp", "proxy_protocol_from = [\"127.0.0.0/8\"]")
        .with("smtp", "trusted = [\"198.51.100.0/24\"]");
    settings
        .policy
        .push_str("[dnsbl]\nzones = [\"bl.example\"]\n");
    let cluster = Cluster::start(1, &settings);
    wait_until(NOTICED, "the name server answers", || {
        // A connection is what makes the node want to know.
        drop(greeted(&cluster, "192.0.2.1"));
        is_answering(&cluster)
    });
    cluster
}

fn is_answering(cluster: &Cluster) -> bool {
    cluster.nodes[0].metric("layover_dns_answering", &[]) == Some(1.0)
}

fn greeted(cluster: &Cluster, client: &str) -> Sender {
    let (family, server) = if client.contains(':') {
        (6, "2001:db8::1")
    } else {
        (4, "198.51.100.1")
    };
    let header = format!("PROXY TCP{family} {client} {server} 4711 25\r\n");
    let mut sender = Sender::dial(cluster.nodes[0].smtp()).unwrap();
    sender.write(header.as_bytes()).unwrap();
    assert_eq!(sender.read_reply().unwrap().code, 220);
    sender
}

/// What a client is answered for a recipient of its first message.
fn answer(cluster: &Cluster, client: &str, to: &str) -> Reply {
    let mut sender = greeted(cluster, client);
    sender.ehlo().unwrap();
    let reply = sender.command("MAIL FROM:<a@sender.test>").unwrap();
    assert_eq!(reply.code, 250, "{reply}");
    let reply = sender.command(&format!("RCPT TO:<{to}>")).unwrap();
    sender.quit().unwrap();
    reply
}

fn looked_up(cluster: &Cluster, result: &str) -> Option<f64> {
    let labels = format!("result=\"{result}\"");
    cluster.nodes[0].metric("layover_smtp_dnsbl_lookups_total", &[&labels])
}

#[test]
fn a_client_that_is_listed_is_put_off_and_never_refused() {
    let primary = Primary::started();
    let server = NameServer::start();
    let listed = [Data::A(Ipv4Addr::new(127, 0, 0, 4))];
    server.tell("7.2.0.192.bl.example", &listed);
    server.tell("7.100.51.198.bl.example", &listed);
    let six = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example";
    server.tell(six, &listed);
    let refuses = [Data::A(Ipv4Addr::new(127, 255, 255, 254))];
    server.tell("9.2.0.192.bl.example", &refuses);
    let cluster = behind_a_proxy(&primary, &server);
    for (client, to, expected) in [
        ("192.0.2.7", "user@example.com", 450),
        ("2001:db8::7", "user@example.com", 450),
        ("192.0.2.7", "Postmaster@example.com", 250),
        ("192.0.2.7", "user@elsewhere.example", 550),
        ("192.0.2.8", "user@example.com", 250),
        ("192.0.2.9", "user@example.com", 250),
        ("198.51.100.7", "user@example.com", 250),
    ] {
        let reply = answer(&cluster, client, to);
        assert_eq!(reply.code, expected, "{client}, {to}: {reply}");
        if expected == 450 {
            let said = format!(
                "4.7.1 Service unavailable; client host [{client}] is listed at bl.example"
            );
            assert!(reply.lines[0].starts_with(&said), "{reply}");
        }
    }
    // What a client does not wait for ends with its connection.
    assert!(looked_up(&cluster, "listed") >= Some(2.0));
    assert_eq!(looked_up(&cluster, "not_listed"), Some(1.0));
    assert_eq!(looked_up(&cluster, "unusable"), Some(1.0));
    let log = cluster.nodes[0].log_text();
    assert!(log.contains("block list is of no use"), "{log}");
}

#[test]
fn name_servers_that_fall_silent_hold_up_one_client_and_no_more() {
    let primary = Primary::started();
    let server = NameServer::start();
    let listed = [Data::A(Ipv4Addr::new(127, 0, 0, 2))];
    server.tell("7.2.0.192.bl.example", &listed);
    let cluster = behind_a_proxy(&primary, &server);
    let ask = || answer(&cluster, "192.0.2.7", "user@example.com").code;
    assert_eq!(ask(), 450);
    server.be_silent(true);
    assert_eq!(ask(), 250);
    wait_until(NOTICED, "the silence is noticed", || {
        !is_answering(&cluster)
    });
    let log = cluster.nodes[0].log_text();
    assert!(log.contains("dns does not answer"), "{log}");
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(ask(), 250);
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    }
    server.be_silent(false);
    wait_until(NOTICED, "it is back", || is_answering(&cluster));
    assert_eq!(ask(), 450);
}
