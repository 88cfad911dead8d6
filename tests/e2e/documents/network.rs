//! Commands that look at the network, or use what is the same on each machine.
//!
//! They have a network of their own, in which the DNS says what it should and all ports are free: only root may.

use std::net::SocketAddr;

use harness::{Ctl, OwnNetwork, Primary, or_skip, wait_until};

use super::{Desk, Stage, commands_of};
use crate::{doctor, scene};

/// What is added to the domain's policy, so that there is something to drill.
const CANARY: &str = "canary = \"drills@example.com\"\n";

#[test]
fn every_command_in_the_documents_that_looks_around_works() {
    let Some((_network, _primary, _server, cluster)) = doctor::scene(CANARY) else {
        return;
    };
    let desk = Desk::before(&cluster);
    for node in &cluster.nodes {
        wait_until(scene::CATCH_UP, "the node knows the others' names", || {
            node.ctl().run(&["doctor"]).code == 0
        });
    }
    for named in commands_of(Stage::Network) {
        println!("{named}");
        assert!(desk.works(&named, &[("DOMAIN", "example.com")]), "{named}");
    }
}

/// As README says it: a node, its primary behind port 2526, and `layover` that is told nothing.
#[test]
fn the_throw_away_node_of_the_documents_is_found_by_the_command_line() {
    let Some(_network) = or_skip(OwnNetwork::enter(&[])) else {
        return;
    };
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let _primary = Primary::at(loopback(2526));
    let desk = Desk::empty();
    for named in commands_of(Stage::Dev) {
        desk.serves(&named, &[], loopback(7402), || {
            let told = Ctl::new(&[]).run(&["status"]);
            assert_eq!(told.code, 0, "{}", told.err);
        });
    }
}
