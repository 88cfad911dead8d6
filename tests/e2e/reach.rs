//! Primaries that not every node reaches.
//!
//! Each node asks a name server of its own, and those tell different addresses of the primary: at one of them nobody
//! listens. As MX records name no port, the primary listens on port 25: only root may.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use harness::{Cluster, NameServer, Primary, Settings, compare, name_server::Data, wait_until};

use crate::scene;

/// Where the primary listens, and where nobody does.
const HERE: Ipv4Addr = Ipv4Addr::new(127, 25, 0, 60);
const NOWHERE: Ipv4Addr = Ipv4Addr::new(127, 25, 0, 61);

/// What is found has to be so for half a minute before leadership moves.
const MOVED: Duration = Duration::from_secs(120);

fn primary() -> Option<Primary> {
    let address = SocketAddr::from((HERE, 25));
    if let Err(error) = TcpListener::bind(address) {
        println!("skipped: {address} can not be listened on ({error}); run the tests as root");
        return None;
    }
    let mut primary = Primary::at(address);
    primary.up();
    Some(primary)
}

fn lead_to(server: &NameServer, address: Ipv4Addr) {
    server.tell("mail.example.com", &[Data::A(address)]);
}

/// A name server for each node; none tells where the primary is.
fn servers() -> Vec<NameServer> {
    let servers = [(); 3].map(|()| NameServer::start());
    for server in &servers {
        server.tell("example.com", &[Data::Mx(10, "mail.example.com")]);
        lead_to(server, NOWHERE);
        for name in ["mx1.example.net", "mx2.example.net", "mx3.example.net"] {
            server.tell(name, &[Data::A(Ipv4Addr::new(192, 0, 2, 1))]);
        }
    }
    servers.into()
}

fn start(servers: &[NameServer]) -> Cluster {
    let mut settings = Settings::for_domains(&[]);
    settings.policy = "[[domain]]\nname = \"example.com\"\nprobe_interval = \"500ms\"\n".to_owned();
    let each: Vec<Settings> = servers
        .iter()
        .map(|server| settings.clone().asking(server))
        .collect();
    let mut cluster = Cluster::prepare_each(&each);
    for node in &mut cluster.nodes {
        node.spawn();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    cluster
}

#[test]
fn leadership_moves_to_the_node_that_reaches_the_primary_and_stays_there() {
    let Some(primary) = primary() else {
        return;
    };
    let servers = servers();
    let cluster = start(&servers);
    let letters = scene::letters(0..10);
    scene::send_all(&cluster, &letters);
    let former = cluster.leader();
    let placed_better = (former + 1) % servers.len();
    lead_to(&servers[placed_better], HERE);
    wait_until(MOVED, "everything has left", || {
        primary.count() >= letters.len()
    });
    cluster.wait_queued(0, scene::DRAIN);
    let account = compare(&letters, &primary.received());
    assert!(account.is_right(), "{account}: {account:?}");
    assert_eq!(cluster.leader(), placed_better);
    let moves = |place: usize| {
        let log = cluster.nodes[place].log_text();
        log.matches("another node reaches primaries").count()
    };
    assert_eq!(moves(former), 1);
}
