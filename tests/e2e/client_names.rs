//! What a client's address is called, as the primary reads it.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use harness::{Letter, NameServer, Primary, name_server::Data};

use crate::{authentication, scene};

/// How long a name may hold up a message, with time for a machine that is slow.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn received_names_a_client_whose_name_leads_back_to_it_and_no_other() {
    let server = NameServer::start();
    server.tell(
        "7.2.0.192.in-addr.arpa",
        &[Data::Ptr("mail.sender.example")],
    );
    server.tell(
        "8.2.0.192.in-addr.arpa",
        &[Data::Ptr("mail.sender.example")],
    );
    server.tell(
        "mail.sender.example",
        &[Data::A(Ipv4Addr::new(192, 0, 2, 7))],
    );
    server.ignore("9.2.0.192.in-addr.arpa");
    let (mut primary, cluster): (Primary, _) = authentication::asking(&server);
    let clients = [
        ("192.0.2.7", "mail.sender.example"),
        ("192.0.2.8", "unknown"),
        ("192.0.2.9", "unknown"),
        // A private address has no name in the world.
        ("10.1.2.3", "unknown"),
    ];
    let mut letters = Vec::new();
    for (serial, (address, _)) in clients.iter().enumerate() {
        let letter = Letter::new(serial, "a@example.com", 500);
        let mut client = authentication::client(&cluster, address);
        let began = Instant::now();
        assert_eq!(client.send(&letter).unwrap().code, 250);
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        letters.push(letter);
    }
    primary.up();
    scene::wait_received(&primary, clients.len());
    for arrived in primary.received() {
        let (address, name) = clients[arrived.serial().unwrap()];
        let text = String::from_utf8_lossy(&arrived.body).into_owned();
        let field = text
            .lines()
            .find(|line| line.starts_with("Received: from "));
        let expected = format!(" ({name} [{address}])");
        assert!(
            field.is_some_and(|line| line.ends_with(&expected)),
            "{text}"
        );
    }
    let asked = server.asked();
    assert!(!asked.iter().any(|asked| asked.starts_with("3.2.1.10.")));
    scene::drain(&cluster, &mut primary, &letters);
}
