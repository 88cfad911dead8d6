//! Commands that add and remove nodes.

use harness::{Cluster, Port, Primary, wait_until};

use super::{Desk, Stage, commands_of, named::Named};
use crate::{membership, scene};

/// Adds a node that was started to be added.
fn add(cluster: &mut Cluster, primary: &Primary, named: &Named) {
    // It asks nobody who would answer, so that it is the command that adds it.
    let nobody = Port::free();
    let place = cluster.prepare_joining(nobody.address(), &membership::settings(primary));
    let desk = Desk::before(cluster);
    cluster.nodes[place].spawn();
    let node = &cluster.nodes[place];
    let (id, address) = (
        node.id.to_string(),
        node.ports.cluster.address().to_string(),
    );
    let values = [("ID", id.as_str()), ("ADDRESS", address.as_str())];
    wait_until(scene::CATCH_UP, "the node listens", || {
        let told = desk.run(named, &values, &[]);
        let is_early = told.err.contains("can not be reached");
        assert!(told.code == 0 || is_early, "{named}: {}", told.err);
        told.code == 0
    });
    cluster.nodes[place].wait_ready();
}

/// Removes a node that does not lead.
fn remove(cluster: &mut Cluster, named: &Named) {
    let place = cluster.follower();
    let id = cluster.nodes[place].id.to_string();
    let desk = Desk::before(cluster);
    if desk.works(named, &[("ID", &id), ("OLD-ID", &id)]) {
        membership::assert_ended_as_removed(&mut cluster.nodes[place]);
    }
}

#[test]
fn every_command_in_the_documents_that_adds_or_removes_a_node_works() {
    let primary = Primary::down_at_first();
    let mut cluster = Cluster::start(3, &membership::settings(&primary));
    for named in commands_of(Stage::Resized) {
        println!("{named}");
        match named.words[2].as_str() {
            "add" => add(&mut cluster, &primary, &named),
            _ => remove(&mut cluster, &named),
        }
    }
}
