//! Domains whose primary the DNS names.
//!
//! MX records name no port, so the primaries of these tests listen on port 25, each at a loopback address
//! of its own: only root may.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use harness::{
    Cluster, Ctl, Letter, NameServer, Primary, Settings, Stage, compare, name_server::Data,
    wait_until,
};

use crate::scene;

/// A primary on port 25 of `127.25.0.HOST`, down at first. `None`, and a line that says so, where that is not
/// permitted.
fn primary(host: u8) -> Option<Primary> {
    let address = SocketAddr::from((loopback(host), 25));
    if let Err(error) = TcpListener::bind(address) {
        println!("skipped: {address} can not be listened on ({error}); run the tests as root");
        return None;
    }
    Some(Primary::at(address))
}

const fn loopback(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 25, 0, host)
}

/// Nodes that go by MX records, and ask a name server that knows the primary and the nodes' names.
fn start(nodes: u64, server: &NameServer, host: u8) -> Cluster {
    server.tell("mail.example.com", &[Data::A(loopback(host))]);
    for name in ["mx1.example.net", "mx2.example.net", "mx3.example.net"] {
        server.tell(name, &[Data::A(Ipv4Addr::new(192, 0, 2, 1))]);
    }
    let mut settings = Settings::for_domains(&[]).asking(server);
    settings.policy = "[[domain]]\nname = \"example.com\"\nprobe_interval = \"500ms\"\n".to_owned();
    Cluster::start(nodes, &settings)
}

fn behind(server: &NameServer) {
    let exchanges = [
        Data::Mx(10, "mail.example.com"),
        Data::Mx(20, "mx1.example.net"),
        Data::Mx(20, "mx2.example.net"),
        Data::Mx(20, "mx3.example.net"),
    ];
    server.tell("example.com", &exchanges);
}

/// What the nodes say of the way to the domain.
fn route(ctl: &Ctl) -> String {
    let listed = ctl.json(&["domain", "list"]);
    listed["domains"][0]["route"].as_str().unwrap().to_owned()
}

#[test]
fn mail_goes_to_the_mx_host_in_front_of_the_cluster() {
    let Some(mut primary) = primary(1) else {
        return;
    };
    let server = NameServer::start();
    behind(&server);
    let cluster = start(3, &server, 1);
    primary.up();
    let letters = scene::letters(0..20);
    scene::send_all(&cluster, &letters);
    scene::drain(&cluster, &mut primary, &letters);

    for node in &cluster.nodes {
        let ctl = node.ctl();
        wait_until(scene::CATCH_UP, "the node knows the others' names", || {
            route(&ctl)
                == "mail.example.com (10) -> 127.25.0.1; \
                    mx1.example.net (20) is this cluster itself (node 1); \
                    mx2.example.net (20) is this cluster itself (node 2); \
                    mx3.example.net (20) is this cluster itself (node 3)"
        });
        let probed = ctl.run(&["domain", "probe", "example.com"]);
        assert_eq!(probed.code, 0, "{}{}", probed.out, probed.err);
        for said in [
            "route: example.com has 4 MX hosts",
            "route: mail.example.com (10) -> 127.25.0.1",
            "route: mx3.example.net (20) is this cluster itself (node 3)",
            "route: mail goes to mail.example.com:25",
            "mail.example.com:25: connected to 127.25.0.1:25",
            "mail.example.com:25: greets: 220 primary.test ESMTP stand-in",
            "mail.example.com:25: offers PIPELINING, SIZE 104857600",
            "mail.example.com:25: in clear, without TLS",
            "The primary of example.com is ready.",
        ] {
            assert!(probed.out.contains(said), "{said}: {}", probed.out);
        }
    }
    let listed = cluster.ctl().run(&["domain", "list"]);
    assert!(
        listed.out.contains("by MX: mail.example.com (10)"),
        "{}",
        listed.out
    );

    primary.down();
    let probed = cluster.ctl().run(&["domain", "probe", "example.com"]);
    assert_eq!(probed.code, 1, "{}", probed.out);
    assert!(
        probed.out.contains("no connection to 127.25.0.1:25"),
        "{}",
        probed.out
    );
    assert!(
        probed
            .err
            .contains("the primary of example.com is not ready"),
        "{}",
        probed.err
    );
    let unknown = cluster.ctl().run(&["domain", "probe", "example.org"]);
    assert_eq!(unknown.code, 1, "{}", unknown.out);
}

#[test]
fn mail_without_a_route_waits_until_there_is_one() {
    let Some(mut primary) = primary(2) else {
        return;
    };
    primary.up();
    let server = NameServer::start();
    server.tell("example.com", &[Data::Mx(10, "mx1.example.net")]);
    let cluster = start(1, &server, 2);
    let letters = scene::letters(0..5);
    scene::send_all(&cluster, &letters);
    let ctl = cluster.ctl();
    let is_told = |what: &str| ctl.run(&["status"]).out.contains(what);
    wait_until(
        scene::DRAIN,
        "the status tells that there is no route",
        || {
            is_told(
                "The mail of example.com waits: no route: mx1.example.net (10) is this cluster itself (node 1)",
            )
        },
    );
    let id = ctl.json(&["queue", "list"])[0]["id"].clone();
    let id = id.as_str().unwrap();
    let traced = ctl.json(&["trace", id]);
    let way = &traced["ways"][0];
    assert_eq!(way["domain"], "example.com", "{traced}");
    assert_eq!(
        way["words"][1],
        "mx1.example.net (10) is this cluster itself (node 1)"
    );
    let last = way["words"].as_array().unwrap().last().unwrap();
    let last = last.as_str().unwrap();
    assert!(last.ends_with("its mail waits, and none is returned for it"));
    let table = ctl.run(&["trace", id]).out;
    assert!(table.contains("way to example.com\n"), "{table}");
    assert!(table.contains(last), "{table}");
    server.tell("example.com", &[Data::Mx(0, ".")]);
    wait_until(scene::DRAIN, "the status tells of the null MX", || {
        is_told("no route: example.com takes no mail, as its null MX record says")
    });
    server.forget("example.com");
    wait_until(
        scene::DRAIN,
        "the status tells that the domain is gone",
        || is_told("no route: there is no domain example.com in the DNS"),
    );
    assert_eq!(primary.count(), 0);
    assert_eq!(cluster.nodes[0].queued(), Some(5));
    let log = cluster.nodes[0].log_text();
    let told = log
        .lines()
        .filter(|line| line.contains("its mail waits"))
        .count();
    assert_eq!(told, 3, "one line for each change: {log}");
    behind(&server);
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn while_the_dns_is_dead_its_last_answer_counts() {
    let Some(mut primary) = primary(3) else {
        return;
    };
    let server = NameServer::start();
    behind(&server);
    let cluster = start(1, &server, 3);
    primary.up();
    let first = scene::letters(0..5);
    scene::send_all(&cluster, &first);
    scene::drain(&cluster, &mut primary, &first);
    server.be_silent(true);
    primary.down();
    let letters = scene::letters(0..10);
    let (_, later) = letters.split_at(5);
    scene::send_all(&cluster, later);
    wait_until(scene::DRAIN, "the node has asked in vain", || {
        cluster.nodes[0]
            .log_text()
            .contains("the last answer counts")
    });
    let probed = cluster.ctl().run(&["domain", "probe", "example.com"]);
    assert!(
        probed.out.contains("): its last answer counts, which is "),
        "{}",
        probed.out
    );
    scene::drain(&cluster, &mut primary, &letters);
}

#[test]
fn mail_follows_the_primary_to_where_its_mx_record_leads() {
    let (Some(mut former), Some(mut later)) = (primary(4), primary(5)) else {
        return;
    };
    let server = NameServer::start();
    behind(&server);
    server.tell("new.example.com", &[Data::A(loopback(5))]);
    let cluster = start(1, &server, 4);
    former.up();
    let letters = scene::letters(0..20);
    let (early, late) = letters.split_at(10);
    scene::send_all(&cluster, early);
    scene::drain(&cluster, &mut former, early);
    former.down();
    scene::send_all(&cluster, late);
    server.tell("example.com", &[Data::Mx(10, "new.example.com")]);
    later.up();
    cluster.wait_queued(0, scene::DRAIN);
    let account = compare(late, &later.received());
    assert!(account.is_right(), "{account}: {account:?}");
}

#[test]
fn a_host_that_introduces_itself_as_a_node_of_the_cluster_gets_nothing() {
    let Some(mut primary) = primary(6) else {
        return;
    };
    primary.on_cue(|cue| cue.answer(Stage::Connect, 1_000_000, "220 MX1.example.net ESMTP"));
    primary.up();
    let server = NameServer::start();
    behind(&server);
    let cluster = start(1, &server, 6);
    let letters = [Letter::new(0, "a@example.com", 1_000)];
    scene::send_all(&cluster, &letters);
    let ctl = cluster.ctl();
    wait_until(scene::DRAIN, "the status tells why", || {
        let status = ctl.run(&["status"]).out;
        status.contains(
            "no route: mail.example.com:25: it introduces itself as mx1.example.net, which is node 1",
        )
    });
    let probed = ctl.run(&["domain", "probe", "example.com"]);
    assert_eq!(probed.code, 1, "{}", probed.out);
    assert!(
        probed.out.contains("not used: it introduces itself"),
        "{}",
        probed.out
    );
    assert_eq!(primary.count(), 0);
    primary.on_cue(|cue| cue.answer(Stage::Connect, 0, ""));
    scene::drain(&cluster, &mut primary, &letters);
}
